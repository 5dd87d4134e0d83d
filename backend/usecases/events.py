"""What a webhook means for a project: which kind of change it must be synced for."""

from __future__ import annotations

from dataclasses import dataclass

from .finish import start_training
from .reconcile import RECONCILE
from .tools import Tools

START_TRAINING = "START_TRAINING"
KINDS = {
    "ANNOTATION_CREATED": "annotations",
    "ANNOTATIONS_CREATED": "annotations",
    "ANNOTATION_UPDATED": "annotations",
    "ANNOTATIONS_DELETED": "annotations",
    "TASKS_CREATED": "new_tasks",
    "TASKS_DELETED": "new_tasks",
    "PROJECT_UPDATED": "project",
}


@dataclass(frozen=True, slots=True)
class Event:
    action: str
    project_id: int
    task_ids: tuple[int, ...] = ()


def receive(tools: Tools, event: Event) -> bool:
    """Store the event's consequence; False where it has none for us. The worker does the rest."""
    taken = _take(tools, event)
    known = event.action in KINDS or event.action == START_TRAINING
    action = event.action if known else "other"
    tools.meter.count("webhooks", action, "accepted" if taken else "ignored")
    return taken


def _take(tools: Tools, event: Event) -> bool:
    store = tools.store
    if not store.knows(event.project_id):
        # Label Studio calls us for it, so Redis may have been emptied: look soon.
        store.note_unknown(event.project_id)
        store.release(RECONCILE)
        return False
    if event.action == START_TRAINING:
        start_training(tools, event.project_id)
        return True
    kind = KINDS.get(event.action)
    if kind is None:
        return False
    if event.action == "TASKS_DELETED":
        store.forget_tasks(event.project_id, event.task_ids)
    store.mark_dirty(event.project_id, kind)
    return True
