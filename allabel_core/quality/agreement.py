"""F1 of suggestions against annotations, with intervals: of one set of texts, of two, and along a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from allabel_core.errors import InvalidInputError
from allabel_core.metrics import Counts
from allabel_core.types import FloatArray, IntArray

RESAMPLES = 1_000
TAILS = (0.025, 0.975)
SHORTEST_RUN = 5
MOST_RUNS = 12


class Estimate(NamedTuple):
    """A value and its 95% interval."""

    value: float
    low: float
    high: float


class RunPoint(NamedTuple):
    """F1 over a run of texts that ends with the one at ``position``, counted from 1."""

    position: int
    f1: Estimate


def f1_estimate(counts: Sequence[Counts], rng: np.random.Generator) -> Estimate:
    """F1 over all texts; the interval draws texts again with replacement.

    :raises InvalidInputError: no text.
    """
    table = _table(counts)
    found = estimated(_f1(table.sum(axis=0)[None])[0], _f1(_weights(len(table), rng) @ table))
    return with_rule_of_three(found, len(table))


def f1_difference(first: Sequence[Counts], second: Sequence[Counts], rng: np.random.Generator) -> Estimate:
    """F1 of the first texts minus F1 of the second ones, which are others; raises as ``f1_estimate``.

    Its interval carries what both intervals leave open: their arms are combined as the sides of a right
    angle (the method of variance estimates recovery; Zou and Donner, Statistics in Medicine 2008).
    """
    one, other = f1_estimate(first, rng), f1_estimate(second, rng)
    value = one.value - other.value
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(value, max(-1.0, value - below), min(1.0, value + above))


def f1_along(counts: Sequence[Counts], rng: np.random.Generator) -> list[RunPoint]:
    """F1 over consecutive runs of texts as equal in length as can be: at most 12, of at least 5 texts."""
    runs = min(MOST_RUNS, len(counts) // SHORTEST_RUN)
    ends = [round(len(counts) * (i + 1) / runs) for i in range(runs)]
    return [
        RunPoint(end, f1_estimate(counts[start:end], rng))
        for start, end in zip([0, *ends], ends, strict=False)
    ]


def estimated(value: float, resampled: FloatArray) -> Estimate:
    """The value with the percentiles of what the resamples gave."""
    low, high = np.quantile(resampled, TAILS)
    return Estimate(float(value), float(low), float(high))


def with_rule_of_three(found: Estimate, texts: int) -> Estimate:
    """Where all texts were wholly right, so are all resamples: then the chance of a faulty one may still
    be 3 / n, with 95% confidence; and likewise where nothing was right."""
    doubt = min(1.0, 3 / texts)
    if found.low > 1 - 1e-9:
        return found._replace(low=1 - doubt)
    return found._replace(high=doubt) if found.high < 1e-9 else found


def _table(counts: Sequence[Counts]) -> IntArray:
    """(texts, 3): tp, fp, fn."""
    if not counts:
        raise InvalidInputError("an interval needs at least one text")
    return np.array([(c.tp, c.fp, c.fn) for c in counts], dtype=np.int64)


def _weights(n: int, rng: np.random.Generator) -> IntArray:
    """(RESAMPLES, n): how often each resample draws each text."""
    return rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)


def _f1(sums: IntArray) -> FloatArray:
    twice = 2.0 * sums[:, 0]
    f1: FloatArray = twice / np.maximum(1, twice + sums[:, 1] + sums[:, 2])
    return f1
