"""Intervals against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from allabel_core.errors import InvalidInputError
from allabel_core.simulation.statistics import (
    Correlation,
    budget_needed,
    f1,
    f1_difference,
    f1_ratio,
    mean_f1,
    spearman,
)
from allabel_core.types import IntArray


def counts(tp: list[int], fn: list[int], *, left_out: tuple[int, ...] = ()) -> IntArray:
    table = np.array([tp, [0] * len(tp), fn, [1] * len(tp)], dtype=np.int64).T.copy()
    table[list(left_out)] = 0
    return table


def test_f1_of_counts() -> None:
    assert f1(np.array([[2, 1, 1], [0, 0, 0], [0, 3, 1]])).tolist() == pytest.approx([2 / 3, 0, 0])


def test_the_mean_is_over_runs_and_the_interval_holds_it() -> None:
    low, high = counts([1] * 50, [1] * 50), counts([1] * 50, [0] * 50)
    found = mean_f1([low, high])
    assert found.value == pytest.approx((2 / 3 + 1) / 2)
    # No text differs from another, so all uncertainty is in which of the two runs is drawn.
    assert (found.low, found.high) == (pytest.approx(2 / 3), pytest.approx(1))


def test_an_interval_shrinks_as_texts_are_added() -> None:
    widths = []
    for n in (20, 2000):
        found = mean_f1([counts([0, 1] * (n // 2), [1, 0] * (n // 2))])
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 5


@pytest.mark.slow
def test_coverage_of_the_interval_is_about_95_percent() -> None:
    """Of 200 pools drawn from a known recall, about 95% of the intervals hold its F1."""
    draw, truth, hits = np.random.default_rng(1), 2 * 0.6 / 1.6, 0
    for seed in range(200):
        right = (draw.random(150) < 0.6).astype(int)
        found = mean_f1([counts(right.tolist(), (1 - right).tolist())], seed=seed)
        hits += found.low <= truth <= found.high
    assert 180 <= hits <= 198


def test_differences_are_paired() -> None:
    """Better by one in each of 40 texts whose difficulty varies much: unpaired, it would be lost."""
    sizes = [1, 9] * 20
    worse = counts([0] * 40, sizes)
    better = counts([1] * 40, [size - 1 for size in sizes])
    found = f1_difference([better], [worse])
    assert found.low > 0
    assert f1_difference([worse], [better]).high < 0
    same = f1_difference([better], [better])
    assert tuple(same) == (0, 0, 0)


def test_differences_in_pairs_leave_the_other_pairs_out() -> None:
    low, high = counts([1] * 20, [1] * 20), counts([1] * 20, [0] * 20)
    paired = f1_difference([low, high], [low, high], in_pairs=True)
    assert tuple(paired) == (0, 0, 0)
    every = f1_difference([low, high], [low, high])
    assert every.value == 0
    assert every.low < 0 < every.high


def test_differences_and_ratios_look_at_common_texts_only() -> None:
    mine = counts([1, 1, 0, 0], [0, 0, 1, 1], left_out=(3,))
    theirs = counts([1, 0, 1, 0], [0, 1, 0, 1], left_out=(0,))
    # Common are texts 1 and 2: (1, 0) and (0, 1) of 2.
    assert f1_difference([mine], [theirs]).value == pytest.approx(0)
    assert f1_ratio([mine], [theirs]).value == pytest.approx(1)


def test_a_text_without_gold_still_counts_its_false_positives() -> None:
    mine, theirs = counts([1, 0], [0, 0]), counts([1, 0], [0, 0])
    mine[1, 1] = 2
    assert f1_difference([mine], [theirs]).value == pytest.approx(0.5 - 1)


def test_a_ratio_to_nothing_is_nothing() -> None:
    assert f1_ratio([counts([1], [0])], [counts([0], [1])]).value == 0


def test_no_run_is_refused() -> None:
    for broken in (lambda: mean_f1([]), lambda: f1_difference([], [counts([1], [0])])):
        with pytest.raises(InvalidInputError):
            broken()


def correlated(x: list[float], y: list[float], texts: list[int] | None = None) -> Correlation:
    of = range(len(x)) if texts is None else texts
    return spearman(np.array(x, dtype=float), np.array(y, dtype=float), np.array(of))


def test_rank_correlation() -> None:
    x = np.arange(30.0).tolist()
    assert correlated(x, np.exp(x).tolist())[:3] == pytest.approx((1, 1, 1))
    assert correlated(x, [-(value**3) for value in x]).coefficient == pytest.approx(-1)
    # Ties share their ranks: 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
    assert correlated([0, 1, 1, 2], [0, 1, 2, 3]).coefficient == pytest.approx(0.9487, abs=1e-4)
    found = correlated(*np.random.default_rng(3).random((2, 200)).tolist())
    assert found.low < 0 < found.high


def test_pairs_of_one_text_are_no_independent_evidence() -> None:
    x, y = np.random.default_rng(5).random((2, 30)).tolist()
    once = correlated(x, y)
    often = correlated(x * 10, y * 10, list(range(30)) * 10)
    assert often.texts == 30
    assert often.coefficient == pytest.approx(once.coefficient)
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=1e-6)


def test_rank_correlation_without_enough_to_correlate() -> None:
    assert correlated([0, 1, np.nan, 2], [np.nan, 1, 2, 3]).texts == 2
    assert np.isnan(correlated([0, 1, 2, 3], [1, 1, 1, 1]).coefficient)


@pytest.mark.parametrize(
    ("values", "needed"),
    [
        ([0.5, 0.9, 1.0], 0.18),
        ([0.99, 0.99, 0.99], 0.05),
        ([0.99, 0.9, 1.0], 0.18),
        ([0.5, 0.9, 0.97], None),
        ([0.5, 1.0, 0.97], None),
    ],
)
def test_the_budget_from_which_on_the_target_is_kept(values: list[float], needed: float | None) -> None:
    points = list(zip([0.05, 0.1, 0.2], values, strict=True))
    found = budget_needed(points, 0.98)
    assert found == (None if needed is None else pytest.approx(needed))


def test_no_point_no_budget() -> None:
    assert budget_needed([], 0.98) is None
