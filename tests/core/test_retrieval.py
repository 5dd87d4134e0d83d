from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from allabel_core.errors import InvalidInputError
from allabel_core.retrieval import DemonstrationIndex
from allabel_core.types import FloatArray

CORPUS = ["zinc oxide powder", "a red bicycle", "zinc oxide film grown", "the film festival", "cold water"]


def letters(texts: Sequence[str]) -> FloatArray:
    """A vector of letter counts: enough of an embedding to know the answer."""
    return np.array(
        [[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], float
    )


def indices(index: DemonstrationIndex, text: str, k: int | None, **options: object) -> list[int]:
    return [found for found, _ in index.nearest(text, k, **options)]  # type: ignore[arg-type]


def test_the_most_similar_comes_last() -> None:
    index = DemonstrationIndex(CORPUS)
    # "zinc oxide film": document 2 has three of the words, 0 two of them, 3 one.
    assert indices(index, "zinc oxide film", 3) == [3, 0, 2]


def test_similarities_are_those_of_rank_bm25() -> None:
    reference = BM25Okapi([text.split() for text in CORPUS]).get_scores(["zinc", "film"])
    found = DemonstrationIndex(CORPUS).nearest("zinc film", 5)
    assert [similarity for _, similarity in found] == [
        pytest.approx(reference[corpus_index], abs=1e-9) for corpus_index, _ in found
    ]


def test_ties_go_to_the_lower_index() -> None:
    index = DemonstrationIndex([*CORPUS, "same words", "other thing", "same words", "same words"])
    assert indices(index, "same words", 2) == [7, 5]
    assert indices(index, "unknown", 3) == [2, 1, 0]


def test_the_text_itself_is_excluded_by_index() -> None:
    index = DemonstrationIndex([*CORPUS, "same words", "other thing", "same words"])
    assert indices(index, "same words", 1, exclude=5) == [7]
    assert indices(index, "same words", 9, exclude=7) == [6, 4, 3, 2, 1, 0, 5]


def test_an_empty_corpus_and_k_zero_give_nothing() -> None:
    for similarity in ("bm25", "sbert", "fused"):
        assert DemonstrationIndex([], similarity, encode=letters).nearest("text", 3) == ()
    assert DemonstrationIndex(CORPUS).nearest("zinc", 0) == ()


def test_embeddings_rank_by_cosine() -> None:
    index = DemonstrationIndex(["aab", "b", "aaaa", "ccc"], "sbert", encode=letters)
    assert index.nearest("a", 2) == ((0, pytest.approx(2 / 5**0.5, abs=1e-6)), (2, 1.0))


def test_fusion_adds_reciprocal_ranks() -> None:
    # BM25 of "b" ranks 1, 0, 2, 3 (one match, then index order); letters rank 1, 2, 0, 3.
    index = DemonstrationIndex(["ccc", "b", "bc", "d"], "fused", encode=letters)
    expected = {1: 1 / 61 + 1 / 61, 0: 1 / 62 + 1 / 63, 2: 1 / 63 + 1 / 62, 3: 1 / 64 + 1 / 64}
    found = index.nearest("b", 4)
    assert [i for i, _ in found] == [3, 2, 0, 1]
    assert dict(found) == pytest.approx(expected)


def test_a_token_budget_passes_over_what_does_not_fit() -> None:
    index = DemonstrationIndex(CORPUS, costs=[50, 10, 60, 30, 10])
    assert indices(index, "zinc oxide film", 3, token_budget=100) == [1, 3, 2]
    assert indices(index, "zinc oxide film", None, token_budget=100) == [1, 3, 2]
    assert indices(index, "zinc oxide film", None, token_budget=1_000) == [4, 1, 3, 0, 2]
    assert indices(index, "zinc oxide film", 3, token_budget=5) == []


def test_no_three_near_identical_demonstrations() -> None:
    again = "mix zinc and iron in a dry flask with some pure water at"
    corpus = [f"{again} 5", f"{again} 6", f"{again} 5 K", "heat the zinc", *CORPUS[1:]]
    index = DemonstrationIndex(corpus)
    plain = indices(index, "mix zinc and iron", 3)
    assert set(plain) == {0, 1, 2}
    varied = indices(index, "mix zinc and iron", 3, varied=True)
    assert len(set(varied) & {0, 1, 2}) == 2
    assert varied[0] == 3


def test_likely_labels_are_covered() -> None:
    corpus = ["zinc zinc zinc", "zinc zinc", "zinc", "zinc at noon", "zinc by night", "far away"]
    metal, day, none = frozenset({"Metal"}), frozenset({"Metal", "Time"}), frozenset[str]()
    index = DemonstrationIndex(corpus, labels=[metal, metal, metal, day, day, none])
    assert 3 not in indices(index, "zinc", 2)
    # "Time" is borne by 2 of the 6 in the neighbourhood: likely, so the nearest bearer joins.
    assert set(indices(index, "zinc", 2, cover_labels=True)) & {3, 4}
    assert len(indices(index, "zinc", 2, cover_labels=True)) == 2


def test_covering_keeps_within_the_token_budget() -> None:
    corpus = ["zinc zinc zinc", "zinc zinc", "zinc at noon", "far away", "cold water", "red film", "a cat"]
    metal, day, none = frozenset({"Metal"}), frozenset({"Metal", "Time"}), frozenset[str]()
    labels = [metal, metal, day, day, day, none, none]
    index = DemonstrationIndex(corpus, labels=labels, costs=[10, 10, 25, 99, 99, 9, 9])
    assert 2 not in indices(index, "zinc", 2, cover_labels=True, token_budget=30)
    assert 2 in indices(index, "zinc", 2, cover_labels=True, token_budget=35)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: DemonstrationIndex(CORPUS, "cosine"),
        lambda: DemonstrationIndex(CORPUS, costs=[1]),
        lambda: DemonstrationIndex(CORPUS).nearest("x", -1),
        lambda: DemonstrationIndex(CORPUS).nearest("x", None),
        lambda: DemonstrationIndex(CORPUS).nearest("x", 2, token_budget=9),
        lambda: DemonstrationIndex(CORPUS).nearest("x", 2, cover_labels=True),
    ],
)
def test_what_cannot_be_asked_is_refused(ask) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInputError):
        ask()


