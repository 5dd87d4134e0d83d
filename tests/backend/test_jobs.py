"""Whoever can write to Redis can have a worker run our three functions, and nothing else."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry
from rq.serializers import JSONSerializer

from backend import worker as worker_module
from backend.adapters.store import Store
from backend.errors import LabelStudioUnreachableError
from backend.jobs import NumberJob
from backend.readiness import _projects
from backend.usecases.connect import register
from backend.usecases.metrics import render_metrics
from backend.usecases.tools import Tools
from backend.worker import RANK_QUEUE, enqueue_sync
from fakes import FakeLabelStudio, make_tools

pytestmark = pytest.mark.slow

PROJECT = 1


@pytest.fixture
def tools(store: Store, monkeypatch: pytest.MonkeyPatch) -> Tools:
    made = make_tools(store, FakeLabelStudio({1: "one", 2: "two"}))
    monkeypatch.setattr(worker_module, "_tools", lambda: made)
    monkeypatch.setattr(worker_module, "PAUSE_SECONDS", 0.0)
    return made


def work(redis: Redis) -> None:
    queue = worker_module._queue(RANK_QUEUE, redis)
    worker = SimpleWorker([queue], connection=redis, serializer=JSONSerializer, job_class=NumberJob)
    worker.work(burst=True, logging_level="CRITICAL")


def foreign_job(redis: Redis, **changed: object) -> Job:
    """What somebody who can write to Redis puts there, by RQ's own means."""
    queue = Queue(RANK_QUEUE, connection=redis, serializer=JSONSerializer)
    return queue.enqueue_call(**({"func": "backend.worker.sync_job", "args": (PROJECT,)} | changed))


def failed(redis: Redis) -> int:
    return FailedJobRegistry(RANK_QUEUE, connection=redis).count


def test_ours_are_run(tools: Tools, redis: Redis) -> None:
    register(tools, PROJECT, backend_url="http://localhost:9090", extra_params={})
    enqueue_sync(tools.store, PROJECT)
    work(redis)
    assert failed(redis) == 0
    assert FinishedJobRegistry(RANK_QUEUE, connection=redis).count == 1
    assert [entry.task_id for entry in tools.store.queue(PROJECT)]


@pytest.mark.parametrize(
    "changed",
    [
        {"func": "os.system", "args": ("touch {}",)},
        {"func": "pathlib.Path.touch", "args": ("{}",)},
        {"func": "backend.worker.run_worker"},
        {"func": "backend.usecases.reset.reset"},
        {"func": "builtins.open", "args": ("{}", "w")},
        {"args": ()},
        {"args": ("1",)},
        {"args": (1.0,)},
        {"args": (True,)},
        {"args": (-1,)},
        {"args": (2**53,)},
        {"args": (1, 2)},
        {"args": ([1],)},
        {"kwargs": {"project_id": 1}},
    ],
)
def test_nothing_else_is(tools: Tools, redis: Redis, tmp_path: Path, changed: dict[str, object]) -> None:
    trace = tmp_path / "trace"
    if isinstance(arguments := changed.get("args"), tuple):
        changed = changed | {"args": tuple(str(trace) if a == "{}" else a for a in arguments)}
        changed["args"] = tuple(
            f"touch {trace}" if a == "touch {}" else a
            for a in changed["args"]  # type: ignore[attr-defined]
        )
    foreign_job(redis, **changed)
    work(redis)
    assert not trace.exists()
    assert failed(redis) == 1
    assert tools.store.projects() == []


def test_callbacks_are_not_called(tools: Tools, redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    register(tools, PROJECT, backend_url="http://localhost:9090", extra_params={})
    job = foreign_job(redis)
    for name in ("success", "failure", "stopped"):
        redis.hset(job.key, f"{name}_callback_name", "os.system")
    redis.hset(job.key, mapping={"timeout": -1, "retries_left": 1000, "repeats_left": 1000})
    work(redis)
    assert failed(redis) == 0
    found = NumberJob.fetch(job.id, connection=redis, serializer=JSONSerializer)
    assert (found.success_callback, found.failure_callback, found.stopped_callback) == (None, None, None)
    assert (found.timeout, found.retries_left, found.repeats_left) == (worker_module.SYNC_TIMEOUT, None, None)


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x04K*.", b"[1, 2]", b"not json", json.dumps([[], {}, 1, 2]).encode()]
)
def test_what_is_no_job_stops_no_worker(tools: Tools, redis: Redis, data: bytes) -> None:
    job = foreign_job(redis)
    redis.hset(job.key, "data", data)
    work(redis)
    register(tools, PROJECT, backend_url="http://localhost:9090", extra_params={})
    enqueue_sync(tools.store, PROJECT)
    work(redis)
    assert tools.store.queue_length(PROJECT) > 0


# What goes wrong inside ours


def broken(error: Exception) -> Callable[..., object]:
    def fail(*_: object, **__: object) -> object:
        raise error

    return fail


@pytest.mark.parametrize(
    "error", [KeyError("a text of a user"), TypeError("a text of a user"), RecursionError()]
)
def test_whatever_goes_wrong_in_a_sync_is_said_and_tried_again_later(
    tools: Tools,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    register(tools, PROJECT, backend_url="http://localhost:9090", extra_params={})
    monkeypatch.setattr(tools.label_studio, "annotated_tasks", broken(error))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            enqueue_sync(tools.store, PROJECT)
            work(redis)
    assert failed(redis) == 0
    facts = tools.store.facts(PROJECT)
    assert facts["state"] == "degraded"
    assert f"Something unforeseen ({type(error).__name__})" in facts["problem"]
    assert "tried again" in facts["remedy"]
    assert facts["failures"] == "3"
    assert tools.store.due_projects() == []
    assert tools.store.dirty(PROJECT)[0]
    assert _projects(tools) == "1 of 1 do not go on: 1; see allabel status"
    assert b'allabel_degraded{project="1"} 1.0' in render_metrics(tools)
    assert "test_jobs.py" in caplog.text
    assert "a text of a user" not in caplog.text + str(facts) + str(tools.store.errors(PROJECT))
    monkeypatch.undo()
    monkeypatch.setattr(worker_module, "_tools", lambda: tools)
    enqueue_sync(tools.store, PROJECT)
    work(redis)
    assert tools.store.fact(PROJECT, "problem") == ""
    assert _projects(tools) == "ok"


def test_whatever_goes_wrong_in_a_suggestion_is_said_too(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "suggest", broken(ValueError("a text of a user")))
    register(tools, PROJECT, backend_url="http://localhost:9090", extra_params={})
    worker_module.suggest_job(PROJECT)
    assert "unforeseen (ValueError)" in (tools.store.fact(PROJECT, "problem") or "")


def test_reconciling_without_label_studio_leaves_no_failed_jobs(
    tools: Tools, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools.label_studio, "webhooks", broken(LabelStudioUnreachableError("It is down.")))
    worker_module._enqueue(tools.store, RANK_QUEUE, worker_module.reconcile_job, "reconcile", 0, 60)
    work(redis)
    assert failed(redis) == 0
    assert tools.meter.take()
