"""What labelling the rest will take and how good it will be, in a sentence."""

from __future__ import annotations

from .advice import time_in_words
from .figures import ProjectReport


def finish_forecast(found: ProjectReport) -> str:
    """Texts, minutes, tokens, money and the F1 to expect, as far as each is known."""
    left = found.tasks - found.annotated - found.skipped
    cost = found.spending.finish_now
    takes = []
    if cost is not None:
        if cost.seconds is not None:
            takes.append(_about_so_long(cost.seconds))
        takes.append(f"{cost.prompt_tokens + cost.completion_tokens:,} tokens")
        if cost.money is not None:
            takes.append(f"a cost of {cost.money:.2f}")
    words = f"The model labels {left:,} {'text' if left == 1 else 'texts'} that nobody has annotated"
    words += f", in {_listed(takes)}." if takes else "."
    return f"{words} {_quality(found)}"


def _about_so_long(seconds: float) -> str:
    """150 -> about 2 minutes; 20 -> less than a minute."""
    minutes = seconds / 60
    return time_in_words(minutes) if minutes < 1 else f"about {time_in_words(minutes)}"


def _listed(parts: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _quality(found: ProjectReport) -> str:
    expected, advice = found.advice.expected_f1, found.advice
    if expected is None:
        return "How good its labels will be cannot be told yet: too few suggestions have been corrected."
    basis = (
        "the blind audit" if advice.basis == "blind audit" else "suggestions that people saw, which flatters"
    )
    return (
        f"Expected F1 of its labels: {100 * expected.value:.0f} (between {100 * expected.low:.0f} and "
        f"{100 * expected.high:.0f}), by {basis}."
    )
