"""Tokens, tagger, lexicon and arbiter by themselves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.tagging.arbiter import best_threshold, choose, fit_weights, sigmoid
from allabel_core.tagging.crf import OUTSIDE, Crf, Preparation, bio_tags, shape, token_features
from allabel_core.tagging.lexicon import build_lexicon, folded
from allabel_core.tagging.tokens import Bounds, Token, tokenize, unreachable
from allabel_core.types import Document, Span


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in tokenize(text)]


def marked(text: str, *entities: tuple[str, str]) -> Document:
    """A document whose entities are the first occurrences of the words."""
    spans = [Span(text.index(word), text.index(word) + len(word), label) for word, label in entities]
    return Document(text, tuple(spans))


# Tokens.


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Fe2O3 (5mL).", ["Fe", "2", "O", "3", "(", "5", "mL", ")", "."]),
        ("a_b-c", ["a", "_", "b", "-", "c"]),
        ("5µm αβ-Fe", ["5", "µ", "m", "αβ", "-", "Fe"]),
        ("東京都 3月", ["東", "京", "都", "3", "月"]),
        ("서울은", ["서", "울", "은"]),
        ("กิน", ["กิ", "น"]),
        ("café cafe\u0301", ["café", "cafe\u0301"]),
        ("ok👩‍🔬👍🏽!", ["ok", "👩‍🔬", "👍🏽", "!"]),
        ("a\r\nb\tc\u00a0d", ["a", "b", "c", "d"]),
        ("micro\u00adscope", ["micro\u00adscope"]),
        ("", []),
        (" \n", []),
    ],
)
def test_tokens_break_where_letters_digits_marks_and_scripts_meet(text: str, tokens: list[str]) -> None:
    assert words(text) == tokens


@given(st.text())
def test_tokens_cover_all_that_can_be_seen_in_order(text: str) -> None:
    tokens = tokenize(text)
    assert all(a.end <= b.start for a, b in itertools.pairwise(tokens))
    assert all(0 <= token.start < token.end <= len(text) for token in tokens)
    covered = {i for token in tokens for i in range(token.start, token.end)}
    assert all(i in covered for i, character in enumerate(text) if character.isalnum())


def test_a_boundary_that_no_token_meets_is_counted() -> None:
    text = "oxides of zinc"
    document = Document(text, (Span(0, 5, "A"), Span(10, 14, "A")))
    assert unreachable(document) == 1
    assert Bounds(tokenize(text)).meet(Span(0, 9, "A")) == (0, 2)


# Tags and features.


def test_of_overlapping_spans_the_earlier_and_longer_is_tagged() -> None:
    text = "iron oxide iron"
    document = Document(text, (Span(0, 10, "A"), Span(5, 10, "B"), Span(11, 15, "A")))
    assert bio_tags(document, tokenize(text), ("A", "B")) == [1, 2, 1]


def test_a_span_that_cuts_a_word_gets_the_whole_word() -> None:
    assert bio_tags(Document("oxides here", (Span(0, 5, "A"),)), tokenize("oxides here"), ("A",)) == [1, 0]


def test_features_name_the_word_its_shape_its_neighbours_and_what_it_is_glued_to() -> None:
    text = "Zinc 10mL"
    zinc, ten, unit = token_features(text, tokenize(text))
    assert {"w zinc", "s Aa", "w- <>", "w+ 10", "2. zi", ".3 inc"} <= set(zinc)
    assert {"w 10", "c 10ml", "g 01", "w-- <>"} <= set(ten)
    assert {"w ml", "c 10ml", "g 10"} <= set(unit)
    assert [shape(word) for word in ("Mg2", "NaCl", "2024", "ab-c")] == ["Aa0", "AaAa", "0", "a-a"]


# The tagger.


def random_crf(rng: np.random.Generator, labels: int, names: list[str]) -> Crf:
    tags = 1 + 2 * labels
    weights = rng.normal(size=(len(names) + 1, tags)).astype(np.float32)
    weights[0] = 0
    transitions = rng.normal(size=(tags, tags)).astype(np.float32)
    return Crf(tuple("AB"[:labels]), {name: i + 1 for i, name in enumerate(names)}, weights, transitions)


def by_enumeration(crf: Crf, text: str) -> dict[tuple[int, int, str], float]:
    """P(span) of every span: the share of all sequences of tags that say just that."""
    tokens = tokenize(text)
    rows = [[crf.rows[n] for n in names if n in crf.rows] for names in token_features(text, tokens)]
    scores = np.array([crf.weights[row].sum(axis=0) for row in rows], dtype=np.float64)
    found: dict[tuple[int, int, str], float] = {}
    total = 0.0
    for tags in itertools.product(range(len(crf.transitions)), repeat=len(tokens)):
        steps = [(OUTSIDE, tags[0]), *itertools.pairwise(tags)]
        if any(b != OUTSIDE and b % 2 == 0 and a not in (b - 1, b) for a, b in steps):
            continue
        score = sum(scores[i, tag] for i, tag in enumerate(tags))
        likely = np.exp(score + sum(crf.transitions[a, b] for a, b in itertools.pairwise(tags)))
        total += likely
        for first, tag in enumerate(tags):
            if tag % 2 == 1:
                last = first + 1
                while last < len(tags) and tags[last] == tag + 1:
                    last += 1
                key = (first, last, crf.labels[tag // 2])
                found[key] = found.get(key, 0.0) + likely
    return {key: likely / total for key, likely in found.items()}


@pytest.mark.parametrize("labels", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_span_probabilities_are_those_of_all_sequences(labels: int, seed: int) -> None:
    text = "zinc 5 mL, zinc"
    names = sorted({name for names in token_features(text, tokenize(text)) for name in names})
    crf = random_crf(np.random.default_rng(seed), labels, names[:12])
    expected = by_enumeration(crf, text)
    found = {(p.first, p.last, p.label): p.probability for p in crf.tag(text).proposals}
    assert found.keys() == {key for key, likely in expected.items() if likely >= 0.02}
    for key, probability in found.items():
        assert probability == pytest.approx(expected[key], abs=1e-6)


METALS = ("zinc", "iron", "tin", "lead", "gold", "nickel")


def sentences(metals: tuple[str, ...]) -> list[Document]:
    return [marked(f"heat the {metal} powder", (metal, "Metal")) for metal in metals]


def test_it_learns_a_context_and_proposes_words_it_never_saw() -> None:
    crf = Preparation(sentences(METALS)).train(range(len(METALS)))
    tagged = crf.tag("heat the cobalt powder")
    best = max(tagged.proposals, key=lambda proposal: proposal.probability)
    assert (best.first, best.last, best.label) == (2, 3, "Metal")
    assert best.probability > 0.5
    assert 0 <= tagged.doubt < 1


def test_a_tagger_of_some_documents_knows_nothing_of_the_others() -> None:
    documents = [*sentences(METALS), marked("argon flows", ("argon", "Gas"))]
    crf = Preparation(documents).train(range(len(METALS)))
    assert crf.labels == ("Gas", "Metal")
    assert "w argon" not in crf.rows
    assert all(p.label == "Metal" for p in crf.tag("argon flows").proposals)


def test_empty_texts_and_texts_without_entities_teach_and_get_nothing() -> None:
    crf = Preparation([Document(""), Document("heat it"), Document("  ")]).train(range(3))
    assert crf.tag("heat the zinc powder").proposals == ()
    crf = Preparation([*sentences(METALS), Document("")]).train(range(7))
    assert crf.tag("").proposals == ()


# The lexicon.


def test_the_lexicon_counts_what_was_marked_and_what_was_seen_and_left() -> None:
    lexicon = build_lexicon(
        [
            Document("Zinc or zinc", (Span(0, 4, "Metal"),)),
            marked("zinc oxide and water", ("zinc oxide", "Oxide")),
            marked("more water, zinc", ("zinc", "Element")),
        ]
    )
    known = lexicon.known("zinc", "Metal")
    # The zinc of zinc oxide lies within a longer marked span.
    assert (known.marked, known.seen, known.with_other_label, known.left_unmarked) == (1, 3, 1, 1)
    assert lexicon.known("water", "Metal")[:2] == (0, 2)
    # Seen once and never marked: not kept.
    assert lexicon.known("more", "Metal") == (0, 0, 0)


def test_a_document_is_judged_without_what_it_contributed_itself() -> None:
    documents = [marked("heat zinc", ("zinc", "Metal")), marked("melt zinc", ("zinc", "Metal"))]
    lexicon = build_lexicon(documents)
    assert lexicon.known("zinc", "Metal", lexicon.own(documents[0])) == (1, 1, 0)
    once = marked("pour lead", ("lead", "Metal"))
    lexicon = build_lexicon([*documents, once])
    assert lexicon.known("lead", "Metal", lexicon.own(once)) == (0, 0, 0)


def test_matches_are_all_places_of_marked_words_long_ones_too() -> None:
    name = "sodium salt of 2-(4-nitrophenyl) acetic acid"
    lexicon = build_lexicon([marked(f"the {name} melts", (name, "Chemical"))])
    text = f"Take {name.upper()}."
    found = [
        text[tokenize(text)[first].start : tokenize(text)[last - 1].end]
        for first, last, _ in lexicon.matches(folded(text, tokenize(text)))
    ]
    assert found == [name.upper()]


def test_a_dictionary_counts_like_occurrences_that_people_contradict_by_leaving_them() -> None:
    dictionary = [("carbon dioxide", "Gas"), ("", "Gas"), ("...", "Gas")]
    assert build_lexicon([], dictionary).known("carbon dioxide", "Gas") == (2, 2, 0)
    left = [Document("carbon dioxide rises")] * 6
    known = build_lexicon(left, dictionary).known("carbon dioxide", "Gas")
    assert (known.marked, known.seen) == (2, 8)
    assert known.precision < 0.3


# The arbiter.


def test_weights_are_where_the_gradient_is_zero() -> None:
    rng = np.random.default_rng(0)
    features = np.column_stack([np.ones(80), rng.normal(size=(80, 3))])
    kept = rng.random(80) < sigmoid(features @ np.array([0.3, 2.0, -1.0, 0.0]))
    penalty = np.array([1e-3, 0.5, 0.5, 0.5])
    weights = fit_weights(features, kept, penalty)
    assert np.allclose(features.T @ (kept - sigmoid(features @ weights)), penalty * weights, atol=1e-5)


def test_what_never_varies_is_learnt_without_harm() -> None:
    weights = fit_weights(np.ones((4, 2)), np.ones(4, dtype=bool), np.ones(2))
    assert np.isfinite(weights).all()


@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.integers(1, 4), st.integers(-10, 20)),
        max_size=9,
        unique_by=lambda t: t[:2],
    )
)
def test_the_chosen_spans_are_the_best_of_all_that_do_not_overlap(
    drawn: list[tuple[int, int, int]],
) -> None:
    spans = [Span(start, start + size, "A") for start, size, _ in drawn]
    worths = [worth / 10 for *_, worth in drawn]
    chosen = choose(spans, worths)

    def fits(which: tuple[int, ...]) -> bool:
        return all(
            spans[a].end <= spans[b].start or spans[b].end <= spans[a].start
            for a, b in itertools.combinations(which, 2)
        )

    subsets = (s for n in range(len(spans) + 1) for s in itertools.combinations(range(len(spans)), n))
    best = max(sum(worths[i] for i in subset) for subset in subsets if fits(subset))
    assert fits(tuple(chosen))
    assert sum(worths[i] for i in chosen) == pytest.approx(best)


def test_the_threshold_is_half_of_the_f1_that_it_leads_to() -> None:
    likely = [np.array([0.9, 0.6, 0.25, 0.1])]
    spans = [[Span(i, i + 1, "A") for i in range(4)]]
    threshold = best_threshold(likely, spans, gold=2)
    # With three shown: 2 * 1.75 / (3 + 2) = .7, of which half is above .25; with two: 2 * 1.5 / 4 = .75.
    assert threshold == pytest.approx(0.375)


def test_tokens_are_ranges() -> None:
    assert tokenize("a b") == [Token(0, 1), Token(2, 3)]
