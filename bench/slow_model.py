"""'Retrieve predictions' with a model that is too slow for Label Studio's patience."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from bench.services import Services, settled, wait_for

MODEL_SECONDS = 0.2
SLOW_MODEL_SECONDS = 10.0
BATCH = 100
LABEL_STUDIO_WAITS = 100.0


def slow_model(services: Services, new_project: Callable[[Services, str, int], int]) -> dict[str, Any]:
    """'Retrieve predictions' for a batch that the model cannot do in time, and what comes of it."""
    store = services.tools.store
    project_id = new_project(services, "Slow model", 2 * BATCH)
    services.connect(project_id, budget="30")
    wait_for(lambda: settled(services, project_id), seconds=600)
    ids = [task_id for task_id in store.task_ids(project_id) if task_id not in store.published(project_id)]
    services.set_model_seconds(SLOW_MODEL_SECONDS)
    selected = {"all": False, "included": ids[:BATCH]}
    httpx.get(f"{services.backend_url}/timings?reset=1")
    started = time.monotonic()
    services.call(
        "POST",
        "api/dm/actions/",
        params={"id": "retrieve_tasks_predictions", "project": project_id},
        json={"selectedItems": selected},
        timeout=2 * LABEL_STUDIO_WAITS,
    )
    answered = time.monotonic() - started
    ours = max(httpx.get(f"{services.backend_url}/timings").json()["took"]["/predict"]) / 1000
    in_time = len(store.suggestions(project_id, ids[:BATCH]))
    services.set_model_seconds(MODEL_SECONDS)
    wait_for(lambda: settled(services, project_id) and not store.wanted_count(project_id), seconds=600)
    filled = time.monotonic() - started - answered
    version = store.fact(project_id, "version") or ""
    missing = [t for t in store.late(project_id) if not shown_results(services, t, version)]
    return {
        "seconds_until_label_studio_was_done": answered,
        "seconds_until_our_answer": ours,
        "tasks": BATCH,
        "suggested_in_time": in_time,
        "seconds_until_the_rest_was_filled_in": filled,
        "never_filled_in": len(missing),
    }


def shown_results(services: Services, task_id: int, version: str) -> list[Any]:
    """The regions that an annotator who opens the task sees."""
    task = services.call("GET", f"api/tasks/{task_id}/")
    return [r for each in task["predictions"] if each["model_version"] == version for r in each["result"]]
