"""The advice in people's units: go on, stop, or too early to tell."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from allabel_core.metrics import Counts
from allabel_core.types import Document
from backend.ports import Submission
from backend.usecases.advice import advise
from backend.usecases.figures import Advice
from backend.usecases.measure import Compared

NOBODY = Submission(1, 1, "2026-01-01", None, 9.0, Document("", ()), True)


def compared(counts: Sequence[Counts], *, blind: int = 0) -> list[Compared]:
    """Texts annotated one after the other, the last ``blind`` of them without a suggestion."""
    first_blind = len(counts) - blind
    return [
        Compared(NOBODY, Document("", ()), number >= first_blind, number, each)
        for number, each in enumerate(counts)
    ]


def advice_on(texts: list[Compared], *, left: int = 100, seconds: float | None = 30.0) -> Advice:
    return advise(
        texts,
        annotated=len(texts),
        left=left,
        seconds_per_task=seconds,
        tokens_per_task=200 if seconds else None,
    )


def rising(n: int) -> list[Counts]:
    """100 mentions a text, of which 10 are right at the beginning and the more the later."""
    return [Counts(tp=right, fp=100 - right, fn=100 - right) for right in (10 + 2 * i for i in range(n))]


def test_below_twenty_it_says_how_many_are_missing() -> None:
    assert advice_on(compared(rising(19))).sentence.endswith("Annotate 1 more task with a suggestion.")
    assert advice_on(compared(rising(5))).verdict == "too_early"
    assert advice_on(compared(rising(5)), left=14).sentence.endswith("too small for more advice.")


def test_a_rising_curve_is_worth_going_on() -> None:
    advice = advice_on(compared(rising(30)))
    assert advice.verdict == "go_on"
    assert advice.gain is not None
    assert advice.gain.value > 0.05
    points = f"about +{100 * advice.gain.value:.1f} F1"
    assert advice.sentence.startswith(f"Go on, because the next 20 annotations promise {points} (between ")
    assert advice.sentence.endswith(") for 10 minutes and 4,000 tokens.")


def test_a_model_that_is_always_right_needs_nobody() -> None:
    advice = advice_on(compared([Counts(tp=5)] * 40, blind=12))
    assert advice.sentence == (
        "You can stop, because the next 20 annotations promise hardly anything: "
        "about +0.0 F1 (between 0.0 and 0.0) for 10 minutes and 4,000 tokens."
    )
    assert advice.expected_f1 is not None
    assert advice.basis == "blind audit"
    # Twelve blind texts without a fault: 3 / 12 of the others may have one.
    assert (advice.expected_f1.value, advice.expected_f1.low) == pytest.approx((1.0, 0.75))


@pytest.mark.parametrize(
    ("left", "seconds", "ending"),
    [
        (20, 1.0, "for less than a minute and 4,000 tokens."),
        (20, 2.9, "for less than a minute and 4,000 tokens."),
        (20, 3.0, "for 1 minute and 4,000 tokens."),
        (20, None, "(between 0.0 and 0.0)."),
        (1, 60.0, "for 1 minute and 200 tokens."),
        (0, 60.0, "because every task is annotated."),
    ],
)
def test_units(left: int, seconds: float | None, ending: str) -> None:
    advice = advice_on(compared([Counts(tp=5)] * 25), left=left, seconds=seconds)
    assert advice.sentence.endswith(ending)
    assert ("the last annotation promises" in advice.sentence) == (left == 1)
