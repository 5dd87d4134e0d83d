"""The ticker turns marks of work into jobs on a real Redis: once, again if lost, never for nothing."""

from __future__ import annotations

import time

import pytest
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from backend import worker as worker_module
from backend.adapters.store import QUIET_SECONDS, Store
from backend.usecases.tools import Tools
from backend.worker import RANK_QUEUE, SUGGEST_QUEUE, Ticker, enqueue_suggestions
from fakes import FakeLabelStudio, make_tools

pytestmark = pytest.mark.slow

PROJECT = 1


@pytest.fixture
def tools(store: Store) -> Tools:
    return make_tools(store, FakeLabelStudio({1: "one"}))


@pytest.fixture
def ticker(tools: Tools) -> Ticker:
    tools.store.claim("reconcile", 60)
    return Ticker(tools, reconcile_seconds=60)


def jobs(redis: Redis, queue: str) -> list[tuple[str, tuple[int, ...]]]:
    found = Queue(queue, connection=redis, serializer=JSONSerializer).jobs
    return [(job.func_name.rsplit(".", 1)[1], tuple(job.args)) for job in found]


def due(store: Store) -> None:
    store.add_project(PROJECT)
    store.mark_dirty(PROJECT, "annotations")
    time.sleep(QUIET_SECONDS + 0.05)


def test_a_due_project_becomes_one_job(ticker: Ticker, store: Store, redis: Redis) -> None:
    due(store)
    for _ in range(5):
        ticker.tick()
    assert jobs(redis, RANK_QUEUE) == [("sync_job", (PROJECT,))]


def test_a_job_that_got_lost_is_enqueued_again(
    ticker: Ticker, store: Store, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "QUEUED_AT_MOST", 0.2)
    due(store)
    ticker.tick()
    Queue(RANK_QUEUE, connection=redis, serializer=JSONSerializer).empty()
    time.sleep(0.3)
    ticker.tick()
    assert jobs(redis, RANK_QUEUE) == [("sync_job", (PROJECT,))]


def test_nothing_is_enqueued_while_another_worker_is_at_it(
    ticker: Ticker, store: Store, redis: Redis
) -> None:
    due(store)
    with store.lock(f"sync:{PROJECT}"):
        ticker.tick()
        assert jobs(redis, RANK_QUEUE) == []
    ticker.tick()
    assert len(jobs(redis, RANK_QUEUE)) == 1


def test_wanted_suggestions_become_jobs_until_all_are_claimed(
    ticker: Ticker, store: Store, redis: Redis
) -> None:
    store.add_project(PROJECT)
    store.replace_wanted(PROJECT, [1, 2])
    ticker.tick()
    assert jobs(redis, SUGGEST_QUEUE) == [("suggest_job", (PROJECT,))]
    store.release("suggest-queued:1")
    store.claim_wanted(PROJECT, 5)
    Queue(SUGGEST_QUEUE, connection=redis, serializer=JSONSerializer).empty()
    ticker.tick()
    assert jobs(redis, SUGGEST_QUEUE) == []


def test_while_there_is_more_to_suggest_than_one_job_does_the_next_one_waits(
    tools: Tools, store: Store, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[int] = []

    def claim(_: Tools, project_id: int) -> None:
        waiting.append(len(jobs(redis, SUGGEST_QUEUE)))
        store.no_longer_wanted(project_id, store.claim_wanted(project_id, tools.chunk))

    monkeypatch.setattr(worker_module, "_tools", lambda: tools)
    monkeypatch.setattr(worker_module, "suggest", claim)
    store.add_project(PROJECT)
    store.replace_wanted(PROJECT, range(1, 2 * tools.chunk + 2))
    enqueue_suggestions(store, PROJECT)
    queue = Queue(SUGGEST_QUEUE, connection=redis, serializer=JSONSerializer)
    SimpleWorker([queue], connection=redis, serializer=JSONSerializer).work(burst=True)
    assert waiting == [1, 1, 0]
    assert store.wanted_count(PROJECT) == 0


def test_every_known_project_is_compared_with_label_studio_now_and_then(tools: Tools, store: Store) -> None:
    queued = Queue(worker_module.RANK_QUEUE, connection=store.redis, serializer=JSONSerializer)
    hasty = Ticker(tools, reconcile_seconds=0.2)
    hasty.tick()
    hasty.tick()
    assert [job.description for job in queued.jobs] == ["reconcile 0"]
    queued.empty()
    store.release("reconcile-queued:0")
    time.sleep(0.25)
    hasty.tick()
    assert [job.description for job in queued.jobs] == ["reconcile 0"]


def test_a_worker_runs_the_job_and_the_queue_is_there(
    tools: Tools, ticker: Ticker, store: Store, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_tools", lambda: tools)
    due(store)
    ticker.tick()
    queue = Queue(RANK_QUEUE, connection=redis, serializer=JSONSerializer)
    SimpleWorker([queue], connection=redis, serializer=JSONSerializer).work(burst=True)
    assert [entry.task_id for entry in store.queue(PROJECT)] == [1]
    assert store.dirty(PROJECT)[0] == set()
