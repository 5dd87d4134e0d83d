"""What does not add up between what people submitted, Label Studio and us."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from bench.services import Services

RETIRED = "allabel-retired"


def wrong(services: Services, project_id: int, submitted: Mapping[int, int]) -> list[str]:
    """``submitted``: the task of each annotation's id. Nothing, one hopes."""
    store, client = services.tools.store, services.client
    shown = {each.task_id for each in store.demonstrations(project_id)}
    queue = [entry.task_id for entry in store.queue(project_id)]
    tasks = client.annotated_tasks(project_id)
    kept = {annotation.id for task in tasks for annotation in task.annotations}
    annotated = {task.id for task in tasks}
    found = []
    if lost := submitted.keys() - kept:
        found.append(f"{len(lost)} submitted annotations are lost")
    if unknown := set(submitted.values()) - shown:
        found.append(f"{len(unknown)} submitted annotations are no demonstrations")
    if annotated != shown:
        found.append(f"{len(annotated)} tasks are annotated in Label Studio, {len(shown)} are demonstrations")
    if len(set(queue)) != len(queue) or set(queue) & shown:
        found.append("a task stands twice in the queue, or in it though annotated")
    if len(queue) + len(shown) != int(store.fact(project_id, "budget") or 0):
        found.append("queue and annotations do not make up the budget")
    return found + _wrong_predictions(services, project_id, queue, annotated)


def _wrong_predictions(
    services: Services, project_id: int, queue: list[int], annotated: set[int]
) -> list[str]:
    version = services.client.project(project_id).model_version
    window = services.tools.store.settings(project_id).window
    predictions: list[dict[str, Any]] = services.call(
        "GET", "api/predictions/", params={"project": project_id}
    )
    current = [each for each in predictions if each["model_version"] == version]
    in_order = sorted((each["score"], each["task"]) for each in current if each["task"] not in annotated)
    found = []
    if [task_id for _, task_id in in_order][: len(queue)][:window] != queue[:window]:
        found.append("what is published is not the front of the queue")
    if strangers := {each["model_version"] for each in predictions} - {version, RETIRED}:
        found.append(f"versions beside ours: {sorted(strangers)}")
    if twice := sum(count - 1 for count in Counter(each["task"] for each in current).values()):
        found.append(f"{twice} predictions of one task and version too many")
    return found
