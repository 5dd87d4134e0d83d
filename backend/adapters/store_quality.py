"""The part of the store that tells how good suggestions are, and what went wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, cast

from redis import Redis

from allabel_core.types import Document

from ..ports import AnnotatedTask, NotedError, Witness, demonstrations_of

ERRORS_KEPT = 20


class StoredQuality:
    """Times are those of Redis."""

    redis: Redis

    @staticmethod
    def _key(project_id: int, name: str) -> str:
        return f"allabel:project:{project_id}:{name}"

    # What was suggested for what has been annotated

    def audit(self, project_id: int) -> list[int]:
        """The tasks of the blind audit, annotated or not, in their order."""
        raw = self.redis.get(self._key(project_id, "audit"))
        return list(json.loads(cast(bytes, raw))) if raw else []

    def save_audit(self, project_id: int, task_ids: Iterable[int]) -> None:
        self.redis.set(self._key(project_id, "audit"), json.dumps(list(task_ids)))

    def witnesses(self, project_id: int) -> dict[int, Witness]:
        raw = cast(dict[bytes, bytes], self.redis.hgetall(self._key(project_id, "witnesses")))
        return {int(task_id): Witness(**json.loads(value)) for task_id, value in raw.items()}

    def witness(self, project_id: int, task_id: int) -> Witness | None:
        raw = cast("bytes | None", self.redis.hget(self._key(project_id, "witnesses"), str(task_id)))
        return Witness(**json.loads(raw)) if raw is not None else None

    def demonstration(self, project_id: int, task_id: int) -> Document | None:
        """What people made of this task; None where nobody has annotated it."""
        raw = cast("bytes | None", self.redis.hget(self._key(project_id, "annotated"), str(task_id)))
        found = demonstrations_of([AnnotatedTask.from_json(raw)]) if raw is not None else []
        return found[0].document if found else None

    def save_witnesses(self, project_id: int, witnesses: Iterable[Witness]) -> None:
        mapping = {str(each.task_id): json.dumps(asdict(each)) for each in witnesses}
        if mapping:
            self.redis.hset(self._key(project_id, "witnesses"), mapping=cast(Any, mapping))

    def forget_witnesses(self, project_id: int, task_ids: Iterable[int]) -> None:
        if gone := list(map(str, task_ids)):
            self.redis.hdel(self._key(project_id, "witnesses"), *gone)

    # What the worker has found out, for pages, API and terminal

    def computed(self, project_id: int, name: str) -> bytes | None:
        """What was computed under that name last, as JSON."""
        return cast("bytes | None", self.redis.get(self._key(project_id, f"computed:{name}")))

    def save_computed(self, project_id: int, name: str, value: bytes) -> None:
        self.redis.set(self._key(project_id, f"computed:{name}"), value)

    def note_error(self, project_id: int, message: str, remedy: str) -> None:
        """Keeps the last few different ones; one that comes again takes the place of the former."""
        key = self._key(project_id, "errors")
        known = cast(list[bytes], self.redis.lrange(key, 0, -1))
        with self.redis.pipeline() as pipe:
            for former in known:
                if json.loads(former)["message"] == message:
                    pipe.lrem(key, 0, cast(Any, former))
            pipe.lpush(key, json.dumps(asdict(NotedError(float(self.redis.time()[0]), message, remedy))))
            pipe.ltrim(key, 0, ERRORS_KEPT - 1)
            pipe.execute()

    def errors(self, project_id: int) -> list[NotedError]:
        """Newest first."""
        raw = cast(list[bytes], self.redis.lrange(self._key(project_id, "errors"), 0, -1))
        return [NotedError(**json.loads(value)) for value in raw]
