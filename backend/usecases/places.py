"""Where each task of a queue stands in Label Studio, and what must change there. No I/O.

Label Studio serves ascending scores. Scores below one half are the front: tasks with suggestions, in the
order of the queue. Above it lie empty places for the rest of the budget, so that there is a next task even
while people are quicker than the model. There the end of the queue comes first, since what comes to the
front soon must not be opened before it has its suggestion.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

from ..ports import NewPrediction, Place, PlaceState, PredictionChange

Regions: TypeAlias = list[dict[str, Any]]

RETIRED_VERSION = "allabel-retired"

FRONT_BEGINS = 0.25
FRONT_ENDS = 0.5
ASIDE = 1.0
"""The score of a task that was opened out of turn: behind everything else."""

STEP = 1e-5
"""The distance of two places that are appended to the front: room for 50,000, and between any two for 20."""

NARROWEST = 1e-12
"""Below this distance of two places, the whole front gets new scores."""


def digest(result: Regions) -> str:
    """What an annotator would see of these regions."""
    return hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()[:16]


EMPTY = digest([])


@dataclass(frozen=True, slots=True)
class Target:
    """How the queue is to stand in Label Studio.

    ``front``: task -> regions that annotators are to see, in the order of serving; None: those it has.
    ``behind``: tasks of the queue that have no suggestion yet, next one first. ``aside``: task -> regions,
    of tasks that were opened out of turn. ``staying``: tasks whose places stay though they are none of
    these, since they are annotated or may be open. ``fixed``: tasks that may be open, whose regions stay.
    """

    front: Mapping[int, Regions | None]
    behind: Sequence[int] = ()
    aside: Mapping[int, Regions] = field(default_factory=dict)
    staying: Collection[int] = frozenset()
    fixed: Collection[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Difference:
    """By task, what is to be changed, nearest to the annotators first; and what is to be made."""

    changes: dict[int, PredictionChange] = field(default_factory=dict)
    new: list[NewPrediction] = field(default_factory=list)


def difference(board: Mapping[int, Place], target: Target, version: str) -> Difference:
    """What makes ``board`` agree with ``target``, in as few changes as possible."""
    changes: dict[int, PredictionChange] = {}
    new: list[NewPrediction] = []
    scores = _scores(board, target)
    for task_id, result in {**target.front, **dict.fromkeys(target.behind)}.items():
        place = board.get(task_id)
        if place is None:
            new.append(NewPrediction(task_id, result or [], scores[task_id]))
            continue
        change = PredictionChange(
            place.prediction_id,
            result=result if _may_change(place, result, task_id in target.fixed) else None,
            score=scores[task_id] if scores[task_id] != place.score else None,
            model_version=version if place.state is PlaceState.RETIRED else None,
        )
        if change != PredictionChange(place.prediction_id):
            changes[task_id] = change
    for task_id, result in target.aside.items():
        place = board.get(task_id)
        if place and task_id not in scores and _may_change(place, result, is_fixed=False):
            changes[task_id] = PredictionChange(place.prediction_id, result=result)
    for task_id, place in board.items():
        leaves = task_id not in scores and task_id not in target.staying
        if leaves and place.state is PlaceState.QUEUED:
            changes[task_id] = PredictionChange(place.prediction_id, model_version=RETIRED_VERSION)
    return Difference(changes, new)


def changed(place: Place, change: PredictionChange, now: float) -> Place:
    """The place once the change has been made, at ``now``."""
    if change.model_version == RETIRED_VERSION:
        state, since = PlaceState.RETIRED, now
    elif change.model_version is not None or change.score is not None:
        state, since = PlaceState.QUEUED, 0.0
    else:
        state, since = place.state, place.since
    return Place(
        place.prediction_id,
        score=place.score if change.score is None else change.score,
        digest=place.digest if change.result is None else digest(change.result),
        state=state,
        since=since,
    )


def serving_order(board: Mapping[int, Place], done: Collection[int]) -> list[int]:
    """The tasks of the queue in the order in which Label Studio serves them."""
    queued = [
        (place.score, task_id)
        for task_id, place in board.items()
        if place.state is PlaceState.QUEUED and task_id not in done
    ]
    return [task_id for _, task_id in sorted(queued)]


def _may_change(place: Place, result: Regions | None, is_fixed: bool) -> bool:
    """An empty place is filled even while its task is open: whoever opens it again has more of it."""
    if result is None or place.digest == digest(result):
        return False
    return not is_fixed or place.digest == EMPTY


def _scores(board: Mapping[int, Place], target: Target) -> dict[int, float]:
    known = {
        task_id: board[task_id].score
        for task_id in target.front
        if task_id in board and board[task_id].score < FRONT_ENDS
    }
    scores = spaced(list(target.front), known)
    room = (ASIDE - FRONT_ENDS) / (len(target.behind) + 1)
    for place, task_id in enumerate(target.behind):
        score = board[task_id].score if task_id in board else ASIDE
        # Behind the front nothing moves: a place is served there only where people are very quick.
        scores[task_id] = score if FRONT_ENDS <= score < ASIDE else ASIDE - room * (place + 1)
    return scores


def spaced(order: Sequence[int], known: Mapping[int, float]) -> dict[int, float]:
    """Ascending scores of the front for these tasks; as many as possible keep those that are ``known``."""
    kept = _longest_ascending([(task_id, known[task_id]) for task_id in order if task_id in known])
    scores: dict[int, float] = {}
    waiting: list[int] = []
    last: float | None = None
    for task_id in order:
        if task_id not in kept:
            waiting.append(task_id)
            continue
        scores |= _between(waiting, last, kept[task_id])
        last = scores[task_id] = kept[task_id]
        waiting = []
    scores |= _between(waiting, last, None)
    values = [scores[task_id] for task_id in order]
    if known and any(b - a < NARROWEST for a, b in pairwise(values)):
        return spaced(order, {})
    return {task_id: scores[task_id] for task_id in order}


def _between(tasks: Sequence[int], before: float | None, after: float | None) -> dict[int, float]:
    """Scores for tasks between two neighbours; None: there is no neighbour on that side."""
    if not tasks:
        return {}
    low, high = before or 0.0, FRONT_ENDS if after is None else after
    if before is None and after is None:
        low = FRONT_BEGINS
    step = min(STEP, (high - low) / (len(tasks) + 1))
    if before is None and after is not None:
        return {task_id: high - step * (len(tasks) - place) for place, task_id in enumerate(tasks)}
    if after is not None:
        step = (high - low) / (len(tasks) + 1)
    return {task_id: low + step * (place + 1) for place, task_id in enumerate(tasks)}


def _longest_ascending(scored: Sequence[tuple[int, float]]) -> dict[int, float]:
    """Of these pairs in order, the most whose scores ascend strictly."""
    ends: list[float] = []
    last_of: list[int] = []
    before: list[int | None] = []
    for index, (_, score) in enumerate(scored):
        length = bisect_left(ends, score)
        before.append(last_of[length - 1] if length else None)
        ends[length : length + 1] = [score]
        last_of[length : length + 1] = [index]
    found = []
    at = last_of[-1] if last_of else None
    while at is not None:
        found.append(scored[at])
        at = before[at]
    return dict(reversed(found))
