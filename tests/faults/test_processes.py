"""kill -9 of the worker while it ranks, stores or asks the model, of the web process; two of each at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from backend.demo.services import LabelStudioServer
from figures import assert_nothing_lost, converge
from rig import Rig, to_project


@pytest.fixture(scope="module")
def rig(label_studio: LabelStudioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Two workers and two web processes."""
    running = Rig(tmp_path_factory.mktemp("rig"), label_studio, workers=2, webs=2)
    yield running
    running.stop()


def test_two_workers_and_two_webs_under_three_annotators(rig: Rig, project: int) -> None:
    since = time.monotonic()
    tasks = [entry.task_id for entry in rig.store.queue(project)][:9]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda task_id: rig.annotate(project, task_id), tasks))
    assert_nothing_lost(converge(rig, project, "two workers, two webs, three annotators", since=since))


def test_both_workers_killed_while_one_ranks(rig: Rig, project: int) -> None:
    """It reads annotations right before ranking; the answer comes, and it dies with it in hand."""
    reads = to_project(project, "GET", "")
    with rig.to_label_studio.holding(reads, done=True) as gate:
        rig.annotate_next(project, 2)
        assert gate.reached.wait(60)
        killed = time.monotonic()
        rig.kill_worker(0)
        rig.kill_worker(1)
    assert_nothing_lost(converge(rig, project, "workers killed while ranking", since=killed))


@pytest.mark.parametrize("key", [b":queue", b":shown"])
def test_workers_killed_while_they_store(rig: Rig, project: int, key: bytes) -> None:
    """Between what is stored: the ranked queue, what annotators have been shown."""
    with rig.redis.holding(b"allabel:project:%d%s" % (project, key)) as gate:
        rig.annotate_next(project, 2)
        assert gate.reached.wait(60)
        killed = time.monotonic()
        rig.kill_worker(0)
        rig.kill_worker(1)
    assert_nothing_lost(converge(rig, project, f"workers killed storing {key.decode()[1:]}", since=killed))


def test_both_workers_killed_while_the_model_is_asked(rig: Rig, project: int) -> None:
    rig.model.delay = 3.0
    before = len(rig.model.requests)
    rig.annotate_next(project, 2)
    rig.wait_for(lambda: len(rig.model.requests) > before)
    killed = time.monotonic()
    rig.kill_worker(0)
    rig.kill_worker(1)
    rig.model.delay = 0.05
    assert_nothing_lost(converge(rig, project, "workers killed while the model is asked", since=killed))


def test_one_worker_killed_the_other_goes_on(rig: Rig, project: int) -> None:
    rig.annotate_next(project, 2)
    killed = time.monotonic()
    rig.kill_worker(0)
    rig.annotate_next(project)
    assert_nothing_lost(converge(rig, project, "one of two workers killed", since=killed))


def test_webs_killed(rig: Rig, project: int) -> None:
    rig.annotate_next(project)
    killed = time.monotonic()
    rig.kill_web()
    rig.annotate_next(project, 2)
    assert_nothing_lost(converge(rig, project, "web process killed", since=killed))


def test_no_worker_at_all_is_said(rig: Rig, project: int) -> None:
    for worker in rig.workers:
        worker.stop()
    rig.annotate_next(project, 2)
    address = f"{rig.to_web.url}/api/projects/{project}"
    rig.wait_for(lambda: httpx.get(address).json()["state"] == "degraded")
    assert "allabel worker" in httpx.get(address).json()["remedy"]
    rig.annotate_next(project)
    rig.workers = [rig.start_worker() for _ in rig.workers]
    assert_nothing_lost(converge(rig, project, "no worker for a while"))
