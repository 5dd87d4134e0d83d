"""What Redis holds: marks of work to do, and what can be recomputed from Label Studio.

Keys start with ``allabel:``; those of one project with ``allabel:project:ID:``. Values are JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, cast

from redis import Redis
from redis.exceptions import LockError

from ..ports import ProjectSettings, QueueEntry, StoredDemonstration, Suggestion

SCHEMA = 1
"""Raised when a stored value changes its form; an older store is emptied and rebuilt, never misread."""

QUIET_SECONDS = 0.5
"""A project is due once no event has come for this long ..."""
PATIENCE_SECONDS = 3.0
"""... or this long after the first one, whichever is earlier."""

LOCK_SECONDS = 30
CLAIM_SECONDS = 120
TOP_PRIORITY = -1.0

# Redis' own clock: web processes and workers may disagree about the time.
_MARK_DIRTY = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
redis.call('SADD', KEYS[1], unpack(ARGV, 4))
redis.call('HINCRBY', KEYS[2], 'revision', 1)
redis.call('HSETNX', KEYS[2], 'dirty_since', now)
local first = tonumber(redis.call('HGET', KEYS[2], 'dirty_since'))
redis.call('ZADD', KEYS[3], math.min(now + ARGV[2], first + ARGV[3]), ARGV[1])
"""

_CLEAR_DIRTY = """
if redis.call('HGET', KEYS[2], 'revision') == ARGV[2] then
  redis.call('DEL', KEYS[1])
  redis.call('HDEL', KEYS[2], 'dirty_since')
  redis.call('ZREM', KEYS[3], ARGV[1])
  return 1
end
local t = redis.call('TIME')
redis.call('HSET', KEYS[2], 'dirty_since', t[1] + t[2] / 1e6)
return 0
"""


