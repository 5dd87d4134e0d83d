"""What to do next: annotate, raise the budget or let the model label the rest, and what it would bring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from allabel_core.quality.agreement import with_rule_of_three
from allabel_core.quality.curve import FEWEST, LearningCurve, expected_f1, fit_curve

from .figures import Advice, Estimate
from .measure import ENOUGH_TO_COMPARE, Compared, counts_of, rng

STEP = 20
WORTH = 0.005
"""A gain of half a point of F1 is worth annotating for ..."""
PERHAPS_WORTH = 0.02
"""... and so is the chance of two points."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a project is. ``left``: tasks that nobody has annotated or skipped; ``budget`` in tasks.

    ``finishing``: the model labels the rest, or has done so.
    """

    tasks: int
    annotated: int
    left: int
    budget: int
    finishing: bool = False

    @property
    def budget_used(self) -> bool:
        return self.annotated >= self.budget


def advise(
    compared: Sequence[Compared],
    standing: Standing,
    *,
    seconds_per_task: float | None,
    tokens_per_task: float | None,
) -> Advice:
    """The one advice that page, terminal and the project's description give."""
    found = _worth(compared, standing, seconds_per_task, tokens_per_task)
    return replace(found, sentence=_sentence(found, standing, compared), next=_next(found.verdict, standing))


def _worth(
    compared: Sequence[Compared],
    standing: Standing,
    seconds_per_task: float | None,
    tokens_per_task: float | None,
) -> Advice:
    """What the next annotations would bring and take; the verdict, not yet in words."""
    assisted = [each for each in compared if not each.blind]
    step = min(STEP, standing.left)
    if min(standing.annotated, len(assisted)) < FEWEST:
        return Advice("too_early", annotations=step)
    curve = fit_curve(counts_of(assisted), [each.before for each in assisted], rng())
    gain = Estimate(*curve.gain(standing.annotated, step))
    basis = _basis(compared)
    return Advice(
        verdict="go_on" if step and (gain.value >= WORTH or gain.high >= PERHAPS_WORTH) else "stop",
        annotations=step,
        gain=gain,
        minutes=step * seconds_per_task / 60 if seconds_per_task else None,
        tokens=round(step * tokens_per_task) if tokens_per_task else None,
        expected_f1=_expected(curve, compared, standing.annotated, basis),
        basis=basis,
    )


def _basis(compared: Sequence[Compared]) -> str:
    return "blind audit" if sum(each.blind for each in compared) >= ENOUGH_TO_COMPARE else "assisted"


def _expected(curve: LearningCurve, compared: Sequence[Compared], annotated: int, basis: str) -> Estimate:
    if basis == "assisted":
        texts = sum(not each.blind for each in compared)
        return Estimate(*with_rule_of_three(curve.level_at(annotated), texts))
    blind = [each for each in compared if each.blind]
    before = [each.before for each in blind]
    return Estimate(*expected_f1(curve, annotated, counts_of(blind), before, rng()))


def _next(verdict: str, standing: Standing) -> str:
    if not standing.tasks:
        return "import"
    if standing.finishing:
        return "review"
    if not standing.left:
        return "export"
    if verdict == "stop":
        return "finish"
    return "raise" if standing.budget_used else "annotate"


def _sentence(found: Advice, standing: Standing, compared: Sequence[Compared]) -> str:
    if not standing.tasks:
        return "The project has no texts yet. Import some in Label Studio; they are ranked by themselves."
    if not standing.left:
        return "You can stop, because every text is annotated."
    if standing.finishing:
        return (
            "What nobody annotates is left to the model. Check its labels, those with the most expected "
            "errors first."
        )
    if not standing.budget:
        return (
            "The budget is 0, so no text is asked for. Raise it: without annotated texts the model has "
            "nothing to go by."
        )
    if found.verdict == "too_early":
        return _too_early(standing, sum(not each.blind for each in compared))
    used = "The budget is used up, and " if standing.budget_used else ""
    facts = _facts(found)
    subject = f"the next {found.annotations} annotations" if found.annotations > 1 else "the last annotation"
    promise = f"{subject} {'promise' if found.annotations > 1 else 'promises'}"
    if found.verdict == "stop":
        return f"{used or 'You can stop, because '}{promise} hardly anything: {facts}."
    if used:
        return f"{used}it is worth raising: {promise} {facts}."
    return f"Go on, because {promise} {facts}."


def _too_early(standing: Standing, assisted: int) -> str:
    missing = FEWEST - min(standing.annotated, assisted)
    more = f"{missing} more {'text' if missing == 1 else 'texts'} with a suggestion"
    words = f"Too early to tell: below {FEWEST} annotated texts suggestions are unstable."
    if standing.budget_used:
        used = f"The budget is used up, with {standing.annotated} of {standing.tasks} texts annotated."
        if missing > standing.left:
            return f"{used} The project is too small for more advice."
        return f"{used} {words} Raise the budget for {more}, or let the model label the rest."
    if missing > standing.left:
        return f"{words} The project is too small for more advice."
    if standing.annotated + missing > standing.budget:
        return f"{words} The budget of {_texts(standing.budget)} ends before that; advice needs {more}."
    return f"{words} Annotate {more}."


def _texts(count: int) -> str:
    return f"{count} {'text' if count == 1 else 'texts'}"


def _facts(found: Advice) -> str:
    if found.gain is None:
        return ""
    low, high = 100 * found.gain.low, 100 * found.gain.high
    points = f"about +{100 * found.gain.value:.1f} F1 (between {low:.1f} and {high:.1f})"
    price = [time_in_words(found.minutes)] if found.minutes is not None else []
    price += [f"{found.tokens:,} tokens"] if found.tokens is not None else []
    return f"{points} for {' and '.join(price)}" if price else points


def time_in_words(minutes: float) -> str:
    """1.2 -> 1 minute."""
    if minutes < 1:
        return "less than a minute"
    return f"{minutes:.0f} {'minute' if round(minutes) == 1 else 'minutes'}"
