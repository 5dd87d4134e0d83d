"""Answer Label Studio's /predict: from what is there, else from the worker, within its time limit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ..errors import LabelConfigError, LabelStudioError
from ..labeling.label_config import parse_label_config
from ..ports import Place, PlaceState, Suggestion
from .audit import blind_tasks
from .places import ASIDE
from .texts import readable_text
from .tools import Tools

ANSWER_WITHIN = 85.0
"""Seconds; Label Studio gives up after 100."""

POLL_SECONDS = 0.1
READ_AT_ONCE = 20
"""Tasks that nobody has told us of; more of them are left to the worker."""


def predict(
    tools: Tools,
    project_id: int,
    tasks: Sequence[tuple[int, dict[str, Any]]],
    *,
    label_config: str,
    arrived: float | None = None,
) -> list[dict[str, Any]]:
    """Exactly one prediction per task, in order; an empty one where the model is not done in time.

    What is late is filled in by the worker with the next publication. Tasks of the blind audit stay empty.

    :param tasks: (task id, task data); of the data nothing is kept, since anybody may have sent them.
    :param arrived: when the request came in, by ``time.monotonic()``; it may have waited for its turn.
    """
    deadline = (time.monotonic() if arrived is None else arrived) + ANSWER_WITHIN
    store = tools.store
    ids = [task_id for task_id, _ in tasks]
    if not store.knows(project_id):
        # Whoever calls cannot make it one of ours: connecting does that.
        return [_prediction(None, None, None) for _ in ids]
    blind = blind_tasks(tools, project_id)
    found = {
        task_id: made for task_id, made in store.suggestions(project_id, ids).items() if task_id not in blind
    }
    missing = [task_id for task_id in ids if task_id not in found and task_id not in blind]
    if missing and (tools.model is not None or store.suggester_version(project_id)):
        found |= _ask_worker(tools, project_id, missing, deadline)
    version = store.fact(project_id, "version")
    places = store.places(project_id, ids)
    # Label Studio makes predictions of these answers, which the next publication has to know of.
    store.add_answered(
        project_id, [t for t in ids if t not in places or places[t].state is PlaceState.RETIRED]
    )
    return [_prediction(found.get(task_id), places.get(task_id), version) for task_id in ids]


def _ask_worker(
    tools: Tools, project_id: int, missing: Sequence[int], deadline: float
) -> dict[int, Suggestion]:
    store = tools.store
    known = store.some_texts(project_id, missing)
    if unread := [task_id for task_id in missing if task_id not in known]:
        known |= _read(tools, project_id, unread)
    if not known:
        return {}
    store.want_now(project_id, known)
    found: dict[int, Suggestion] = {}
    while len(found) < len(known) and time.monotonic() < deadline and not tools.stopping.wait(POLL_SECONDS):
        found = store.suggestions(project_id, list(known))
    if late := known.keys() - found.keys():
        store.add_late(project_id, late)
    return found


def _read(tools: Tools, project_id: int, task_ids: Sequence[int]) -> dict[int, str]:
    """Texts that are not known yet, as Label Studio has them: what a request says they are does not count."""
    config = tools.store.fact(project_id, "label_config")
    if not config:
        return {}
    interface = parse_label_config(config)
    texts = {}
    for task_id in task_ids[:READ_AT_ONCE]:
        try:
            task = tools.label_studio.task(project_id, task_id)
            texts[task_id] = readable_text(tools, interface, task.data)
        except (LabelConfigError, LabelStudioError):
            continue
    tools.store.add_texts(project_id, texts)
    if len(task_ids) > READ_AT_ONCE:
        tools.store.mark_dirty(project_id, "new_tasks")
    return texts


def _prediction(suggestion: Suggestion | None, place: Place | None, version: str | None) -> dict[str, Any]:
    """A task that has no place in the queue gets the one behind it."""
    return {
        "result": suggestion.result if suggestion else [],
        "score": place.score if place else ASIDE,
        "model_version": version or "ALLabel",
    }