words = st.lists(st.sampled_from(["zinc", "iron", "film", "red", "the"]), min_size=1, max_size=4).map(
    " ".join
)


@given(st.lists(words, min_size=1, max_size=8), words, st.integers(0, 9), st.booleans())
def test_options_choose_from_the_same_order(corpus: list[str], text: str, k: int, varied: bool) -> None:
    costs = [len(each) for each in corpus]
    index = DemonstrationIndex(corpus, labels=[frozenset(each.split()) for each in corpus], costs=costs)
    scores = index.scores(text)
    for found in (
        index.nearest(text, k, varied=varied),
        index.nearest(text, k, varied=varied, token_budget=25, cover_labels=True),
    ):
        order = [(scores[i], -i) for i, _ in found]
        assert order == sorted(order)
        assert len(set(found)) == len(found) <= k
    assert sum(costs[i] for i, _ in found) <= 25
    assert k > len(corpus) or varied or len(index.nearest(text, k)) == k


def test_a_tokenizer_decides_what_texts_have_in_common() -> None:
    corpus = ["ethanol", "dimethylbenzenes", "acetone", "water"]
    assert [found.similarity for found in DemonstrationIndex(corpus).nearest("methylbenzene", 4)] == [0.0] * 4
    by_characters = DemonstrationIndex(corpus, tokenizer="characters-3")
    assert indices(by_characters, "methylbenzene", 1) == [1]
    with pytest.raises(InvalidInputError, match="tokenizer 'syllables'"):
        DemonstrationIndex(corpus, tokenizer="syllables")


def test_near_identical_is_judged_by_the_tokenizer_too() -> None:
    corpus = ["2-methylbutanol", "2-methylbutanols", "2-methylbutanols.", "hexane"]
    # As words the three differ; of their runs of three characters they share 12, 13 and 14 of 13 to 15.
    assert set(indices(DemonstrationIndex(corpus), "methylbutanol", 3, varied=True)) == {0, 1, 2}
    by_characters = DemonstrationIndex(corpus, tokenizer="characters-3")
    assert 3 in indices(by_characters, "methylbutanol", 3, varied=True)
