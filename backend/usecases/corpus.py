"""What people have annotated: read from Label Studio as far as it has changed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..labeling.label_config import LabelingInterface
from ..labeling.results import read_annotation
from ..logs import about
from ..ports import (
    AnnotatedTask,
    Annotation,
    Project,
    StoredDemonstration,
    Submission,
    Task,
    demonstrations_of,
)
from .texts import read_tasks, take_texts
from .tools import Tools

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Corpus:
    """What people have done: demonstrations in annotation order, and the tasks they skipped.

    ``submissions``: all annotations, in the order of submission; ``counting``: that of each demonstration,
    in the order of these.
    """

    demonstrations: list[StoredDemonstration]
    skipped: set[int]
    submissions: list[Submission]
    counting: list[Submission]

    @property
    def done(self) -> set[int]:
        return self.skipped | {shown.task_id for shown in self.demonstrations}


def read_annotations(tools: Tools, project: Project, interface: LabelingInterface, *, anew: bool) -> Corpus:
    """The corpus as Label Studio holds it now.

    Only tasks changed since the last time are read, unless ``anew`` or where the number of annotations
    shows that a change was missed.
    """
    store, project_id = tools.store, project.id
    known = store.annotated(project_id)
    until = store.fact(project_id, "annotated_until")
    if until and not anew:
        tasks = tools.label_studio.annotated_tasks(project_id, until)
        now = known | _annotated(tools, project_id, interface, tasks)
        if _agrees(tools, project, now.values()):
            return _keep(tools, project_id, known, now, tasks, until)
        # Annotations have been deleted.
        logger.info("project %d: annotations are read anew", project_id)
    tasks = tools.label_studio.annotated_tasks(project_id)
    return _keep(tools, project_id, known, _annotated(tools, project_id, interface, tasks), tasks, "")


def _agrees(tools: Tools, project: Project, annotated: Iterable[AnnotatedTask]) -> bool:
    """Whether we know as many annotations as there were, or as there are by now."""
    known = sum(task.annotations for task in annotated)
    return project.annotation_count <= known and (
        known == project.annotation_count or known <= tools.label_studio.project(project.id).annotation_count
    )


def _keep(
    tools: Tools,
    project_id: int,
    known: Mapping[int, AnnotatedTask],
    now: Mapping[int, AnnotatedTask],
    read: Sequence[Task],
    until: str,
) -> Corpus:
    changed = [task for task_id, task in now.items() if known.get(task_id) != task]
    until = max([until, *(task.updated_at for task in read)])
    tools.store.save_annotated(project_id, changed, known.keys() - now.keys(), until)
    skipped = {task.task_id for task in now.values() if not task.submitted_at}
    demonstrations = demonstrations_of(now.values())
    submissions = [each for task in now.values() for each in task.submissions]
    submissions.sort(key=lambda each: (each.created_at, each.annotation_id))
    by_task = {each.task_id: each for each in submissions if each.counts}
    counting = [by_task[shown.task_id] for shown in demonstrations]
    return Corpus(demonstrations, skipped, submissions, counting)


def _annotated(
    tools: Tools, project_id: int, interface: LabelingInterface, tasks: Sequence[Task]
) -> dict[int, AnnotatedTask]:
    with_annotations = [task for task in tasks if task.annotations]
    texts = _texts(tools, project_id, interface, with_annotations)
    return {task.id: _annotated_task(interface, texts.get(task.id), task) for task in with_annotations}


def _texts(
    tools: Tools, project_id: int, interface: LabelingInterface, tasks: Sequence[Task]
) -> dict[int, str]:
    """Their texts as they come with the annotations: a task may be annotated before we hear of it, and its
    text may have been edited. What stands in a file is read once."""
    store = tools.store
    known = store.some_texts(project_id, [task.id for task in tasks]) if interface.text_from_url else {}
    unknown = (task for task in tasks if task.id not in known)
    texts, unusable = read_tasks(tools, interface, project_id, unknown)
    take_texts(tools, project_id, texts, unusable)
    return known | texts


def _annotated_task(interface: LabelingInterface, text: str | None, task: Task) -> AnnotatedTask:
    submitted = [annotation for annotation in task.annotations if not annotation.cancelled]
    chosen = chosen_annotation(task)
    submissions: tuple[Submission, ...] = ()
    if text is not None:
        with about(task=task.id):
            submissions = tuple(_read(interface, text, task.id, each, each is chosen) for each in submitted)
    begun = min((annotation.created_at for annotation in submitted), default="")
    return AnnotatedTask(task.id, begun, len(task.annotations), submissions)


def _read(
    interface: LabelingInterface, text: str, task_id: int, annotation: Annotation, counts: bool
) -> Submission:
    document, left_out = read_annotation(interface, text, annotation.result)
    return Submission(
        task_id,
        annotation.id,
        annotation.created_at,
        annotation.completed_by,
        annotation.lead_time,
        document,
        counts,
        annotation.parent_prediction,
        dict(left_out),
    )


def chosen_annotation(task: Task) -> Annotation | None:
    """The annotation that counts: a ground truth, else the newest submitted; None if all were skipped."""
    submitted = [annotation for annotation in task.annotations if not annotation.cancelled]
    return max(submitted, key=lambda a: (a.ground_truth, a.updated_at, a.id), default=None)
