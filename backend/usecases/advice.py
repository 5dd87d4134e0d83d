"""Whether more annotations are worth it, in the units of the people who make them."""

from __future__ import annotations

from collections.abc import Sequence

from allabel_core.quality.agreement import with_rule_of_three
from allabel_core.quality.curve import FEWEST, LearningCurve, expected_f1, fit_curve

from .figures import Advice, Estimate
from .measure import Compared, counts_of, rng

STEP = 20
WORTH = 0.005
"""A gain of half a point of F1 is worth annotating for ..."""
PERHAPS_WORTH = 0.02
"""... and so is the chance of two points."""
ENOUGH_BLIND = 10


def advise(
    compared: Sequence[Compared],
    *,
    annotated: int,
    left: int,
    seconds_per_task: float | None,
    tokens_per_task: float | None,
) -> Advice:
    """What the next annotations would bring and take.

    :param annotated: tasks annotated so far. :param left: tasks that are not.
    """
    assisted = [each for each in compared if not each.blind]
    step = min(STEP, left)
    if annotated < FEWEST or len(assisted) < FEWEST:
        return Advice("too_early", _too_early(FEWEST - min(annotated, len(assisted)), left), step)
    curve = fit_curve(counts_of(assisted), [each.before for each in assisted], rng())
    gain = Estimate(*curve.gain(annotated, step))
    basis = _basis(compared)
    minutes = step * seconds_per_task / 60 if seconds_per_task else None
    tokens = round(step * tokens_per_task) if tokens_per_task else None
    verdict = "go_on" if step and (gain.value >= WORTH or gain.high >= PERHAPS_WORTH) else "stop"
    return Advice(
        verdict=verdict,
        sentence=_sentence(verdict, step, gain, minutes, tokens),
        annotations=step,
        gain=gain,
        minutes=minutes,
        tokens=tokens,
        expected_f1=_expected(curve, compared, annotated, basis),
        basis=basis,
    )


def _too_early(missing: int, left: int) -> str:
    words = f"Too early to tell: below {FEWEST} demonstrations suggestions are unstable."
    if missing > left:
        return f"{words} The project is too small for more advice."
    return f"{words} Annotate {missing} more {'task' if missing == 1 else 'tasks'} with a suggestion."


def _basis(compared: Sequence[Compared]) -> str:
    return "blind audit" if sum(each.blind for each in compared) >= ENOUGH_BLIND else "assisted"


def _expected(curve: LearningCurve, compared: Sequence[Compared], annotated: int, basis: str) -> Estimate:
    if basis == "assisted":
        texts = sum(not each.blind for each in compared)
        return Estimate(*with_rule_of_three(curve.level_at(annotated), texts))
    blind = [each for each in compared if each.blind]
    before = [each.before for each in blind]
    return Estimate(*expected_f1(curve, annotated, counts_of(blind), before, rng()))


def _sentence(verdict: str, step: int, gain: Estimate, minutes: float | None, tokens: int | None) -> str:
    if step == 0:
        return "You can stop, because every task is annotated."
    points = f"about +{100 * gain.value:.1f} F1 (between {100 * gain.low:.1f} and {100 * gain.high:.1f})"
    price = [_time(minutes)] if minutes is not None else []
    price += [f"{tokens:,} tokens"] if tokens is not None else []
    facts = f"{points} for {' and '.join(price)}" if price else points
    promise = f"the next {step} annotations promise" if step > 1 else "the last annotation promises"
    if verdict == "go_on":
        return f"Go on, because {promise} {facts}."
    return f"You can stop, because {promise} hardly anything: {facts}."


def _time(minutes: float) -> str:
    if minutes < 1:
        return "less than a minute"
    return f"{minutes:.0f} {'minute' if round(minutes) == 1 else 'minutes'}"
