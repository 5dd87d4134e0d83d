"""Intervals, the learning curve and what it promises: solved by hand, or of a known truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allabel_core.errors import InvalidInputError
from allabel_core.metrics import Counts
from allabel_core.quality.agreement import f1_along, f1_difference, f1_estimate
from allabel_core.quality.curve import LearningCurve, expected_f1, fit_curve

COUNTS = st.builds(Counts, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def texts_of(f1_of: list[float], entities: int = 100) -> list[Counts]:
    """A text for each F1: as many suggested as there are, so that F1 is the share that is right."""
    right = [round(f1 * entities) for f1 in f1_of]
    return [Counts(tp, entities - tp, entities - tp) for tp in right]


def fitted(counts: list[Counts]) -> LearningCurve:
    return fit_curve(counts, range(len(counts)), rng())


def test_f1_of_all_texts_and_an_interval_around_it() -> None:
    found = f1_estimate([Counts(8, 2, 0), Counts(2, 0, 8)], rng())
    assert found.value == pytest.approx(2 * 10 / (2 * 10 + 2 + 8))
    # A resample is the one text twice, the other twice, or both.
    assert (found.low, found.high) == (pytest.approx(4 / 12), pytest.approx(16 / 18))


def test_texts_that_are_all_alike_leave_nothing_open() -> None:
    assert f1_estimate([Counts(1, 1, 1)] * 9, rng()) == (0.5, 0.5, 0.5)
    assert f1_difference([Counts(2, 1, 1)] * 4, [Counts(1, 2, 2)] * 6, rng()) == pytest.approx((1 / 3,) * 3)


@given(st.lists(COUNTS, min_size=1, max_size=30))
@settings(deadline=None)
def test_an_interval_lies_between_0_and_1(counts: list[Counts]) -> None:
    found = f1_estimate(counts, rng())
    assert 0 <= found.low <= found.high <= 1
    assert f1_difference(counts, counts, rng()).value == 0


def test_a_difference_leaves_open_what_both_figures_leave_open() -> None:
    # Nothing right in two texts says little: F1 of others may be anything, though no resample shows it.
    assert f1_difference([Counts(1, 1, 1)] * 30, [Counts(fn=1)] * 2, rng()) == (0.5, -0.5, 0.5)
    first, second = texts_of([0.9, 0.5, 0.7] * 5), texts_of([0.2, 0.6] * 6)
    one, other = f1_estimate(first, rng()), f1_estimate(second, rng())
    found = f1_difference(first, second, rng())
    assert found.value == pytest.approx(one.value - other.value)
    assert found.low < found.value - max(one.value - one.low, other.high - other.value) + 0.01
    assert one.low - other.high < found.low
    assert found.high < one.high - other.low


def test_a_run_is_cut_into_equal_parts() -> None:
    assert f1_along(texts_of([0.5] * 4), rng()) == []
    points = f1_along(texts_of([0.2] * 10 + [0.8] * 10), rng())
    assert [point.position for point in points] == [5, 10, 15, 20]
    assert [point.f1.value for point in points] == [0.2, 0.2, 0.8, 0.8]
    assert [point.position for point in f1_along(texts_of([0.5] * 120), rng())] == list(range(10, 121, 10))


def test_nothing_is_measured_on_nothing() -> None:
    with pytest.raises(InvalidInputError):
        f1_estimate([], rng())
    with pytest.raises(InvalidInputError, match="at least 20"):
        fitted(texts_of([0.5] * 19))


def test_texts_without_a_fault_do_not_prove_that_there_is_none() -> None:
    assert f1_estimate([Counts(tp=4)] * 10, rng()) == pytest.approx((1.0, 0.7, 1.0))
    assert f1_estimate([Counts(fn=4)] * 2, rng()) == (0.0, 0.0, 1.0)
    level = LearningCurve(level=np.ones(1001), drop=np.zeros(1001), exponent=np.ones(1001))
    found = expected_f1(level, 30, [Counts(tp=4)] * 12, list(range(12)), rng())
    assert found == pytest.approx((1.0, 0.75, 1.0))


def test_a_power_law_is_found_again() -> None:
    true = [0.9 - 0.6 * (n + 1) ** -0.5 for n in range(60)]
    curve = fitted(texts_of(true, entities=10_000))
    assert (curve.level[0], curve.drop[0], curve.exponent[0]) == pytest.approx((0.9, 0.6, 0.5), abs=1e-3)
    gain = curve.gain(60, 20)
    assert gain.value == pytest.approx(0.6 * (61**-0.5 - 81**-0.5), abs=1e-3)
    assert gain.low <= gain.value <= gain.high


def test_a_level_curve_promises_nothing() -> None:
    curve = fitted(texts_of([0.7] * 40))
    assert curve.gain(40, 20) == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)
    assert curve.level_at(40) == pytest.approx((0.7, 0.7, 0.7))


def test_a_falling_curve_is_taken_for_a_level_one() -> None:
    curve = fitted(texts_of([0.9] * 20 + [0.3] * 20))
    assert curve.gain(40, 20).value == 0
    assert curve.level_at(40).value == pytest.approx(0.6)


@given(st.lists(COUNTS, min_size=20, max_size=40), st.integers(0, 50))
@settings(deadline=None, max_examples=25)
def test_a_curve_stays_between_0_and_1_and_never_falls(counts: list[Counts], more: int) -> None:
    curve = fitted(counts)
    gain = curve.gain(len(counts), more)
    assert 0 <= gain.low <= gain.high <= 1
    assert gain.value >= 0


def test_the_expected_f1_is_the_blind_one_plus_what_was_learnt_since() -> None:
    ones = np.ones(1001)
    curve = LearningCurve(level=0.9 * ones, drop=0.8 * ones, exponent=ones)
    # After 0 annotations the curve stands at 0.1, after 1 at 0.5, after 7 at 0.8.
    blind = texts_of([0.1, 0.4])
    found = expected_f1(curve, 7, blind, [0, 1], rng())
    assert found.value == pytest.approx(0.25 + 0.8 - (0.1 + 0.5) / 2)
    assert found.low == pytest.approx(0.4 + 0.8 - 0.5)
    assert found.high == pytest.approx(0.1 + 0.8 - 0.1)
    # A text without any entity says nothing.
    assert expected_f1(curve, 0, [Counts()], [0], rng()) == (0, 0, 1)


def test_texts_between_which_others_were_annotated_stand_where_they_were() -> None:
    before = [*range(0, 20, 2), *range(100, 140, 2)]
    counts = texts_of([0.9 - 0.6 * (n + 1) ** -0.5 for n in before], entities=10_000)
    curve = fit_curve(counts, before, rng())
    assert (curve.level[0], curve.drop[0], curve.exponent[0]) == pytest.approx((0.9, 0.6, 0.5), abs=1e-3)
