"""How quickly people annotate: it decides how much of a queue must be ready, and what may be open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..ports import Submission
from .tools import Tools

ACTIVE_SECONDS = 900.0
"""Whoever has submitted within so long is at work."""

LAG_SECONDS = 5.0
"""From an annotation to the queue that knows of it, besides the sync itself."""

LONGEST_FRONT = 200
SPARE_PLACES = 10


@dataclass(frozen=True, slots=True)
class Pace:
    """``people`` at work, ``annotations`` that come in until the queue knows of the first of them."""

    people: int = 0
    annotations: float = 0.0

    @property
    def renewed_places(self) -> int:
        """So many places behind those that are open are renewed at once; people reach the others later."""
        return max(SPARE_PLACES, math.ceil(self.people + self.annotations + LAG_SECONDS))


def measure_pace(submissions: Sequence[Submission], now: float, sync_seconds: float) -> Pace:
    """The pace of the last quarter of an hour.

    :param submissions: all of the project, in the order of submission.
    :param now: in seconds since 1970.
    """
    recent = []
    for each in reversed(submissions):
        age = now - datetime.fromisoformat(each.created_at).timestamp()
        if age > ACTIVE_SECONDS:
            break
        recent.append((age, each.annotator))
    if not recent:
        return Pace()
    # Where people have only just begun, the rate is that of the time since.
    seconds = max(60.0, min(ACTIVE_SECONDS, recent[-1][0]))
    people = len({annotator for _, annotator in recent})
    return Pace(people, len(recent) / seconds * (sync_seconds + LAG_SECONDS))


def note_pace(tools: Tools, project_id: int, submissions: Sequence[Submission]) -> None:
    """Keep the pace of now for whatever depends on it."""
    store = tools.store
    pace = measure_pace(submissions, store.now(), float(store.fact(project_id, "sync_seconds") or 0))
    store.set_facts(project_id, people=pace.people, annotations_ahead=round(pace.annotations, 2))


def noted_pace(tools: Tools, project_id: int) -> Pace:
    """As of the last sync."""
    facts = tools.store.facts(project_id)
    return Pace(int(facts.get("people", 0)), float(facts.get("annotations_ahead", 0.0)))


def front_size(tools: Tools, project_id: int) -> int:
    """How many places of the queue are to carry suggestions: the window, or more where people are quick."""
    window = tools.store.settings(project_id).window
    pace = noted_pace(tools, project_id)
    needed = math.ceil(pace.people + 3 * pace.annotations) + SPARE_PLACES
    return max(window, min(needed, LONGEST_FRONT)) if pace.people else window
