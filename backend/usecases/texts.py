"""The text of a task, wherever it stands: in its data, in an uploaded file, in a connected storage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

from ..errors import (
    LabelConfigError,
    LabelStudioFailingError,
    LabelStudioNotFoundError,
    LabelStudioRejectedError,
    LabelStudioUnauthorisedError,
)
from ..labeling.label_config import LabelingInterface, task_text
from ..ports import Suggestion, Task
from .tools import Tools

ANSWERS_WITHIN = 5.0
NAMED_AT_MOST = 20
_ADDRESS_LENGTH = 200

_UPLOAD = re.compile(r"/data/upload/([^/]*)")
_STORED = re.compile(r"/tasks/([^/]*)")
_UPLOADED = re.compile(r"(?:^|[=/&])upload/([^/&]*)")


def readable_text(tools: Tools, interface: LabelingInterface, project_id: int, task: Task) -> str:
    """The text that a task shows, fetched from Label Studio where the data only refer to it.

    Our token may read the uploads of all projects, so that of another one is not read for this task.

    :raises LabelConfigError: this task has none; it says nothing about other tasks.
    :raises LabelStudioUnreachableError: Label Studio does not answer.
    """
    address = ""

    def fetch(named: str) -> str:
        nonlocal address
        address = named
        if not belongs_to(named, project_id, task.id):
            raise LabelStudioRejectedError("it is an upload or a stored text of another project or task")
        return tools.label_studio.text_at(named)

    try:
        return task_text(interface, task.data, fetch=fetch)
    except LabelStudioFailingError as error:
        # So it answers for a file that is gone; where it is there otherwise, the file is at fault.
        tools.label_studio.reachable(ANSWERS_WITHIN)
        raise _unreadable(address, error) from error
    except (LabelStudioNotFoundError, LabelStudioRejectedError, LabelStudioUnauthorisedError) as error:
        raise _unreadable(address, error) from error


def belongs_to(address: str, project_id: int, task_id: int) -> bool:
    """Whether Label Studio's address of an upload or of a stored text is one of this project and task."""
    parts = urlsplit(address)
    path, query = unquote(parts.path), unquote(parts.query)
    named = [(found, project_id) for found in _UPLOAD.findall(path)]
    named += [(found, task_id) for found in _STORED.findall(path)]
    named += [(found, project_id) for found in _UPLOADED.findall(query)]
    return all(number == str(owner) for number, owner in named)


def _unreadable(address: str, error: Exception) -> LabelConfigError:
    return LabelConfigError(f"Its text at '{address[:_ADDRESS_LENGTH]}' cannot be read: {error}")


def take_texts(
    tools: Tools, project_id: int, texts: Mapping[int, str], unusable: Mapping[int, str] | None = None
) -> set[int]:
    """Keep the texts of tasks as Label Studio has them; the tasks whose text was another before.

    All that was made of an earlier text is dropped at once: its suggestion, also where it is published, and
    what was read of its annotations. ``unusable``: why a task has no text that can be read.
    """
    store = tools.store
    without = unusable or {}
    known = store.some_texts(project_id, [*texts, *without])
    edited = {task_id for task_id, text in known.items() if texts.get(task_id) != text}
    if edited:
        out = store.places(project_id, sorted(edited & texts.keys()))
        store.forget_texts(project_id, edited)
        store.forget_witnesses(project_id, edited)
        store.save_suggestions(project_id, [withdrawn(task_id) for task_id in out])
    store.add_texts(project_id, texts, without)
    _name(tools, project_id, texts, without)
    if edited:
        # Ranked again also where this sync has begun to look at annotations alone.
        store.mark_dirty(project_id, "texts")
    return edited


def withdrawn(task_id: int) -> Suggestion:
    """In place of a suggestion that must not be shown any more, until the model has been asked again."""
    return Suggestion(task_id, [], recipe="", demonstrations=[])


def is_withdrawn(made: Suggestion) -> bool:
    """Whether it is neither what the model says nor tells why it says nothing."""
    return not (made.recipe or made.result or made.problem)


def read_tasks(
    tools: Tools, interface: LabelingInterface, project_id: int, tasks: Iterable[Task]
) -> tuple[dict[int, str], dict[int, str]]:
    """(texts, why there is none) by task."""
    texts: dict[int, str] = {}
    unusable: dict[int, str] = {}
    for task in tasks:
        try:
            texts[task.id] = readable_text(tools, interface, project_id, task)
        except LabelConfigError as error:
            unusable[task.id] = str(error)
    return texts, unusable


def _name(tools: Tools, project_id: int, usable: Iterable[int], unusable: Mapping[int, str]) -> None:
    """Remember why some of the tasks without a text have none."""
    before = named_unusable(tools, project_id)
    now = before | dict(unusable)
    for task_id in usable:
        now.pop(task_id, None)
    if now != before:
        keep_named(tools, project_id, now)


def named_unusable(tools: Tools, project_id: int) -> dict[int, str]:
    """Task -> why it has no text, for the first of them."""
    raw = tools.store.fact(project_id, "unusable_named")
    return {int(task_id): reason for task_id, reason in json.loads(raw).items()} if raw else {}


def keep_named(tools: Tools, project_id: int, named: Mapping[int, str]) -> None:
    """The first of these, and the sentence about them that stands on the page."""
    first = dict(sorted(named.items())[:NAMED_AT_MOST])
    others = ", ".join(map(str, list(first)[1:]))
    sentence = "".join(f"Task {task_id}: {reason}" for task_id, reason in list(first.items())[:1])
    if others:
        sentence += f" Also, for the same or another reason: {others}" + (
            "." if len(named) == len(first) else " ..."
        )
    tools.store.set_facts(project_id, unusable_named=json.dumps(first), unusable_reason=sentence)
