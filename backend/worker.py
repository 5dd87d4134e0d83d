"""The RQ worker: takes jobs off Redis and runs use cases; its ticker turns marks of work into jobs.

Jobs carry a project's id and nothing else. What has to be done stands in Redis until it is done, so
that a job lost with its worker is simply enqueued again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from types import FrameType
from typing import TYPE_CHECKING

from redis import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rq import Queue, SimpleWorker, get_current_job
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer
from rq.worker import DequeueStrategy

from .bootstrap import build_tools, connect_redis
from .jobs import KEEP_FAILURE, KEEP_RESULT, NumberJob
from .learner import Learner
from .logs import configure_logging, where
from .periodic import Periodic
from .pulse import Pulse
from .settings import Settings, read_settings
from .telemetry import watched_job
from .usecases.learn import learn
from .usecases.reconcile import RECONCILE, reconcile
from .usecases.remedies import note_problem
from .usecases.reset import resetting
from .usecases.suggest import suggest
from .usecases.sync import sync
from .usecases.tools import Tools

if TYPE_CHECKING:
    from .adapters.store import Store

logger = logging.getLogger(__name__)

RANK_QUEUE = "allabel-rank"
SUGGEST_QUEUE = "allabel-suggest"
LEARN_QUEUE = "allabel-learn"
SYNC_TIMEOUT = 3600
SUGGEST_TIMEOUT = 900
LEARN_TIMEOUT = 3600
ALL_PROJECTS = 0
QUEUED_AT_MOST = 20.0
"""Seconds after which a job that never began is taken for lost."""

TICK_SECONDS = 0.25
PAUSE_SECONDS = 2.0
SILENT_SECONDS = 45
"""After about so long a connection to Redis on which nothing comes is taken for dead."""


@lru_cache(maxsize=1)
def _tools() -> Tools:
    """One set of tools for the life of the worker process: the ranker keeps its indexes."""
    return replace(build_tools(read_settings()), on_progress=_note_progress)


def sync_job(project_id: int) -> None:
    """Bring one project's queue up to date."""
    _run("sync", sync, project_id)


def reconcile_job(_: int) -> None:
    """Compare all projects with Label Studio."""
    _run("reconcile", lambda tools, _: reconcile(tools), ALL_PROJECTS)


def suggest_job(project_id: int) -> None:
    """Pre-annotate the next few wanted tasks of one project."""
    _run("suggest", _suggest, project_id)


def learn_job(project_id: int) -> None:
    """Learn from the annotations of one project."""
    _run("learn", learn, project_id)


def _suggest(tools: Tools, project_id: int) -> None:
    if tools.store.unclaimed(project_id) > tools.chunk:
        # Another worker can begin at once, and this one goes on without waiting for a tick.
        enqueue_suggestions(tools.store, project_id)
    suggest(tools, project_id)


def _run(kind: str, work: Callable[[Tools, int], object], project_id: int) -> None:
    """Whatever goes wrong is said here: RQ would keep each failed job, and nobody looks there."""
    tools = _tools()
    tools.store.require_schema()
    tools.store.release(_queued(kind, project_id))
    job = get_current_job()
    try:
        with tools.store.at_work(project_id):
            # Seen after the job has shown itself, so that a reset waits for it or keeps it from beginning.
            if project_id != ALL_PROJECTS and not _may_begin(tools, project_id):
                return
            with watched_job(tools.meter, kind, project_id, job.id if job else None):
                work(tools, project_id)
    except RedisError as error:
        logger.warning("%s of project %d: Redis: %s", kind, project_id, type(error).__name__)
        time.sleep(PAUSE_SECONDS)
    except Exception as error:  # noqa: BLE001 - whatever it is, the project must show it
        logger.warning("%s of project %d: %s", kind, project_id, where(error))
        if project_id != ALL_PROJECTS:
            note_problem(tools, project_id, error)


def _may_begin(tools: Tools, project_id: int) -> bool:
    return tools.store.knows(project_id) and not tools.store.locked(resetting(project_id))


for _job, _seconds in (
    (sync_job, SYNC_TIMEOUT),
    (reconcile_job, SYNC_TIMEOUT),
    (suggest_job, SUGGEST_TIMEOUT),
    (learn_job, LEARN_TIMEOUT),
):
    NumberJob.allow(_job, _seconds)


def _note_progress(doing: str, done: int, total: int) -> None:
    if job := get_current_job():
        job.meta.update(doing=doing, done=done, total=total)
        job.save_meta()  # type: ignore[no-untyped-call]


