"""The advice in people's units: go on, stop, or too early to tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from allabel_core.metrics import Counts
from allabel_core.types import Document
from backend.ports import Submission
from backend.usecases.advice import Standing, advise
from backend.usecases.figures import Advice
from backend.usecases.measure import Compared, quality

NOBODY = Submission(1, 1, "2026-01-01", None, 9.0, Document("", ()), True)


def compared(counts: Sequence[Counts], *, blind: int = 0) -> list[Compared]:
    """Texts annotated one after the other, the last ``blind`` of them without a suggestion."""
    first_blind = len(counts) - blind
    return [
        Compared(NOBODY, Document("", ()), number >= first_blind, number, each, [])
        for number, each in enumerate(counts)
    ]


def advice_on(
    texts: list[Compared],
    *,
    left: int = 100,
    seconds: float | None = 30.0,
    budget: int | None = None,
    finishing: bool = False,
) -> Advice:
    tasks = len(texts) + left
    budget = tasks if budget is None else budget
    return advise(
        texts,
        Standing(tasks, len(texts), left, budget, finishing),
        seconds_per_task=seconds,
        tokens_per_task=200 if seconds else None,
    )


def rising(n: int) -> list[Counts]:
    """100 mentions a text, of which 10 are right at the beginning and the more the later."""
    return [Counts(tp=right, fp=100 - right, fn=100 - right) for right in (10 + 2 * i for i in range(n))]


def test_below_twenty_it_says_how_many_are_missing() -> None:
    assert advice_on(compared(rising(19))).sentence.endswith("Annotate 1 more text with a suggestion.")
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
        (0, 60.0, "because every text is annotated."),
    ],
)
def test_units(left: int, seconds: float | None, ending: str) -> None:
    advice = advice_on(compared([Counts(tp=5)] * 25), left=left, seconds=seconds)
    assert advice.sentence.endswith(ending)
    assert ("the last annotation promises" in advice.sentence) == (left == 1)


@pytest.mark.parametrize(
    ("texts", "options", "words", "to_do"),
    [
        ([], {"left": 0}, "The project has no texts yet. Import some in Label Studio", "import"),
        ([], {"budget": 0}, "The budget is 0, so no text is asked for. Raise it", "raise"),
        (
            [Counts(tp=5)] * 2,
            {"budget": 4},
            "Too early to tell: below 20 annotated texts suggestions are unstable. The budget of 4 texts "
            "ends before that; advice needs 18 more texts with a suggestion.",
            "annotate",
        ),
        (
            [Counts(tp=5)] * 4,
            {"budget": 4},
            "The budget is used up, with 4 of 104 texts annotated. Too early to tell: below 20 annotated "
            "texts suggestions are unstable. Raise the budget for 16 more texts with a suggestion, or let "
            "the model label the rest.",
            "raise",
        ),
        (
            [Counts(tp=5)] * 25,
            {"budget": 25},
            "The budget is used up, and the next 20 annotations promise hardly anything: about +0.0 F1",
            "finish",
        ),
        (rising(25), {"budget": 25}, "The budget is used up, and it is worth raising: the next 20", "raise"),
        (rising(25), {"budget": 30}, "Go on, because the next 20 annotations promise", "annotate"),
        (
            rising(25),
            {"budget": 25, "finishing": True},
            "What nobody annotates is left to the model",
            "review",
        ),
        (rising(25), {"left": 0}, "You can stop, because every text is annotated.", "export"),
    ],
)
def test_one_advice_for_every_standing(
    texts: list[Counts], options: dict[str, Any], words: str, to_do: str
) -> None:
    advice = advice_on(compared(texts), **options)
    assert advice.sentence.startswith(words)
    assert advice.next == to_do


def test_assisted_and_blind_texts_are_compared_from_ten_of_each_on() -> None:
    texts = [Counts(tp=9, fp=1, fn=1)] * 30 + [Counts(tp=5, fp=5, fn=5)] * 10
    assert quality(compared(texts[:-1], blind=9)).difference is None
    found = quality(compared(texts, blind=10))
    assert found.difference is not None
    assert found.difference.value == pytest.approx(0.4)
    assert quality(compared(texts[-19:], blind=10)).difference is None
