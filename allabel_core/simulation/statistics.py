"""How sure the results are: bootstrap over texts and seeds, paired where runs share texts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

from allabel_core.errors import InvalidInputError
from allabel_core.types import FloatArray, IntArray

RESAMPLES = 1_000
LEVEL = 0.95
EVALUATED = 3
"""The column that says whether a text was evaluated."""


class Estimate(NamedTuple):
    """A value and its 95% interval."""

    value: float
    low: float
    high: float


class Correlation(NamedTuple):
    """Spearman's rank correlation, its 95% interval, and over how many texts."""

    coefficient: float
    low: float
    high: float
    texts: int


def mean_f1(runs: Sequence[IntArray], rng: np.random.Generator) -> Estimate:
    """The mean F1 of runs that differ in their seed.

    :param runs: per run (n, 4), a row per text of the pool: tp, fp, fn, 1; zeros where not evaluated.
    :raises InvalidInputError: no run.
    """
    weights = _text_weights(runs, rng)
    return _estimate([(f1(weights[:1] @ run)[0], f1(weights[1:] @ run)) for run in runs], rng)


def f1_ratio(runs: Sequence[IntArray], against: Sequence[IntArray], rng: np.random.Generator) -> Estimate:
    """The mean of F1 / F1, run by run; each pair on its common texts. Raises as ``mean_f1``.

    A pair whose second F1 is 0 has the ratio 0.
    """
    weights = _text_weights(runs, rng)
    found = []
    for run, other in zip(runs, against, strict=True):
        mine, theirs = _common(run, other)
        ratios = _ratio(f1(weights @ mine), f1(weights @ theirs))
        found.append((float(ratios[0]), ratios[1:]))
    return _estimate(found, rng)


def f1_difference(
    runs: Sequence[IntArray], against: Sequence[IntArray], rng: np.random.Generator
) -> Estimate:
    """The mean of F1 - F1 over all pairs of a run and another, each on the texts that both evaluated.

    An interval that leaves out 0 is a difference at the 5% level. Raises as ``mean_f1``.
    """
    weights = _text_weights([*runs, *against] if runs and against else [], rng)
    found = []
    for run, other in product(runs, against):
        mine, theirs = _common(run, other)
        differences = f1(weights @ mine) - f1(weights @ theirs)
        found.append((float(differences[0]), differences[1:]))
    return _estimate(found, rng)


def f1(sums: IntArray) -> FloatArray:
    """(rows,) from (rows, 3 or more): tp, fp, fn; 0 where there is nothing to find and nothing found."""
    twice = 2.0 * sums[:, 0]
    values: FloatArray = twice / np.maximum(1, twice + sums[:, 1] + sums[:, 2])
    return values


def spearman(x: FloatArray, y: FloatArray, rng: np.random.Generator) -> Correlation:
    """Rank correlation of two quantities over texts; NaN pairs are left out, NaN for fewer than 3."""
    usable = np.isfinite(x) & np.isfinite(y)
    x, y = x[usable], y[usable]
    if len(x) < 3:
        return Correlation(np.nan, np.nan, np.nan, len(x))
    drawn = rng.integers(len(x), size=(RESAMPLES, len(x)))
    samples = np.array([_rank_correlation(x[rows], y[rows]) for rows in drawn])
    finite = samples[np.isfinite(samples)]
    low, high = np.quantile(finite, _TAILS) if len(finite) else (np.nan, np.nan)
    return Correlation(_rank_correlation(x, y), float(low), float(high), len(x))


def budget_needed(points: Sequence[tuple[float, float]], target: float) -> float | None:
    """The share of texts from which on the curve is at or above ``target``, linear between points.

    :param points: (share annotated, value), by rising share. None where the curve's end is below.
    """
    if not points or points[-1][1] < target:
        return None
    for (share, value), (next_share, next_value) in reversed(list(pairwise(points))):
        if value < target:
            return share + (next_share - share) * (target - value) / (next_value - value)
    return points[0][0]


_TAILS = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]


def _text_weights(runs: Sequence[IntArray], rng: np.random.Generator) -> IntArray:
    """(1 + RESAMPLES, n): each text once, then how often each resample draws it."""
    if not runs:
        raise InvalidInputError("statistics need at least one run")
    n = len(runs[0])
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    return np.concatenate([np.ones((1, n), dtype=np.int64), drawn])


def _common(run: IntArray, other: IntArray) -> tuple[IntArray, IntArray]:
    """Both without the texts that one of them did not evaluate."""
    both = (run[:, EVALUATED] * other[:, EVALUATED])[:, None]
    return run * both, other * both


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _estimate(found: Sequence[tuple[float, FloatArray]], rng: np.random.Generator) -> Estimate:
    """Mean over runs; the runs, too, are drawn anew in each resample."""
    values = np.array([value for value, _ in found])
    samples = np.array([resampled for _, resampled in found])
    which = rng.integers(len(found), size=(RESAMPLES, len(found)))
    means = samples[which, np.arange(RESAMPLES)[:, None]].mean(axis=1)
    low, high = np.quantile(means, _TAILS)
    return Estimate(float(values.mean()), float(low), float(high))


def _rank_correlation(x: FloatArray, y: FloatArray) -> float:
    ranks = [_ranks(x), _ranks(y)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: FloatArray) -> FloatArray:
    """Average ranks of equal values."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: FloatArray = (last - (counts - 1) / 2)[inverse]
    return ranks