def _queued(kind: str, project_id: int) -> str:
    return f"{kind}-queued:{project_id}"


class Ticker:
    """Enqueues jobs for whatever is due. One runs beside every worker; claims keep them apart."""

    def __init__(self, tools: Tools, *, reconcile_seconds: float) -> None:
        self._store = tools.store
        self._reconcile_seconds = reconcile_seconds
        self._thread = Periodic("ticker", self.tick, seconds=TICK_SECONDS)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()

    def tick(self) -> None:
        """One look at all projects."""
        store = self._store
        if store.claim(RECONCILE, self._reconcile_seconds):
            _enqueue(store, RANK_QUEUE, reconcile_job, "reconcile", ALL_PROJECTS, SYNC_TIMEOUT)
        for project_id in store.due_projects():
            if not store.locked(f"sync:{project_id}"):
                enqueue_sync(store, project_id)
        for project_id in store.to_learn():
            if not store.locked(f"learn:{project_id}"):
                _enqueue(store, LEARN_QUEUE, learn_job, "learn", project_id, LEARN_TIMEOUT)
        for project_id in store.projects():
            if store.unclaimed(project_id) > 0:
                enqueue_suggestions(store, project_id)


def enqueue_sync(store: Store, project_id: int) -> None:
    """One job at a time waits for each project."""
    _enqueue(store, RANK_QUEUE, sync_job, "sync", project_id, SYNC_TIMEOUT)


def enqueue_suggestions(store: Store, project_id: int) -> None:
    """One job at a time waits for each project; as it begins, it enqueues its successor."""
    _enqueue(store, SUGGEST_QUEUE, suggest_job, "suggest", project_id, SUGGEST_TIMEOUT)


def _enqueue(
    store: Store, queue: str, job: Callable[[int], None], kind: str, project_id: int, timeout: int
) -> None:
    if store.claim(_queued(kind, project_id), QUEUED_AT_MOST):
        _queue(queue, store.redis).enqueue_call(
            job,
            args=(project_id,),
            timeout=timeout,
            result_ttl=KEEP_RESULT,
            failure_ttl=KEEP_FAILURE,
            description=f"{kind} {project_id}",
        )


def _queue(name: str, connection: Redis) -> Queue:
    return Queue(name, connection=connection, serializer=JSONSerializer, job_class=NumberJob)


def run_worker(settings: Settings) -> None:
    """Work until told to stop by SIGTERM or SIGINT; the job at hand is finished first."""
    tools = _tools()
    tools.store.require_lasting()
    tools.store.migrate()
    connection = connect_redis(settings, blocking=True)
    ticker = Ticker(tools, reconcile_seconds=settings.reconcile_seconds)
    ticker.start()
    pulse = Pulse(tools, is_worker=True)
    pulse.start()
    learner = Learner(run_learner)
    learner.start()
    try:
        _work_on(connection, RANK_QUEUE, SUGGEST_QUEUE)
    finally:
        learner.stop()
        ticker.stop()
        pulse.stop()


def run_learner() -> None:
    """Learn for as long as the worker beside it works; its ticker enqueues for both."""
    settings = read_settings()
    configure_logging(settings, Console(stderr=True))
    pulse = Pulse(_tools(), is_worker=False)
    pulse.start()
    try:
        _work_on(connect_redis(settings, blocking=True), LEARN_QUEUE)
    finally:
        pulse.stop()


def _work_on(connection: Redis, *queues: str) -> None:
    """Until told to stop. RQ ends at what Redis cannot do at the moment, such as writing to a full memory."""
    try:
        while not _work(connection, queues):
            logger.warning("Redis fails; next try in %.0f s", PAUSE_SECONDS)
            time.sleep(PAUSE_SECONDS)
    except StopRequested:
        pass


class _Worker(SimpleWorker):
    """Runs jobs in this very process, so that a project's index outlives the job that built it."""

    told_to_stop = False

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.told_to_stop = True
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]


def _work(connection: Redis, queues: Sequence[str]) -> bool:
    """Whether it ended because it was told to; otherwise Redis failed."""
    worker = _Worker(
        [_queue(name, connection) for name in queues],
        connection=connection,
        serializer=JSONSerializer,
        job_class=NumberJob,
        worker_ttl=SILENT_SECONDS,
    )
    try:
        # In turn: where syncing takes long, suggestions must not wait until nothing changes any more.
        worker.work(logging_level="WARNING", dequeue_strategy=DequeueStrategy.ROUND_ROBIN)
    except RedisError as error:
        logger.warning("worker: Redis: %s", type(error).__name__)
    return worker.told_to_stop
