"""The learning curve: what more annotations will bring, and how good the rest will be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from allabel_core.errors import InvalidInputError
from allabel_core.metrics import Counts
from allabel_core.quality.agreement import RESAMPLES, Estimate, estimated, with_rule_of_three
from allabel_core.types import FloatArray

EXPONENTS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
FEWEST = 20
"""Below so many demonstrations suggestions are unstable, as the method's paper found; nothing is fitted."""


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """F1 after n annotations: level - drop * (n + 1) ** -exponent, a power law that never falls.

    The arrays hold the fit itself first, then those of the resamples, (1 + RESAMPLES,) each.
    """

    level: FloatArray
    drop: FloatArray
    exponent: FloatArray

    def gain(self, now: int, more: int) -> Estimate:
        """What F1 rises by from ``now`` annotations to ``now + more``."""
        rise = self.at(now + more) - self.at(now)
        return estimated(rise[0], rise[1:])

    def level_at(self, annotated: int) -> Estimate:
        """F1 after so many annotations."""
        values = self.at(annotated)
        return estimated(values[0], values[1:])

    def at(self, annotated: float) -> FloatArray:
        """(1 + RESAMPLES,): F1 after so many annotations."""
        values: FloatArray = np.clip(self.level - self.drop * (annotated + 1.0) ** -self.exponent, 0.0, 1.0)
        return values


def fit_curve(counts: Sequence[Counts], before: Sequence[int], rng: np.random.Generator) -> LearningCurve:
    """Least squares of each text's F1 by how many texts were annotated before it.

    A text weighs as many as it has entities, suggested or true, (2 tp + fp + fn) / 2, so that a level
    curve has the F1 over all texts. The exponent is the best of ``EXPONENTS``.

    :param before: parallel to ``counts``.
    :raises InvalidInputError: fewer than 20 texts.
    """
    if len(counts) < FEWEST:
        raise InvalidInputError(f"a learning curve needs at least {FEWEST} texts, not {len(counts)}")
    n = len(counts)
    entities = np.array([(2 * c.tp + c.fp + c.fn) / 2 for c in counts])
    f1 = np.array([c.f1 for c in counts])
    known = np.asarray(before, dtype=np.float64) + 1
    drawn = np.concatenate([np.ones((1, n)), rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)])
    weights = drawn * entities
    fits = [_fit_line(known**-exponent, f1, weights) for exponent in EXPONENTS]
    best = np.argmin([error for _, _, error in fits], axis=0)
    rows = np.arange(len(weights))
    return LearningCurve(
        level=np.array([level for level, _, _ in fits])[best, rows],
        drop=np.array([drop for _, drop, _ in fits])[best, rows],
        exponent=np.array(EXPONENTS)[best],
    )


def _fit_line(x: FloatArray, y: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """For each row of weights (level, drop, squared error) of y = level - drop * x, drop >= 0, level <= 1."""
    total = np.maximum(weights.sum(axis=1), 1e-12)
    mean_x, mean_y = weights @ x / total, weights @ y / total
    variance = weights @ x**2 / total - mean_x**2
    covariance = weights @ (x * y) / total - mean_x * mean_y
    slope = np.divide(covariance, variance, out=np.zeros_like(total), where=variance > 1e-12)
    drop = np.maximum(0.0, -slope)
    level = mean_y + drop * mean_x
    too_high = level > 1
    # With the level held at 1, the drop that is left: least squares of 1 - y on x.
    held = (weights @ ((1 - y) * x)) / np.maximum(weights @ x**2, 1e-12)
    drop, level = np.where(too_high, held, drop), np.where(too_high, 1.0, level)
    squares = weights @ y**2 / total - 2 * level * mean_y + level**2
    error = (
        squares + 2 * drop * (weights @ (x * y) / total - level * mean_x) + drop**2 * (weights @ x**2 / total)
    )
    return level, drop, error


def expected_f1(
    curve: LearningCurve,
    now: int,
    blind: Sequence[Counts],
    before: Sequence[int],
    rng: np.random.Generator,
) -> Estimate:
    """F1 to expect after ``now`` annotations of texts like the blind ones, which were drawn at random.

    What was measured on them, plus what the curve has risen by since each was asked about.

    :param before: for each blind text, how many texts were annotated before it.
    :raises InvalidInputError: there are none.
    """
    if not blind:
        raise InvalidInputError("an expectation needs at least one blind text")
    n = len(blind)
    tp = np.array([c.tp for c in blind], dtype=np.float64)
    entities = np.array([(2 * c.tp + c.fp + c.fn) / 2 for c in blind])
    drawn = np.concatenate([np.ones((1, n)), rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)])
    total = np.maximum(drawn @ entities, 0.5)
    then = np.stack([curve.at(number) for number in before], axis=1)
    risen = curve.at(now) - ((drawn * entities) * then).sum(axis=1) / total
    # Without any entity drawn there is nothing to have risen from.
    risen = np.where(drawn @ entities > 0, risen, 0.0)
    values = np.clip(drawn @ tp / total + risen, 0.0, 1.0)
    return with_rule_of_three(estimated(values[0], values[1:]), n)
