from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.errors import InvalidInputError
from allabel_core.metrics import (
    Counts,
    Interval,
    Scores,
    f1_interval,
    score_entities,
    score_overlap,
    score_spans,
)
from allabel_core.types import Document, Span

#       0123456789012345678
TEXT = "iron and iron , gold"


def document(*spans: tuple[int, int, str], text: str = TEXT) -> Document:
    return Document(text, tuple(Span(*span) for span in spans))


def test_ratios_by_hand() -> None:
    counts = Counts(tp=3, fp=1, fn=2)
    assert counts.precision == 0.75
    assert counts.recall == 0.6
    assert counts.f1 == pytest.approx(2 / 3)


def test_nothing_at_all_scores_zero() -> None:
    scores = score_entities([], [])
    assert (scores.precision, scores.recall, scores.f1) == (0.0, 0.0, 0.0)


def test_an_entity_counts_once_in_a_document_and_a_span_each_time() -> None:
    gold = [document((0, 4, "M"), (9, 13, "M"), (16, 20, "M"))]
    predicted = [document((0, 4, "M"))]
    assert score_entities(predicted, gold).total == Counts(tp=1, fp=0, fn=1)
    assert score_spans(predicted, gold).total == Counts(tp=1, fp=0, fn=2)


def test_the_same_words_elsewhere_are_the_same_entity_but_another_span() -> None:
    gold, predicted = [document((9, 13, "M"))], [document((0, 4, "M"))]
    assert score_entities(predicted, gold).f1 == 1.0
    assert score_spans(predicted, gold).f1 == 0.0
    assert score_overlap(predicted, gold).f1 == 0.0


def test_the_same_entity_in_two_documents_counts_twice() -> None:
    gold = [document((0, 4, "M")), document((0, 4, "M"))]
    predicted = [document((0, 4, "M")), document()]
    assert score_entities(predicted, gold).total == Counts(tp=1, fp=0, fn=1)


def test_a_wrong_label_is_an_error_of_both_labels() -> None:
    scores = score_entities([document((0, 4, "X"))], [document((0, 4, "M"))])
    assert scores.by_label == {"M": Counts(fn=1), "X": Counts(fp=1)}
    assert scores.total == Counts(fp=1, fn=1)


def test_overlaps_match_one_to_one_and_as_many_as_possible() -> None:
    # The long span touches both gold ones, the short one only the first: two matches need the long
    # one to take the second.
    gold = [document((0, 4, "M"), (9, 13, "M"))]
    predicted = [document((0, 13, "M"), (0, 2, "M"))]
    assert score_overlap(predicted, gold).total == Counts(tp=2)
    assert score_overlap([document((0, 13, "M"))], gold).total == Counts(tp=1, fn=1)


def test_touching_ends_are_no_overlap() -> None:
    assert score_overlap([document((0, 4, "M"))], [document((4, 8, "M"))]).total == Counts(fp=1, fn=1)


def test_documents_must_pair_up() -> None:
    with pytest.raises(InvalidInputError, match="2 predicted documents for 1 gold"):
        score_spans([document(), document()], [document()])


def test_interval_of_identical_documents_is_a_point() -> None:
    one = document((0, 4, "M"))
    half = document((0, 4, "M"), (16, 20, "M"))
    scores = score_spans([one] * 5, [half] * 5)
    interval = f1_interval(scores, np.random.default_rng(0))
    assert interval == Interval(scores.f1, scores.f1)


def test_interval_agrees_with_the_binomial() -> None:
    # 100 documents, one entity each, 70 found and nothing wrong: recall r ~ B(100, 0.7) / 100,
    # precision 1, so F1 = 2r / (1 + r); the 2.5% and 97.5% points of r are 0.61 and 0.79.
    right = document((0, 4, "M"))
    scores = score_spans([right] * 70 + [document()] * 30, [right] * 100)
    interval = f1_interval(scores, np.random.default_rng(7), resamples=4_000)
    assert interval.low == pytest.approx(2 * 0.61 / 1.61, abs=0.015)
    assert interval.high == pytest.approx(2 * 0.79 / 1.79, abs=0.015)


def test_an_interval_needs_documents() -> None:
    with pytest.raises(InvalidInputError):
        f1_interval(Scores(Counts()), np.random.default_rng(0))


spans = st.builds(
    lambda start, length, label: Span(start, start + length, label),
    st.integers(0, 15),
    st.integers(1, 4),
    st.sampled_from("AB"),
)
documents = st.lists(
    st.lists(spans, max_size=6).map(lambda s: Document(TEXT, tuple(s))), min_size=1, max_size=4
)


@given(documents)
def test_a_perfect_prediction_has_no_errors(gold: list[Document]) -> None:
    for score in (score_entities, score_spans, score_overlap):
        total = score(gold, gold).total
        assert (total.fp, total.fn) == (0, 0)


@given(documents, st.data())
def test_swapping_the_roles_swaps_the_errors(gold: list[Document], data: st.DataObject) -> None:
    predicted = data.draw(st.permutations(gold))
    for score in (score_entities, score_spans, score_overlap):
        there, back = score(predicted, gold), score(gold, predicted)
        assert (there.total.tp, there.total.fp) == (back.total.tp, back.total.fn)
        assert sum(there.by_label.values(), Counts()) == there.total
    assert score_overlap(predicted, gold).total.tp >= score_spans(predicted, gold).total.tp
