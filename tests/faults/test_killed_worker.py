"""kill -9 of the worker: while it ranks, between each two steps of publishing, while the model is asked."""

from __future__ import annotations

import time

import pytest

from figures import assert_nothing_lost, converge
from rig import Rig, to_project


def asks_for_state(project_id: int) -> object:
    return lambda call: call.method == "GET" and call.path == f"/api/ml/?project={project_id}"


STEPS = {
    "looking for versions": lambda p: to_project(p, "GET", "model-versions/"),
    "importing": lambda p: to_project(p, "POST", "import/predictions"),
    "pointing": lambda p: lambda call: to_project(p, "PATCH", "")(call) and b"model_version" in call.body,
    "refreshing": asks_for_state,
    "deleting": lambda p: to_project(p, "DELETE", "model-versions/"),
}


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_between_two_steps_of_publishing(rig: Rig, project: int, step: str, done: bool) -> None:
    with rig.to_label_studio.holding(STEPS[step](project), done=done) as gate:
        rig.annotate_next(project, 2)
        assert gate.reached.wait(60), "the worker never came to this step"
        killed = time.monotonic()
        rig.kill_worker()
        # Label Studio's queue is usable all the while.
        rig.annotate_next(project)
    where = "after" if done else "before"
    assert_nothing_lost(converge(rig, project, f"worker killed {where} {step}", since=killed))
