"""How sure the results are: bootstrap over texts and seeds, paired where runs share texts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
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


def mean_f1(runs: Sequence[IntArray], *, seed: int = 0) -> Estimate:
    """The mean F1 of runs that differ in their seed.

    :param runs: per run (n, 4), a row per text of the pool: tp, fp, fn, 1; zeros where not evaluated.
    :raises InvalidInputError: no run.
    """
    weights = _text_weights(_pool_size(runs), seed)
    return _estimate([(f1(weights[:1] @ run)[0], f1(weights[1:] @ run)) for run in runs], seed)


def f1_ratio(runs: Sequence[IntArray], against: Sequence[IntArray], *, seed: int = 0) -> Estimate:
    """The mean of F1 / F1, run by run; each pair on its common texts. Raises as ``mean_f1``.

    A pair whose second F1 is 0 has the ratio 0.
    """
    weights = _text_weights(_pool_size(runs), seed)
    found = []
    for run, other in zip(runs, against, strict=True):
        mine, theirs = _common(run, other)
        ratios = _ratio(f1(weights @ mine), f1(weights @ theirs))
        found.append((float(ratios[0]), ratios[1:]))
    return _estimate(found, seed)


def f1_difference(
    runs: Sequence[IntArray], against: Sequence[IntArray], *, in_pairs: bool = False, seed: int = 0
) -> Estimate:
    """The mean of F1 - F1 over all pairs of a run and another, each on the texts that both evaluated.

    :param in_pairs: the first run belongs to the first other one, and so on; no other pairs.

    An interval that leaves out 0 is a difference at the 5% level. Raises as ``mean_f1``.
    """
    weights = _text_weights(min(_pool_size(runs), _pool_size(against)), seed)
    found = []
    pairs = zip(runs, against, strict=True) if in_pairs else product(runs, against)
    for run, other in pairs:
        mine, theirs = _common(run, other)
        differences = f1(weights @ mine) - f1(weights @ theirs)
        found.append((float(differences[0]), differences[1:]))
    return _estimate(found, seed)


def f1(sums: IntArray) -> FloatArray:
    """(rows,) from (rows, 3 or more): tp, fp, fn; 0 where there is nothing to find and nothing found."""
    twice = 2.0 * sums[:, 0]
    values: FloatArray = twice / np.maximum(1, twice + sums[:, 1] + sums[:, 2])
    return values


def spearman(x: FloatArray, y: FloatArray, texts: IntArray, *, seed: int = 0) -> Correlation:
    """Rank correlation; pairs with a NaN are left out, and fewer than 3 pairs give NaN.

    The interval resamples texts and keeps the ranks.

    :param texts: (pairs,) the text of each pair: pairs of one text come or stay away together.
    """
    usable = np.isfinite(x) & np.isfinite(y)
    names, texts = np.unique(texts[usable], return_inverse=True)
    ranks = np.array([_ranks(x[usable]), _ranks(y[usable])])
    if ranks.shape[1] < 3 or (np.ptp(ranks, axis=1) == 0).any():
        return Correlation(np.nan, np.nan, np.nan, len(names))
    a, b = ranks - ranks.mean(axis=1, keepdims=True)
    moments = np.zeros((len(names), 6))
    np.add.at(moments, texts, np.array([np.ones_like(a), a, b, a * a, b * b, a * b]).T)
    n, sum_a, sum_b, aa, bb, ab = (_text_weights(len(names), seed) @ moments).T
    spread = np.sqrt(np.maximum(0, n * aa - sum_a**2) * np.maximum(0, n * bb - sum_b**2))
    found = np.divide(n * ab - sum_a * sum_b, spread, out=np.zeros_like(n), where=spread > 0)
    low, high = np.quantile(found[1:], _TAILS)
    return Correlation(float(found[0]), float(low), float(high), len(names))


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


def _pool_size(runs: Sequence[IntArray]) -> int:
    if not runs:
        raise InvalidInputError("statistics need at least one run")
    return len(runs[0])


@lru_cache(maxsize=8)
def _text_weights(n: int, seed: int) -> IntArray:
    """(1 + RESAMPLES, n): each text once, then how often each resample draws it."""
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    return np.concatenate([np.ones((1, n), dtype=np.int64), drawn])


def _common(run: IntArray, other: IntArray) -> tuple[IntArray, IntArray]:
    """Both without the texts that one of them did not evaluate."""
    both = (run[:, EVALUATED] * other[:, EVALUATED])[:, None]
    return run * both, other * both


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _estimate(found: Sequence[tuple[float, FloatArray]], seed: int) -> Estimate:
    """Mean over runs; the runs, too, are drawn anew in each resample."""
    values = np.array([value for value, _ in found])
    samples = np.array([resampled for _, resampled in found])
    which = np.random.default_rng(seed + 1).integers(len(found), size=(RESAMPLES, len(found)))
    means = samples[which, np.arange(RESAMPLES)[:, None]].mean(axis=1)
    low, high = np.quantile(means, _TAILS)
    return Estimate(float(values.mean()), float(low), float(high))


def _ranks(values: FloatArray) -> FloatArray:
    """Average ranks of equal values."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: FloatArray = (last - (counts - 1) / 2)[inverse]
    return ranks
