"""kill -9 of the worker: while it ranks, between each two steps of publishing, while the model is asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import pytest

from figures import assert_nothing_lost, converge
from proxies import Call
from rig import Rig, to_project

Step: TypeAlias = Callable[[Call], bool]


def changes_a_place(_: int) -> Step:
    return lambda call: call.method == "PATCH" and call.path.startswith("/api/predictions/")


def reads_the_places(project_id: int) -> Step:
    return lambda call: call.method == "GET" and call.path == f"/api/predictions/?project={project_id}"


def asks_for_state(project_id: int) -> Step:
    return lambda call: call.method == "GET" and call.path == f"/api/ml/?project={project_id}"


FIRST_STEPS: dict[str, Callable[[int], Step]] = {
    "looking for versions": lambda p: to_project(p, "GET", "model-versions/"),
    "importing": lambda p: to_project(p, "POST", "import/predictions"),
    "pointing": lambda p: lambda call: to_project(p, "PATCH", "")(call) and b"model_version" in call.body,
    "refreshing": asks_for_state,
    "reading the places": reads_the_places,
}


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", FIRST_STEPS)
def test_killed_between_two_steps_of_the_first_publication(rig: Rig, step: str, done: bool) -> None:
    expected = FIRST_STEPS[step]
    with rig.to_label_studio.holding(lambda call: expected(rig.newest)(call), done=done) as gate:
        project = rig.project("Killed", wait=False)
        assert gate.reached.wait(60), "the worker never came to this step"
        killed = time.monotonic()
        rig.kill_worker()
    where = "after" if done else "before"
    assert_nothing_lost(converge(rig, project, f"first publication, killed {where} {step}", since=killed))
    rig.annotate_next(project)


STEPS: dict[str, Callable[[int], Step]] = {
    "changing a place": changes_a_place,
    "looking for annotations": lambda p: lambda call: call.method == "GET" and "api/tasks/" in call.path,
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
