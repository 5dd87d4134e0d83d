"""The part of the store that watching the service needs: figures of all processes, workers alive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from redis import Redis

FIGURES = "allabel:figures"
WORKERS = "allabel:workers"
BEAT_LASTS = 10.0
"""Seconds after which a worker that said nothing is taken for dead."""


class StoredFigures:
    """Times are those of Redis, since processes may disagree."""

    redis: Redis

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

    def workers_alive(self) -> int:
        return self.redis.zcount(WORKERS, self.now() - BEAT_LASTS, "+inf")

    def waiting_seconds(self, project_id: int) -> float:
        """How long the first change that no sync has taken in has been waiting; 0 where there is none."""
        since = cast("bytes | None", self.redis.hget(f"allabel:project:{project_id}:facts", "dirty_since"))
        return max(0.0, self.now() - float(since)) if since else 0.0

    def jobs_waiting(self, queue: str) -> int:
        """Jobs of an RQ queue that no worker has begun."""
        return self.redis.llen(f"rq:queue:{queue}")
