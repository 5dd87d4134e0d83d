"""A project's tasks with what people made of them, otherwise what the model did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from allabel_core.types import Document

from ..errors import LabelConfigError
from ..labeling.label_config import LabelingInterface, parse_label_config
from ..labeling.results import document_from_annotation
from ..ports import Annotation, Suggestion, Task
from ..usecases.corpus import chosen_annotation
from ..usecases.texts import readable_text
from ..usecases.tools import Tools

Source = Literal["people", "model", "nobody"]
TASKS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class ExportedTask:
    """``document``: the annotation that counts where ``source`` is people, the model's where it is the model.

    ``text`` is None where it cannot be read. ``version``: of the model's prediction.
    """

    id: int
    data: dict[str, Any]
    text: str | None
    source: Source
    document: Document | None
    annotations: tuple[Annotation, ...] = ()
    suggestion: Suggestion | None = None
    version: str = ""


def exported_tasks(tools: Tools, project_id: int, *, people_only: bool = False) -> Iterator[ExportedTask]:
    """All tasks in the order of their ids.

    :raises LabelStudioError: Label Studio does not answer.
    """
    project = tools.label_studio.project(project_id)
    interface = parse_label_config(project.label_config)
    annotated = {task.id: task for task in tools.label_studio.annotated_tasks(project_id)}
    version = tools.store.fact(project_id, "version") or ""
    remaining = iter(tools.label_studio.tasks(project_id))
    while tasks := list(islice(remaining, TASKS_AT_ONCE)):
        ids = [task.id for task in tasks if task.id not in annotated]
        made = {} if people_only else tools.store.suggestions(project_id, ids)
        for task in tasks:
            asked = annotated.get(task.id, task)
            yield _exported(tools, interface, project_id, asked, made.get(task.id), version)


def _exported(
    tools: Tools,
    interface: LabelingInterface,
    project_id: int,
    task: Task,
    suggestion: Suggestion | None,
    version: str,
) -> ExportedTask:
    try:
        text = readable_text(tools, interface, project_id, task)
    except LabelConfigError:
        return ExportedTask(task.id, task.data, None, "nobody", None, task.annotations)
    chosen = chosen_annotation(task)
    if chosen is not None:
        document = document_from_annotation(interface, text, chosen.result)
        return ExportedTask(task.id, task.data, text, "people", document, task.annotations)
    if suggestion is not None and suggestion.problem is None:
        document = document_from_annotation(interface, text, suggestion.result)
        return ExportedTask(
            task.id, task.data, text, "model", document, task.annotations, suggestion, version
        )
    return ExportedTask(task.id, task.data, text, "nobody", None, task.annotations)
