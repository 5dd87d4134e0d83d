"""Read the texts of a project: page by page, on from where an interrupted run stopped, new ones alone."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal

from ..labeling.label_config import LabelingInterface
from ..ports import Project, Task
from .texts import keep_named, named_unusable, read_tasks, take_texts
from .tools import Tools

TASKS_AT_ONCE = 1000
LONG_AGO = "1970-01-02T00:00:00Z"


def update_texts(
    tools: Tools, project: Project, interface: LabelingInterface, *, new_tasks: bool
) -> Literal["", "new", "all"]:
    """Bring the store's texts in line with Label Studio's tasks; which of them had to be read.

    All are read for every mark "tasks", with a new label config, and where the number of tasks shows that
    something was missed. Otherwise those alone that were made after the last one read: ids ascend.

    :param new_tasks: whether there are said to be some.
    """
    store, project_id = tools.store, project.id
    facts = store.facts(project_id)
    config = hashlib.sha256(project.label_config.encode()).hexdigest()[:16]
    asked = store.marked_at(project_id, "tasks")
    done_for, _, done_with = facts.get("texts_read", "").partition(":")
    this = f"{asked}:{config}"
    if done_with == config and asked <= int(done_for):
        if not new_tasks and _count(tools, project_id) == project.task_count:
            return ""
        _read_on(tools, project_id, interface)
        if _agrees(tools, project):
            return "new"
        # Tasks have gone without our hearing of it.
        store.set_facts(project_id, texts_read="")
    if facts.get("texts_reading") != this:
        store.set_facts(project_id, texts_reading=this, texts_until=0)
    _read_on(tools, project_id, interface)
    store.set_facts(project_id, texts_read=this, texts_reading="")
    return "all"


def read_edited(tools: Tools, project: Project, interface: LabelingInterface) -> bool:
    """Whether a task has another text than before: one call where no task was changed since the last look."""
    store = tools.store
    since = store.fact(project.id, "texts_seen") or LONG_AGO
    tasks = [task for task in tools.label_studio.changed_tasks(project.id, since) if task.updated_at > since]
    texts, unusable = read_tasks(tools, interface, project.id, tasks)
    edited = take_texts(tools, project.id, texts, unusable)
    _seen(tools, project.id, tasks)
    return bool(edited)


def _seen(tools: Tools, project_id: int, tasks: Iterable[Task]) -> None:
    """Remember the newest change that has been read, by Label Studio's clock."""
    seen = tools.store.fact(project_id, "texts_seen") or ""
    newest = max((task.updated_at for task in tasks), default="")
    if newest > seen:
        tools.store.set_facts(project_id, texts_seen=newest)


def _count(tools: Tools, project_id: int) -> int:
    return sum(tools.store.task_counts(project_id))


def _agrees(tools: Tools, project: Project) -> bool:
    """Whether as many tasks are known as there were, or as there are by now."""
    known = _count(tools, project.id)
    return project.task_count <= known and (
        known == project.task_count or known <= tools.label_studio.project(project.id).task_count
    )


def _read_on(tools: Tools, project_id: int, interface: LabelingInterface) -> None:
    """Read the tasks after the last one read; those known in between that are not there any more go."""
    store = tools.store
    store.set_facts(project_id, state="reading")
    until = int(store.fact(project_id, "texts_until") or 0)
    known = store.task_ids(project_id)
    before = bisect_right(known, until)

    def on_page(done: int, total: int) -> None:
        tools.tell(project_id, "reading tasks", before + done, before + total)

    for tasks in _batches(tools.label_studio.tasks(project_id, after=until, on_page=on_page)):
        texts, unusable = read_tasks(tools, interface, project_id, tasks)
        last = tasks[-1].id
        span = known[bisect_right(known, until) : bisect_right(known, last)]
        store.forget_tasks(project_id, set(span) - {task.id for task in tasks})
        take_texts(tools, project_id, texts, unusable)
        _seen(tools, project_id, tasks)
        store.set_facts(project_id, texts_until=last)
        until = last
    store.forget_tasks(project_id, known[bisect_right(known, until) :])
    named = named_unusable(tools, project_id)
    if gone := named.keys() - set(store.task_ids(project_id)):
        keep_named(tools, project_id, {t: reason for t, reason in named.items() if t not in gone})
    store.set_facts(project_id, unusable_tasks=store.task_counts(project_id)[1])


def _batches(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    remaining = iter(tasks)
    while batch := list(islice(remaining, TASKS_AT_ONCE)):
        yield batch
