"""`allabel reset` on a real Label Studio: a project that somebody had arranged looks as it did before."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from stack import ROOT, SAMPLES, Stack

ARRANGED = {
    "sampling": "Uniform sampling",
    "show_collab_predictions": False,
    "description": "Notes of the laboratory.\n\nAsk Ada.",
}


def arranged_project(stack: Stack) -> int:
    """Its own sampling, description, tab, and predictions of another model."""
    project_id = stack.project("Arranged", SAMPLES[:12])
    task_id = next(iter(stack.client.tasks(project_id))).id
    theirs = [{"task": task_id, "result": [], "score": 0.5, "model_version": "theirs"}]
    stack.raw("POST", f"api/projects/{project_id}/import/predictions", json=theirs)
    stack.raw("PATCH", f"api/projects/{project_id}/", json=ARRANGED | {"model_version": "theirs"})
    stack.raw("POST", "api/dm/views/", json={"project": project_id, "data": {"title": "Mine"}})
    return project_id


def look(stack: Stack, project_id: int) -> dict[str, Any]:
    """All of a project that set-up and publishing touch."""
    project = stack.raw("GET", f"api/projects/{project_id}/")
    of_project = {"params": {"project": project_id}}
    names = (*ARRANGED, "model_version", "evaluate_predictions_automatically", "label_config")
    return {
        **{name: project[name] for name in names},
        "tabs": [tab["data"].get("title") for tab in stack.raw("GET", "api/dm/views/", **of_project)],
        "backends": stack.raw("GET", "api/ml/", **of_project),
        "webhooks": stack.raw("GET", "api/webhooks/", **of_project),
        "versions": stack.client.versions(project_id),
    }


def allabel(stack: Stack, *arguments: str) -> str:
    command = [sys.executable, "-m", "backend.cli", *arguments]
    environment = {**os.environ, **stack.environment}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("redis_lost", [False, True])
def test_reset_restores_what_was_there(stack: Stack, redis_lost: bool) -> None:
    project_id = arranged_project(stack)
    before = look(stack, project_id)
    allabel(stack, "connect", str(project_id), "--budget", "4", "--window", "3", "--k", "1")
    task_id = stack.queue(project_id)[0]
    stack.annotate(task_id)
    stack.wait_for(lambda: stack.tools.store.demonstrations(project_id))
    stack.settle(project_id)
    assert look(stack, project_id) != before
    if redis_lost:
        stack.tools.store.forget_project(project_id)

    told = allabel(stack, "reset", str(project_id), "--yes")

    assert "as it was before" in told
    assert look(stack, project_id) == before
    assert [task.id for task in stack.client.annotated_tasks(project_id)] == [task_id]
    assert not stack.tools.store.knows(project_id)
