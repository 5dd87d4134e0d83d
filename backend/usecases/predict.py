"""Answer Label Studio's /predict: from what is there, else from the worker, within its time limit."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..errors import LabelConfigError, LabelStudioError
from ..labeling.label_config import LabelingInterface, parse_label_config, task_text
from ..labeling.results import read_annotation
from ..ports import Place, PlaceState, Suggestion
from .audit import blind_tasks
from .places import ASIDE
from .texts import is_withdrawn, readable_text
from .tools import Tools

ANSWER_WITHIN = 85.0
"""Seconds; Label Studio gives up after 100."""

POLL_SECONDS = 0.1
READ_AT_ONCE = 20
"""Tasks that nobody has told us of; more of them are left to the worker."""

Asked = tuple[int, dict[str, Any]]


def predict(
    tools: Tools,
    project_id: int,
    tasks: Sequence[Asked],
    *,
    label_config: str,
    arrived: float | None = None,
) -> list[dict[str, Any]]:
    """Exactly one prediction per task, in order; an empty one where there is no text, or the model is not
    done in time. Words are only ever those of the text that was sent.

    What is late is filled in by the worker with the next publication. Tasks of the blind audit stay empty,
    and so do all of a project that is not connected.

    :param tasks: (task id, task data); of the data nothing is kept, since anybody may have sent them.
    :param arrived: when the request came in, by ``time.monotonic()``; it may have waited for its turn.
    """
    deadline = (time.monotonic() if arrived is None else arrived) + ANSWER_WITHIN
    store = tools.store
    if not store.knows(project_id):
        # Whoever calls cannot make it one of ours: connecting does that.
        return [_prediction(None, None, None) for _ in tasks]
    version = store.fact(project_id, "version")
    ids = [task_id for task_id, _ in tasks]
    found = _found(tools, project_id, tasks, label_config, deadline)
    places = store.places(project_id, ids)
    # Label Studio makes predictions of these answers, which the next publication has to know of.
    answered = [t for t in ids if t not in places or places[t].state is PlaceState.RETIRED]
    store.add_answered(project_id, store.known_ids(project_id, answered))
    return [_prediction(found.get(task_id), places.get(task_id), version) for task_id in ids]


def _found(
    tools: Tools, project_id: int, tasks: Sequence[Asked], label_config: str, deadline: float
) -> dict[int, Suggestion]:
    store = tools.store
    try:
        interface = parse_label_config(label_config or store.fact(project_id, "label_config") or "")
    except LabelConfigError:
        return {}
    blind = blind_tasks(tools, project_id)
    asked = {task_id: data for task_id, data in tasks if task_id not in blind}
    known = store.some_texts(project_id, list(asked))
    # What stands at an address is known once it has been read; the request has the address alone.
    sent = known if interface.text_from_url else _sent_texts(interface, asked)
    edited = {task_id for task_id, text in sent.items() if known.get(task_id, text) != text}
    if edited:
        store.mark_dirty(project_id, "edited")
    there = store.suggestions(project_id, list(asked))
    found = {t: made for t, made in there.items() if t in sent and t not in edited and not is_withdrawn(made)}
    may_be_asked = asked if interface.text_from_url else sent
    missing = [task_id for task_id in may_be_asked if task_id not in found]
    if missing and tools.model is not None:
        found |= _ask_worker(tools, project_id, missing, {t: sent[t] for t in edited}, deadline)
    texts = store.some_texts(project_id, list(found)) | sent
    return {t: made for t, made in found.items() if t in texts and _fits(interface, texts[t], made.result)}


def _sent_texts(interface: LabelingInterface, tasks: Mapping[int, dict[str, Any]]) -> dict[int, str]:
    texts = {}
    for task_id, data in tasks.items():
        with suppress(LabelConfigError):
            texts[task_id] = task_text(interface, data)
    return texts


def _ask_worker(
    tools: Tools, project_id: int, missing: Sequence[int], edited: Mapping[int, str], deadline: float
) -> dict[int, Suggestion]:
    """The suggestions that the worker has made by then. Edited texts it reads by itself first."""
    store = tools.store
    ours = [task_id for task_id in missing if task_id not in edited]
    known = store.some_texts(project_id, ours)
    if unread := [task_id for task_id in ours if task_id not in known]:
        known |= _read(tools, project_id, unread)
    waiting = set(edited)
    store.want_now(project_id, known)
    found: dict[int, Suggestion] = {}
    while len(found) < len(known) + len(waiting) and time.monotonic() < deadline:
        if tools.stopping.wait(POLL_SECONDS):
            break
        if waiting:
            now = store.some_texts(project_id, list(waiting))
            read = {task_id: edited[task_id] for task_id in waiting if now.get(task_id) == edited[task_id]}
            store.want_now(project_id, read)
            known |= read
            waiting -= read.keys()
        made = store.suggestions(project_id, list(known))
        found = {task_id: each for task_id, each in made.items() if not is_withdrawn(each)}
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
            texts[task_id] = readable_text(tools, interface, project_id, task)
        except (LabelConfigError, LabelStudioError):
            continue
    tools.store.add_texts(project_id, texts)
    if len(task_ids) > READ_AT_ONCE:
        tools.store.mark_dirty(project_id, "new_tasks")
    return texts


def _fits(interface: LabelingInterface, text: str, result: list[dict[str, Any]]) -> bool:
    """Whether all words are at their places in the text, with labels that there are."""
    return not read_annotation(interface, text, result).left_out


def _prediction(suggestion: Suggestion | None, place: Place | None, version: str | None) -> dict[str, Any]:
    """A task that has no place in the queue gets the one behind it."""
    return {
        "result": suggestion.result if suggestion else [],
        "score": place.score if place else ASIDE,
        "model_version": version or "ALLabel",
    }