class Store:
    """All state of all projects. Raises ``redis.exceptions.RedisError`` where Redis fails."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._mark_dirty = redis.register_script(_MARK_DIRTY)
        self._clear_dirty = redis.register_script(_CLEAR_DIRTY)

    @staticmethod
    def _key(project_id: int, name: str) -> str:
        return f"allabel:project:{project_id}:{name}"

    def migrate(self) -> None:
        """Empty a store of another schema; everything in it is recomputed from Label Studio."""
        found = self.redis.get("allabel:schema")
        if found is not None and int(cast(bytes, found)) != SCHEMA:
            projects = self.projects()
            for key in self.redis.scan_iter("allabel:project:*", count=1000):
                self.redis.delete(key)
            for project_id in projects:
                self.mark_dirty(project_id, "setup", "tasks")
        self.redis.set("allabel:schema", SCHEMA)

    # Projects

    def projects(self) -> list[int]:
        return sorted(int(member) for member in cast(set[bytes], self.redis.smembers("allabel:projects")))

    def knows(self, project_id: int) -> bool:
        return bool(self.redis.sismember("allabel:projects", project_id))

    def add_project(self, project_id: int) -> bool:
        """True where the project was not known before."""
        return bool(self.redis.sadd("allabel:projects", project_id))

    def forget_project(self, project_id: int) -> None:
        self.redis.srem("allabel:projects", project_id)
        self.redis.zrem("allabel:due", project_id)
        for key in self.redis.scan_iter(self._key(project_id, "*"), count=1000):
            self.redis.delete(key)

    def settings(self, project_id: int) -> ProjectSettings:
        raw = self.redis.get(self._key(project_id, "settings"))
        return ProjectSettings(**json.loads(cast(bytes, raw))) if raw else ProjectSettings()

    def save_settings(self, project_id: int, settings: ProjectSettings) -> None:
        self.redis.set(self._key(project_id, "settings"), json.dumps(asdict(settings)))

    def facts(self, project_id: int) -> dict[str, str]:
        """Small single values: state, problem, version, revision, counters ..."""
        raw = cast(dict[bytes, bytes], self.redis.hgetall(self._key(project_id, "facts")))
        return {key.decode(): value.decode() for key, value in raw.items()}

    def fact(self, project_id: int, name: str) -> str | None:
        raw = cast("bytes | None", self.redis.hget(self._key(project_id, "facts"), name))
        return raw.decode() if raw is not None else None

    def set_facts(self, project_id: int, **facts: str | int | float) -> None:
        self.redis.hset(self._key(project_id, "facts"), mapping=cast(Any, facts))

    def count(self, project_id: int, name: str, by: int = 1) -> int:
        return cast(int, self.redis.hincrby(self._key(project_id, "facts"), name, by))

    def set_progress(self, project_id: int, doing: str, done: int, total: int) -> None:
        value = json.dumps({"doing": doing, "done": done, "total": total, "at": time.time()})
        self.redis.hset(self._key(project_id, "facts"), "progress", value)

    # Work to do

    def mark_dirty(self, project_id: int, *kinds: str) -> None:
        """Something changed: a sync is due soon. Lost only with Redis itself."""
        keys = [self._key(project_id, "dirty"), self._key(project_id, "facts"), "allabel:due"]
        self._mark_dirty(keys, [project_id, QUIET_SECONDS, PATIENCE_SECONDS, *kinds])

    def dirty(self, project_id: int) -> tuple[set[str], int]:
        """Kinds of change since the last complete sync, and the revision to clear them with."""
        kinds = cast(set[bytes], self.redis.smembers(self._key(project_id, "dirty")))
        return {kind.decode() for kind in kinds}, int(self.fact(project_id, "revision") or 0)

    def clear_dirty(self, project_id: int, revision: int) -> bool:
        """Forget the marks, unless something came in since ``revision`` was read."""
        keys = [self._key(project_id, "dirty"), self._key(project_id, "facts"), "allabel:due"]
        return bool(self._clear_dirty(keys, [project_id, revision]))

    def postpone(self, project_id: int, seconds: float) -> None:
        """After a failure: not due before so many seconds from now."""
        self.redis.zadd("allabel:due", {str(project_id): self._now() + seconds})

    def due_projects(self) -> list[int]:
        members = cast(list[bytes], self.redis.zrangebyscore("allabel:due", "-inf", self._now()))
        return [int(member) for member in members]

    def _now(self) -> float:
        seconds, microseconds = cast(tuple[int, int], self.redis.time())
        return seconds + microseconds / 1e6

    def claim(self, name: str, seconds: float) -> bool:
        """True for the first caller in so many seconds."""
        return bool(self.redis.set(f"allabel:claim:{name}", 1, nx=True, px=max(1, int(seconds * 1000))))

    def release(self, name: str) -> None:
        self.redis.delete(f"allabel:claim:{name}")

    @contextmanager
    def lock(self, name: str, *, wait: float = 0.0) -> Iterator[Callable[[], None] | None]:
        """The lock of that name, or None where another holds it after ``wait`` seconds.

        Call the yielded function now and then during long work: it extends the lock, and raises
        ``redis.exceptions.LockError`` where it was lost. A holder that dies loses it by itself.
        """
        lock = self.redis.lock(f"allabel:lock:{name}", timeout=LOCK_SECONDS, thread_local=False)
        if not lock.acquire(blocking=wait > 0, blocking_timeout=wait or None):
            yield None
            return
        try:
            yield lambda: cast(None, lock.reacquire())
        finally:
            try:
                lock.release()
            except LockError:
                pass  # it expired, and another may hold it by now

    def locked(self, name: str) -> bool:
        return bool(self.redis.exists(f"allabel:lock:{name}"))

    # Texts

    def texts(self, project_id: int) -> dict[int, str]:
        """Task id -> text, in id order."""
        raw = cast(dict[bytes, bytes], self.redis.hgetall(self._key(project_id, "texts")))
        return {int(key): raw[key].decode() for key in sorted(raw, key=int)}

    def some_texts(self, project_id: int, task_ids: Sequence[int]) -> dict[int, str]:
        """The texts of those of these tasks that are known."""
        if not task_ids:
            return {}
        raw = cast(list["bytes | None"], self.redis.hmget(self._key(project_id, "texts"), [str(i) for i in task_ids]))
        return {task_id: text.decode() for task_id, text in zip(task_ids, raw, strict=True) if text is not None}

    def add_texts(self, project_id: int, texts: Mapping[int, str]) -> None:
        if texts:
            self.redis.hset(self._key(project_id, "texts"), mapping=cast(Any, texts))

    def replace_texts(self, project_id: int, texts: Mapping[int, str]) -> None:
        known = {int(key) for key in cast(list[bytes], self.redis.hkeys(self._key(project_id, "texts")))}
        self.add_texts(project_id, texts)
        self._drop(project_id, "texts", known - texts.keys())

    # The queue and what it was built from

    def queue(self, project_id: int) -> list[QueueEntry]:
        raw = self.redis.get(self._key(project_id, "queue"))
        return [QueueEntry(**entry) for entry in json.loads(cast(bytes, raw))] if raw else []

    def save_queue(self, project_id: int, queue: Iterable[QueueEntry]) -> None:
        self.redis.set(self._key(project_id, "queue"), json.dumps([asdict(entry) for entry in queue]))

    def demonstrations(self, project_id: int) -> list[StoredDemonstration]:
        raw = self.redis.get(self._key(project_id, "demonstrations"))
        return [StoredDemonstration.from_json(item) for item in json.loads(cast(bytes, raw))] if raw else []

    def save_demonstrations(self, project_id: int, demonstrations: Iterable[StoredDemonstration]) -> None:
        value = json.dumps([demonstration.to_json() for demonstration in demonstrations])
        self.redis.set(self._key(project_id, "demonstrations"), value)

    # Suggestions

    def wanted(self, project_id: int) -> list[int]:
        """Tasks that need a (new) suggestion, most urgent first."""
        return [int(member) for member in cast(list[bytes], self.redis.zrange(self._key(project_id, "wanted"), 0, -1))]

    def replace_wanted(self, project_id: int, task_ids: Sequence[int]) -> None:
        """Keeps what a person waits for right now."""
        key = self._key(project_id, "wanted")
        with self.redis.pipeline() as pipe:
            pipe.zremrangebyscore(key, "(" + str(TOP_PRIORITY), "+inf")
            if task_ids:
                pipe.zadd(key, {str(task_id): place for place, task_id in enumerate(task_ids)}, nx=True)
            pipe.execute()

    def want_now(self, project_id: int, task_ids: Iterable[int]) -> None:
        self.redis.zadd(self._key(project_id, "wanted"), dict.fromkeys(map(str, task_ids), TOP_PRIORITY))

    def no_longer_wanted(self, project_id: int, task_ids: Iterable[int]) -> None:
        self.redis.zrem(self._key(project_id, "wanted"), *task_ids)

    def claim_wanted(self, project_id: int, count: int) -> list[int]:
        """The most urgent tasks that no other worker is at."""
        claimed: list[int] = []
        for task_id in self.wanted(project_id):
            if len(claimed) == count:
                break
            if self.claim(f"suggest:{project_id}:{task_id}", CLAIM_SECONDS):
                claimed.append(task_id)
        return claimed

    def release_wanted(self, project_id: int, task_ids: Iterable[int]) -> None:
        for task_id in task_ids:
            self.release(f"suggest:{project_id}:{task_id}")

    def projects_with_wanted(self) -> list[int]:
        return [project for project in self.projects() if self.redis.exists(self._key(project, "wanted"))]

    def suggestions(self, project_id: int, task_ids: Sequence[int]) -> dict[int, Suggestion]:
        return self._suggestions(project_id, "suggestions", task_ids)

    def shown(self, project_id: int, task_ids: Sequence[int]) -> dict[int, Suggestion]:
        """The suggestions as last published, hence as an annotator saw them."""
        return self._suggestions(project_id, "shown", task_ids)

    def _suggestions(self, project_id: int, name: str, task_ids: Sequence[int]) -> dict[int, Suggestion]:
        if not task_ids:
            return {}
        raw = cast(list["bytes | None"], self.redis.hmget(self._key(project_id, name), [str(i) for i in task_ids]))
        return {
            task_id: Suggestion(**json.loads(value))
            for task_id, value in zip(task_ids, raw, strict=True)
            if value is not None
        }

    def save_suggestions(self, project_id: int, suggestions: Iterable[Suggestion]) -> None:
        self._save_suggestions(project_id, "suggestions", suggestions)

    def save_shown(self, project_id: int, suggestions: Iterable[Suggestion]) -> None:
        self._save_suggestions(project_id, "shown", suggestions)

    def _save_suggestions(self, project_id: int, name: str, suggestions: Iterable[Suggestion]) -> None:
        mapping = {str(suggestion.task_id): json.dumps(asdict(suggestion)) for suggestion in suggestions}
        if mapping:
            self.redis.hset(self._key(project_id, name), mapping=cast(Any, mapping))

    def _drop(self, project_id: int, name: str, members: Iterable[int]) -> None:
        gone = [str(member) for member in members]
        for start in range(0, len(gone), 1000):
            self.redis.hdel(self._key(project_id, name), *gone[start : start + 1000])

    def forget_tasks(self, project_id: int, task_ids: Iterable[int]) -> None:
        """Deleted in Label Studio: nothing of them remains here."""
        gone = list(task_ids)
        for name in ("texts", "suggestions", "shown"):
            self._drop(project_id, name, gone)
        if gone:
            self.no_longer_wanted(project_id, gone)
