"""The part of the store that watching the service needs: figures of all processes, workers alive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast
from uuid import uuid4

from redis import Redis

from .renewal import renewed

FIGURES = "allabel:figures"
WORKERS = "allabel:workers"
BEAT_LASTS = 10.0
"""Seconds after which a worker that said nothing is taken for dead."""
AT_WORK_SECONDS = 15.0
"""Seconds after which a job whose worker has died no longer counts."""


class StoredFigures:
    """Times are those of Redis, since processes may disagree."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis

    def now(self) -> float:
        """Seconds since 1970."""
        seconds, microseconds = self.redis.time()
        return seconds + microseconds / 1e6

    def add_figures(self, figures: Mapping[str, float]) -> None:
        with self.redis.pipeline() as pipe:
            for name, by in figures.items():
                pipe.hincrbyfloat(FIGURES, name, by)
            pipe.execute()

    def figures(self) -> dict[str, float]:
        """The sums over all processes, since Redis was last emptied."""
        raw = cast(dict[bytes, bytes], self.redis.hgetall(FIGURES))
        return {name.decode(): float(value) for name, value in raw.items()}

    def beat(self, worker: str) -> None:
        """This worker is alive."""
        now = self.now()
        with self.redis.pipeline() as pipe:
            pipe.zadd(WORKERS, {worker: now})
            pipe.zremrangebyscore(WORKERS, "-inf", now - 60 * BEAT_LASTS)
            pipe.execute()

    def workers(self) -> list[str]:
        """The workers alive, as HOST:PID: those that gave a sign of life within the last ten seconds.

        Pages, doctor, readiness, metrics and the container's health check all go by this.
        """
        alive = cast(list[bytes], self.redis.zrangebyscore(WORKERS, self.now() - BEAT_LASTS, "+inf"))
        return [worker.decode() for worker in alive]

    def workers_alive(self) -> int:
        return len(self.workers())

    @contextmanager
    def at_work(self, project_id: int) -> Iterator[None]:
        """Others see for as long as the block lasts that a job is at the project; soon not, if it dies."""
        key, job = f"allabel:at-work:{project_id}", uuid4().hex

        def renew() -> None:
            self.redis.zadd(key, {job: self.now() + AT_WORK_SECONDS})

        renew()
        try:
            with renewed(renew, every=AT_WORK_SECONDS / 3, name=f"at work on {project_id}"):
                yield
        finally:
            self.redis.zrem(key, job)

    def jobs_at_work(self, project_id: int) -> int:
        """How many jobs are at the project now."""
        key = f"allabel:at-work:{project_id}"
        self.redis.zremrangebyscore(key, "-inf", self.now())
        return self.redis.zcard(key)

    def waiting_seconds(self, project_id: int) -> float:
        """How long the first change that no sync has taken in has been waiting; 0 where there is none."""
        since = cast("bytes | None", self.redis.hget(f"allabel:project:{project_id}:facts", "dirty_since"))
        return max(0.0, self.now() - float(since)) if since else 0.0

    def jobs_waiting(self, queue: str) -> int:
        """Jobs of an RQ queue that no worker has begun."""
        return self.redis.llen(f"rq:queue:{queue}")
