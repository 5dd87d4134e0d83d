"""Read the texts of a project: page by page, on from where an interrupted run stopped, new ones alone."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal

from ..errors import LabelConfigError
from ..labeling.label_config import LabelingInterface
from ..ports import Project, Task
from .texts import readable_text
from .tools import Tools

TASKS_AT_ONCE = 1000


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
        texts: dict[int, str] = {}
        unusable: list[int] = []
        for task in tasks:
            try:
                texts[task.id] = readable_text(tools, interface, task.data)
            except LabelConfigError as error:
                unusable.append(task.id)
                store.set_facts(project_id, unusable_reason=str(error))
        last = tasks[-1].id
        span = known[bisect_right(known, until) : bisect_right(known, last)]
        store.forget_tasks(project_id, set(span) - {task.id for task in tasks})
        store.add_texts(project_id, texts, unusable)
        store.set_facts(project_id, texts_until=last)
        until = last
    store.forget_tasks(project_id, known[bisect_right(known, until) :])
    store.set_facts(project_id, unusable_tasks=store.task_counts(project_id)[1])


def _batches(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    remaining = iter(tasks)
    while batch := list(islice(remaining, TASKS_AT_ONCE)):
        yield batch
