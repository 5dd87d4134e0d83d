"""Why the next tasks are next, and how a task came by its suggestion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..ports import QueueEntry, Suggestion
from .connect import task_url
from .figures import DemonstrationShown, QueuedTask, ReviewedTask, TaskReport
from .tools import Tools

EXCERPT = 160


def explain_queue(tools: Tools, project_id: int, limit: int) -> list[QueuedTask]:
    """The next tasks, first to annotate first."""
    store = tools.store
    queue = store.queue(project_id)[:limit]
    task_ids = [entry.task_id for entry in queue]
    made = store.suggestions(project_id, task_ids)
    shown = _ids_of_demonstrations(made.values())
    texts = store.some_texts(project_id, [*task_ids, *shown])
    return [
        _queued(tools, project_id, place, entry, made.get(entry.task_id), texts)
        for place, entry in enumerate(queue, 1)
    ]


def _queued(
    tools: Tools,
    project_id: int,
    place: int,
    entry: QueueEntry,
    made: Suggestion | None,
    texts: Mapping[int, str],
) -> QueuedTask:
    return QueuedTask(
        task_id=entry.task_id,
        place=place,
        stage=entry.stage,
        reason=entry.words,
        excerpt=excerpt(texts.get(entry.task_id, "")),
        similar_to=entry.nearest,
        demonstrations=shown_demonstrations(tools, project_id, made, texts),
        url=task_url(tools, project_id, entry.task_id),
    )


def shown_demonstrations(
    tools: Tools, project_id: int, made: Suggestion | None, texts: Mapping[int, str]
) -> list[DemonstrationShown]:
    """What the model saw, the most similar last; of those that still exist."""
    if made is None:
        return []
    return [
        DemonstrationShown(task_id, excerpt(texts[task_id]), None, task_url(tools, project_id, task_id))
        for task_id in made.demonstrations
        if task_id in texts
    ]


def _ids_of_demonstrations(made: Iterable[Suggestion]) -> Sequence[int]:
    return list(dict.fromkeys(task_id for each in made for task_id in each.demonstrations))


def excerpt(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text[: 2 * EXCERPT].split())
    return line if len(line) <= EXCERPT else line[: EXCERPT - 1].rstrip() + "…"


def explain_task(tools: Tools, project_id: int, task_id: int) -> TaskReport | None:
    """A task's suggestion and what became of it; None where there is no such task."""
    store = tools.store
    text = store.some_texts(project_id, [task_id]).get(task_id)
    if text is None:
        return None
    made = store.shown(project_id, [task_id]).get(task_id)
    made = made or store.suggestions(project_id, [task_id]).get(task_id)
    texts = store.some_texts(project_id, made.demonstrations if made else [])
    return TaskReport(
        task_id=task_id,
        state="annotated" if task_id in store.done(project_id) else "rest",
        text=text,
        excerpt=excerpt(text),
        url=task_url(tools, project_id, task_id),
        blind=False,
        demonstrations=shown_demonstrations(tools, project_id, made, texts),
        changes=[],
    )


def review_list(tools: Tools, project_id: int, limit: int) -> list[ReviewedTask]:
    """After 'finish': tasks that carry the model's labels, most expected errors first."""
    return []
