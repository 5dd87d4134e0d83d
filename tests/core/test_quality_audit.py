"""Which texts are audited and when; how many errors are expected."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.quality.audit import audit_size, draw_audit, mixed_in
from allabel_core.quality.expected_error import ErrorModel, Outcome, learn_errors


@pytest.mark.parametrize(
    ("budget", "share", "size"), [(100, 0.1, 10), (25, 0.1, 3), (20, 0.1, 2), (19, 0.5, 0), (50, 0.0, 0)]
)
def test_a_share_of_the_budget_is_audited(budget: int, share: float, size: int) -> None:
    assert audit_size(budget, share) == size


def test_each_text_is_drawn_as_often_as_any_other() -> None:
    drawn = Counter(number for seed in range(2000) for number in draw_audit(range(20), 5, seed))
    assert set(drawn) == set(range(20))
    # 500 expected of each; a fair lottery strays by more than 5 standard deviations once in a million.
    assert all(abs(n - 500) < 5 * math.sqrt(500 * 0.75) for n in drawn.values())


@given(st.sets(st.integers(1, 200), min_size=10), st.integers(0, 10), st.integers(0, 99))
def test_a_draw_is_stable(numbers: set[int], size: int, seed: int) -> None:
    drawn = draw_audit(numbers, size, seed)
    assert len(drawn) == size
    assert draw_audit(sorted(numbers), size, seed) == drawn
    assert draw_audit(numbers, size, seed, kept=drawn) == drawn
    assert set(drawn) <= set(draw_audit(numbers | {1000}, size + 1, seed))


def test_what_was_drawn_before_stays() -> None:
    assert set(draw_audit(range(10), 3, 1, kept=[42, 43])) > {42, 43}
    assert set(draw_audit(range(10), 1, 1, kept=[42, 43])) == {42, 43}


def test_the_audit_is_spread_evenly() -> None:
    order = list(range(18))
    assert [i for i, n in enumerate(mixed_in(order, [100, 101])) if n >= 100] == [5, 15]
    assert mixed_in(order, []) == order
    assert [i for i, n in enumerate(mixed_in(order, [100, 101], 10)) if n >= 100] == [12, 17]
    assert mixed_in([1, 2], [100, 101], 10) == [1, 2, 100, 101]
    assert mixed_in([], [7]) == [7]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 50))
def test_both_keep_their_order(rest: int, audited: int, first: int) -> None:
    order, audit = list(range(rest)), list(range(100, 100 + audited))
    mixed = mixed_in(order, audit, first)
    assert mixed[: min(first, rest)] == order[: min(first, rest)]
    assert [n for n in mixed if n < 100] == order
    assert [n for n in mixed if n >= 100] == audit


def test_expected_errors_are_wrong_spans_and_missing_ones() -> None:
    model = learn_errors([Outcome(0, 2), Outcome(0, 1), Outcome(3, 1), Outcome(1, 0)])
    assert model == ErrorModel(missed_when_empty=3.5 / 3, missed_per_span=1.5 / 5)
    assert model.expected_errors([0.9, 0.6]) == pytest.approx(0.1 + 0.4 + 2 * 0.3)
    assert model.expected_errors([]) == pytest.approx(3.5 / 3)
    assert model.chance_right([0.9, 0.6]) == pytest.approx(0.54 * math.exp(-0.6))
    assert learn_errors([]) == ErrorModel(0.5, 0.5)


@given(st.lists(st.floats(0, 1), max_size=6), st.floats(0, 1))
def test_a_surer_span_means_fewer_errors(confidences: list[float], confidence: float) -> None:
    model = ErrorModel(1.0, 0.2)
    unsure = [*confidences, 0.0]
    surer = [*confidences, confidence]
    assert model.expected_errors(surer) <= model.expected_errors(unsure)
    assert 0 <= model.chance_right(surer) <= 1
