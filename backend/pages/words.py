"""Figures as people read them: the filters of the templates."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

NOTHING: Final = "–"
MINUTE, HOUR, DAY = 60, 3600, 86400
PROBABLY: Final = 0.7

STATE_LOOKS: Final = {
    "connected": ("busy", "Connected"),
    "no_tasks": ("good", "No tasks yet"),
    "no_texts": ("bad", "No readable texts"),
    "reading": ("busy", "Reading the tasks"),
    "ranking": ("busy", "Ranking"),
    "suggesting": ("busy", "Preparing suggestions"),
    "ready": ("good", "Ready"),
    "budget_used": ("good", "Budget used up"),
    "finishing": ("busy", "Labelling the rest"),
    "finished": ("good", "Finished"),
    "capped": ("warn", "Spending cap reached"),
    "degraded": ("bad", "Needs attention"),
    "disconnected": ("warn", "Disconnected in Label Studio"),
    "refused": ("bad", "Connection refused"),
}
"""How a project's state looks, and what it is called."""

STAGE_WORDS: Final = {
    "coverage": "each time the text that helps the most others, given those before it",
    "diversity": "texts unlike each other, for a first picture of the whole",
    "similarity": "texts that the most other texts resemble",
    "uncertainty": "texts that help where nothing annotated is near",
    "coreset": "each time the text that is least like those before it",
    "votek": "texts that many others resemble, spread over the whole",
    "random": "drawn at random",
    "audit": "drawn at random, annotated without a suggestion: how good are suggestions?",
    "rest": "left to the model",
}

TASK_STATES: Final = {
    "annotated": "annotated",
    "skipped": "skipped",
    "queued": "to be annotated",
    "auto": "labelled by the model",
    "rest": "untouched",
}


def score(value: float | None) -> str:
    """A share in [0, 1] as the field writes F1: 0.7823 -> 78.2."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def change(value: float | None) -> str:
    """A difference of two scores, with its sign: -0.031 -> −3.1."""
    if value is None:
        return NOTHING
    return f"{100 * value:+.1f}".replace("-", "−")


def share(value: float | None) -> str:
    """0.4567 -> 46 %."""
    return NOTHING if value is None else f"{100 * value:.0f}\u202f%"


def number(value: float | None, digits: int = 0) -> str:
    """18000 -> 18,000."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def duration(seconds: float | None) -> str:
    """The two largest units that matter: 48 s, 3 min 20 s, 2 h 10 min, 3 d 4 h."""
    if seconds is None:
        return NOTHING
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    left = round(seconds)
    units = (("d", DAY), ("h", HOUR), ("min", MINUTE), ("s", 1))
    parts: list[tuple[int, str]] = []
    for name, size in units:
        count, left = divmod(left, size)
        if count or parts:
            parts.append((count, name))
    return " ".join(f"{count} {name}" for count, name in parts[:2] if count)


def ago(moment: float, now: float | None = None) -> str:
    """How long since a moment, in seconds since 1970: just now, 5 min ago."""
    seconds = (time.time() if now is None else now) - moment
    if seconds < MINUTE:
        return "just now"
    size, name = next((s, n) for s, n in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")) if seconds >= s)
    return f"{seconds // size:.0f} {name} ago"


def iso(moment: float) -> str:
    """For the attribute ``datetime``."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def plural(count: float, one: str, many: str = "") -> str:
    """3 -> 3 texts; 1 -> 1 text."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def errors_in_words(expected: float, chance_right: float) -> str:
    """2.3 -> about 2 marks wrong or missing."""
    if chance_right >= PROBABLY:
        return "probably all right"
    if expected < 1.5:
        return "perhaps a mark wrong or missing"
    return f"about {expected:.0f} marks wrong or missing"


def in_ten(precision: float, recall: float) -> str:
    """What precision and recall mean: (0.62, 0.5) -> of 10 marks it makes, 6 are right; ..."""
    right, found = round(10 * precision), round(10 * recall)
    return (
        f"of 10 marks it makes, {right} {'is' if right == 1 else 'are'} right; of 10 that belong, {found} "
        f"{'is' if found == 1 else 'are'} found"
    )


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "score": score,
    "change": change,
    "share": share,
    "number": number,
    "duration": duration,
    "ago": ago,
    "iso": iso,
    "plural": plural,
}
