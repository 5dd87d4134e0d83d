"""What Redis holds: marks of work to do, and what can be recomputed from Label Studio.

Keys start with ``allabel:``; those of one project with ``allabel:project:ID:``. Values are JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, cast

from redis import Redis
from redis.exceptions import LockError, ResponseError

from ..errors import SettingsError
from ..ports import (
    AnnotatedTask,
    ProgressNote,
    ProjectSettings,
    QueueEntry,
    StoredDemonstration,
    Suggestion,
    demonstrations_of,
)
from .migration import known_settings, require_schema, take_over
from .renewal import renewed
from .store_access import StoredAccess
from .store_board import StoredBoard
from .store_figures import StoredFigures
from .store_learning import StoredLearning
from .store_quality import StoredQuality

QUIET_SECONDS = 0.5
"""A project is due once no event has come for this long ..."""
PATIENCE_SECONDS = 3.0
"""... or this long after the first one, whichever is earlier."""

LOCK_SECONDS = 15
CLAIM_SECONDS = 30
"""Both are renewed while their holder lives: so soon after its death another takes over."""

KEEPS_ALL = "noeviction"

TOP_PRIORITY = -1.0
UNKNOWN_SECONDS = 3600

# Redis' own clock: web processes and workers may disagree about the time.
_MARK_DIRTY = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
local revision = redis.call('HINCRBY', KEYS[2], 'revision', 1)
for i = 4, #ARGV do redis.call('ZADD', KEYS[1], revision, ARGV[i]) end
redis.call('HSETNX', KEYS[2], 'dirty_since', now)
local first = tonumber(redis.call('HGET', KEYS[2], 'dirty_since'))
redis.call('ZADD', KEYS[3], math.min(now + ARGV[2], first + ARGV[3]), ARGV[1])
"""

_CLEAR_DIRTY = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
if redis.call('ZCARD', KEYS[1]) == 0 then
  redis.call('HDEL', KEYS[2], 'dirty_since')
  redis.call('ZREM', KEYS[3], ARGV[1])
  return 1
end
local t = redis.call('TIME')
redis.call('HSET', KEYS[2], 'dirty_since', t[1] + t[2] / 1e6)
return 0
"""

_REFUSALS = "allabel:refusals"
REFUSALS_KEPT = 100

_CLAIM_WANTED = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
local claimed, start, step = {}, 0, 200
repeat
  local tasks = redis.call('ZRANGE', KEYS[1], start, start + step - 1)
  for _, task in ipairs(tasks) do
    if #claimed >= tonumber(ARGV[1]) then break end
    local expiry = redis.call('ZSCORE', KEYS[2], task)
    if not expiry or tonumber(expiry) < now then
      redis.call('ZADD', KEYS[2], now + ARGV[2], task)
      claimed[#claimed + 1] = task
    end
  end
  start = start + step
until #tasks < step or #claimed >= tonumber(ARGV[1])
return claimed
"""


class Store(StoredAccess, StoredBoard, StoredFigures, StoredLearning, StoredQuality):
    """All state of all projects. Raises ``redis.exceptions.RedisError`` where Redis fails."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._mark_dirty = redis.register_script(_MARK_DIRTY)
        self._clear_dirty = redis.register_script(_CLEAR_DIRTY)
        self._claim_wanted = redis.register_script(_CLAIM_WANTED)

    def migrate(self) -> None:
        """Take over the state of an older release: what cannot be kept is recomputed from Label Studio.

        :raises SettingsError: the state is of a newer release.
        """
        with self.lock("migration", wait=LOCK_SECONDS):
            for project_id in take_over(self.redis):
                self.mark_dirty(project_id, "setup", "tasks")

    def require_schema(self) -> None:
        """:raises SettingsError: another release has taken over this Redis."""
        require_schema(self.redis)

    # Projects

    def projects(self) -> list[int]:
        return sorted(int(member) for member in cast(set[bytes], self.redis.smembers("allabel:projects")))

    def knows(self, project_id: int) -> bool:
        return bool(self.redis.sismember("allabel:projects", str(project_id)))

    def add_project(self, project_id: int) -> bool:
        """True where the project was not known before."""
        return bool(self.redis.sadd("allabel:projects", project_id))

    def note_unknown(self, project_id: int) -> None:
        """Label Studio has called us for a project that we do not know."""
        with self.redis.pipeline() as pipe:
            pipe.sadd("allabel:unknown", project_id)
            pipe.expire("allabel:unknown", UNKNOWN_SECONDS)
            pipe.execute()

    def unknown(self) -> set[int]:
        """Projects that we were called for of late without knowing them."""
        return {int(member) for member in cast(set[bytes], self.redis.smembers("allabel:unknown"))}

    def note_refusal(self, project_id: int, reason: str) -> None:
        """Why the latest attempt to connect the project was refused, which Label Studio hides."""
        if self.redis.hlen(_REFUSALS) >= REFUSALS_KEPT and not self.redis.hexists(_REFUSALS, str(project_id)):
            oldest = min(self.refusals())
            self.redis.hdel(_REFUSALS, str(oldest))
        self.redis.hset(_REFUSALS, str(project_id), reason)

    def forget_refusal(self, project_id: int) -> None:
        self.redis.hdel(_REFUSALS, str(project_id))

    def refusals(self) -> dict[int, str]:
        """Project -> why its connection is refused, until it is connected."""
        raw = cast(dict[bytes, bytes], self.redis.hgetall(_REFUSALS))
        return {int(key): reason.decode() for key, reason in raw.items()}

    def forget_project(self, project_id: int) -> None:
        self.redis.srem("allabel:projects", project_id)
        self.redis.zrem("allabel:due", project_id)
        self.learnt(project_id)
        for key in self.redis.scan_iter(self._key(project_id, "*"), count=1000):
            self.redis.delete(key)

    def settings(self, project_id: int) -> ProjectSettings:
        raw = self.redis.get(self._key(project_id, "settings"))
        return ProjectSettings(**known_settings(json.loads(cast(bytes, raw)))) if raw else ProjectSettings()

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
        return self.redis.hincrby(self._key(project_id, "facts"), name, by)

    def set_progress(self, project_id: int, doing: str, done: int, total: int) -> None:
        value = json.dumps({"doing": doing, "done": done, "total": total, "since": self.now()})
        self.redis.hset(self._key(project_id, "facts"), "progress", value)

    def progress(self, project_id: int) -> ProgressNote | None:
        raw = self.fact(project_id, "progress")
        return ProgressNote(**json.loads(raw)) if raw else None

    # Work to do

    def mark_dirty(self, project_id: int, *kinds: str) -> None:
        """Something changed: a sync is due soon. Lost only with Redis itself."""
        keys = [self._key(project_id, "dirty"), self._key(project_id, "facts"), "allabel:due"]
        self._mark_dirty(keys, [project_id, QUIET_SECONDS, PATIENCE_SECONDS, *kinds])

    def dirty(self, project_id: int) -> tuple[set[str], int]:
        """Kinds of change since the last complete sync, and the revision to clear them with."""
        with self.redis.pipeline() as pipe:
            pipe.zrange(self._key(project_id, "dirty"), 0, -1)
            pipe.hget(self._key(project_id, "facts"), "revision")
            kinds, revision = pipe.execute()
        return {kind.decode() for kind in kinds}, int(revision or 0)

    def marked_at(self, project_id: int, kind: str) -> int:
        """The revision of the newest mark of this kind; 0 where there is none."""
        return int(self.redis.zscore(self._key(project_id, "dirty"), kind) or 0)

    def clear_dirty(self, project_id: int, revision: int) -> bool:
        """Forget the marks up to ``revision``; True where none has come in since."""
        keys = [self._key(project_id, "dirty"), self._key(project_id, "facts"), "allabel:due"]
        return bool(self._clear_dirty(keys, [project_id, revision]))

    def postpone(self, project_id: int, seconds: float) -> None:
        """After a failure: not due before so many seconds from now."""
        self.redis.zadd("allabel:due", {str(project_id): self.now() + seconds})

    def due_projects(self) -> list[int]:
        members = cast(list[bytes], self.redis.zrangebyscore("allabel:due", "-inf", self.now()))
        return [int(member) for member in members]

    def claim(self, name: str, seconds: float) -> bool:
        """True for the first caller in so many seconds."""
        return bool(self.redis.set(f"allabel:claim:{name}", 1, nx=True, px=max(1, int(seconds * 1000))))

    def release(self, name: str) -> None:
        self.redis.delete(f"allabel:claim:{name}")

    @contextmanager
    def lock(self, name: str, *, wait: float = 0.0) -> Iterator[bool]:
        """Yields whether the lock of that name is ours; False where another holds it after ``wait`` seconds.

        It is renewed for as long as this process lives, and expires soon after it dies.
        """
        lock = self.redis.lock(f"allabel:lock:{name}", timeout=LOCK_SECONDS, thread_local=False)
        if not lock.acquire(blocking=wait > 0, blocking_timeout=wait or None):
            yield False
            return
        try:
            with renewed(lock.reacquire, every=LOCK_SECONDS / 3, name=name):
                yield True
        finally:
            # It may have expired while Redis was away, and be another's by now.
            with suppress(LockError):
                lock.release()

    def refusal(self) -> str:
        """Why Redis takes nothing in at this moment: full, or unable to save; empty where it does."""
        try:
            self.redis.set("allabel:probe", 1, px=1000)
        except ResponseError as error:
            return str(error)
        return ""

    def eviction(self) -> str:
        """The policy by which a full Redis throws away what it holds; empty where it never does."""
        memory = self.redis.info("memory")
        policy = str(memory.get("maxmemory_policy", KEEPS_ALL))
        return "" if policy == KEEPS_ALL or not memory.get("maxmemory") else policy

    def require_lasting(self) -> None:
        """:raises SettingsError: Redis may throw anything away, the ledger of what was spent included."""
        if (policy := self.eviction()).startswith("allkeys"):
            raise SettingsError(
                f"Redis is set to throw away what it holds once it is full (maxmemory-policy {policy}), the "
                f"ledger of what was spent included. Set maxmemory-policy {KEEPS_ALL}, or use another Redis."
            )

    def has_work(self, project_id: int) -> bool:
        """Whether something waits for a worker."""
        names = ("dirty", "wanted")
        return bool(self.redis.exists(*(self._key(project_id, name) for name in names)))

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
        raw = cast(
            list["bytes | None"], self.redis.hmget(self._key(project_id, "texts"), [str(i) for i in task_ids])
        )
        return {
            task_id: text.decode() for task_id, text in zip(task_ids, raw, strict=True) if text is not None
        }

    def task_ids(self, project_id: int) -> list[int]:
        """Of all tasks that have been read, those without a usable text included, in id order."""
        with self.redis.pipeline() as pipe:
            pipe.hkeys(self._key(project_id, "texts"))
            pipe.smembers(self._key(project_id, "unusable"))
            usable, unusable = pipe.execute()
        return sorted({*map(int, usable), *map(int, unusable)})

    def known_ids(self, project_id: int, task_ids: Sequence[int]) -> list[int]:
        """Those of these tasks that have been read."""
        with self.redis.pipeline() as pipe:
            for task_id in task_ids:
                pipe.hexists(self._key(project_id, "texts"), str(task_id))
                pipe.sismember(self._key(project_id, "unusable"), str(task_id))
            found = pipe.execute()
        usable, unusable = found[::2], found[1::2]
        return [t for t, *either in zip(task_ids, usable, unusable, strict=True) if any(either)]

    def text_ids(self, project_id: int) -> list[int]:
        """The tasks that have a text."""
        return [int(key) for key in cast(list[bytes], self.redis.hkeys(self._key(project_id, "texts")))]

    def task_counts(self, project_id: int) -> tuple[int, int]:
        """(tasks with a text, tasks without a usable one)."""
        with self.redis.pipeline() as pipe:
            pipe.hlen(self._key(project_id, "texts"))
            pipe.scard(self._key(project_id, "unusable"))
            texts, unusable = pipe.execute()
        return texts, unusable

    def add_texts(self, project_id: int, texts: Mapping[int, str], unusable: Iterable[int] = ()) -> None:
        with self.redis.pipeline() as pipe:
            if texts:
                pipe.hset(self._key(project_id, "texts"), mapping=cast(Any, texts))
                pipe.srem(self._key(project_id, "unusable"), *texts)
            if without := list(unusable):
                pipe.hdel(self._key(project_id, "texts"), *map(str, without))
                pipe.sadd(self._key(project_id, "unusable"), *without)
            pipe.execute()

    # The queue and what it was built from

    def queue(self, project_id: int, most: int = 0) -> list[QueueEntry]:
        """The whole queue, or its first ``most`` entries."""
        raw = cast(list[bytes], self.redis.lrange(self._key(project_id, "queue"), 0, most - 1))
        return [QueueEntry(**json.loads(entry)) for entry in raw]

    def queue_length(self, project_id: int) -> int:
        return self.redis.llen(self._key(project_id, "queue"))

    def save_queue(self, project_id: int, queue: Iterable[QueueEntry]) -> None:
        key, members = self._key(project_id, "queue"), self._key(project_id, "queued")
        entries = list(queue)
        with self.redis.pipeline() as pipe:
            pipe.delete(key, members)
            pipe.set(self._key(project_id, "queue-order"), json.dumps([entry.task_id for entry in entries]))
            for start in range(0, len(entries), 1000):
                chunk = entries[start : start + 1000]
                pipe.rpush(key, *(json.dumps(asdict(entry)) for entry in chunk))
                pipe.sadd(members, *(entry.task_id for entry in chunk))
            pipe.execute()

    def queue_order(self, project_id: int) -> list[int]:
        """The tasks of the queue in their order."""
        raw = self.redis.get(self._key(project_id, "queue-order"))
        return list(json.loads(cast(bytes, raw))) if raw else []

    def is_queued(self, project_id: int, task_id: int) -> bool:
        return bool(self.redis.sismember(self._key(project_id, "queued"), str(task_id)))

    def annotated(self, project_id: int) -> dict[int, AnnotatedTask]:
        """What people have done, by task."""
        raw = cast(list[bytes], self.redis.hvals(self._key(project_id, "annotated")))
        return {task.task_id: task for task in map(AnnotatedTask.from_json, raw)}

    def annotated_among(self, project_id: int, task_ids: Sequence[int]) -> set[int]:
        """Those of these tasks that people have annotated or skipped."""
        if not task_ids:
            return set()
        raw = cast(
            list["bytes | None"],
            self.redis.hmget(self._key(project_id, "annotated"), [str(i) for i in task_ids]),
        )
        return {task_id for task_id, value in zip(task_ids, raw, strict=True) if value is not None}

    def save_annotated(
        self, project_id: int, changed: Iterable[AnnotatedTask], gone: Iterable[int], until: str
    ) -> None:
        """``until``: the newest change of Label Studio's that is in it."""
        key = self._key(project_id, "annotated")
        mapping = {str(task.task_id): task.to_json() for task in changed}
        dropped = [str(task_id) for task_id in gone]
        with self.redis.pipeline() as pipe:
            if mapping:
                pipe.hset(key, mapping=cast(Any, mapping))
            if dropped:
                pipe.hdel(key, *dropped)
            if mapping or dropped:
                pipe.hincrby(self._key(project_id, "facts"), "annotated_version", 1)
            pipe.hset(self._key(project_id, "facts"), "annotated_until", until)
            pipe.execute()

    def demonstrations(self, project_id: int) -> list[StoredDemonstration]:
        """In the order in which they were annotated."""
        return demonstrations_of(self.annotated(project_id).values())

    def demonstrations_version(self, project_id: int) -> str:
        """Changes with every change of the demonstrations."""
        return self.fact(project_id, "annotated_version") or ""

    # Suggestions

    def wanted(self, project_id: int) -> list[int]:
        """Tasks that need a (new) suggestion, most urgent first."""
        return [
            int(member)
            for member in cast(list[bytes], self.redis.zrange(self._key(project_id, "wanted"), 0, -1))
        ]

    def wanted_count(self, project_id: int) -> int:
        return self.redis.zcard(self._key(project_id, "wanted"))

    def replace_wanted(self, project_id: int, task_ids: Sequence[int]) -> None:
        """Keeps what a person waits for right now."""
        key, claimed = self._key(project_id, "wanted"), self._key(project_id, "claimed")
        with self.redis.pipeline() as pipe:
            pipe.zremrangebyscore(key, f"({TOP_PRIORITY}", "+inf")
            if task_ids:
                pipe.zadd(key, {str(task_id): place for place, task_id in enumerate(task_ids)}, nx=True)
            # A claim on what is no longer wanted must not count against what is.
            pipe.zinterstore(claimed, {claimed: 1, key: 0})
            pipe.execute()

    def want_now(self, project_id: int, task_ids: Iterable[int]) -> None:
        if wanted := dict.fromkeys(map(str, task_ids), TOP_PRIORITY):
            self.redis.zadd(self._key(project_id, "wanted"), wanted)

    def awaited(self, project_id: int) -> bool:
        """Whether a person waits for a suggestion right now."""
        return self.redis.zcount(self._key(project_id, "wanted"), TOP_PRIORITY, TOP_PRIORITY) > 0

    def no_longer_wanted(self, project_id: int, task_ids: Iterable[int]) -> None:
        done = list(task_ids)
        if done:
            self.redis.zrem(self._key(project_id, "wanted"), *done)
            self.redis.zrem(self._key(project_id, "claimed"), *done)

    def claim_wanted(self, project_id: int, count: int) -> list[int]:
        """The most urgent tasks that no other worker is at. A claim expires, should its worker die."""
        keys = [self._key(project_id, "wanted"), self._key(project_id, "claimed")]
        return [
            int(task_id) for task_id in cast(list[bytes], self._claim_wanted(keys, [count, CLAIM_SECONDS]))
        ]

    @contextmanager
    def keeping_claims(self, project_id: int, task_ids: Sequence[int]) -> Iterator[None]:
        """Nobody else takes these up while this process is at them."""

        def renew() -> None:
            expiry = dict.fromkeys(map(str, task_ids), self.now() + CLAIM_SECONDS)
            self.redis.zadd(self._key(project_id, "claimed"), expiry, xx=True)

        with renewed(renew, every=CLAIM_SECONDS / 3, name=f"claims of {project_id}"):
            yield

    def unclaimed(self, project_id: int) -> int:
        """How many wanted tasks no worker is at."""
        wanted = self.redis.zcard(self._key(project_id, "wanted"))
        return wanted - self.redis.zcount(self._key(project_id, "claimed"), self.now(), "+inf")

    def try_again_in(self, project_id: int, task_ids: Iterable[int], seconds: float) -> None:
        """These stay wanted, but nobody takes them up before that."""
        self.redis.zadd(
            self._key(project_id, "claimed"), dict.fromkeys(map(str, task_ids), self.now() + seconds)
        )

    def suggestions(self, project_id: int, task_ids: Sequence[int]) -> dict[int, Suggestion]:
        if not task_ids:
            return {}
        key = self._key(project_id, "suggestions")
        raw = cast(list["bytes | None"], self.redis.hmget(key, [str(task_id) for task_id in task_ids]))
        return {
            task_id: Suggestion.from_json(json.loads(value))
            for task_id, value in zip(task_ids, raw, strict=True)
            if value is not None
        }

    def suggested(self, project_id: int) -> set[int]:
        """The tasks that have a suggestion, published or not."""
        return set(map(int, cast(list[bytes], self.redis.hkeys(self._key(project_id, "suggestions")))))

    def drop_suggestions(self, project_id: int, task_ids: Iterable[int]) -> None:
        self._drop(project_id, "suggestions", task_ids)

    def save_suggestions(self, project_id: int, suggestions: Iterable[Suggestion]) -> None:
        mapping = {str(suggestion.task_id): json.dumps(asdict(suggestion)) for suggestion in suggestions}
        if mapping:
            self.redis.hset(self._key(project_id, "suggestions"), mapping=cast(Any, mapping))

    def late(self, project_id: int) -> set[int]:
        """Tasks that Label Studio got an empty answer for, since the model was not done in time."""
        return {
            int(member) for member in cast(set[bytes], self.redis.smembers(self._key(project_id, "late")))
        }

    def add_late(self, project_id: int, task_ids: Iterable[int]) -> None:
        self.redis.sadd(self._key(project_id, "late"), *task_ids)

    def done(self, project_id: int) -> set[int]:
        """Tasks that people have annotated or skipped."""
        return {
            int(member) for member in cast(set[bytes], self.redis.smembers(self._key(project_id, "done")))
        }

    def skipped(self, project_id: int) -> set[int]:
        """Tasks that everybody who opened them has skipped."""
        return {
            int(member) for member in cast(set[bytes], self.redis.smembers(self._key(project_id, "skipped")))
        }

    def save_done(self, project_id: int, annotated: Iterable[int], skipped: Iterable[int] = ()) -> None:
        """What is done is no longer late either."""
        done, late, left_out = (self._key(project_id, name) for name in ("done", "late", "skipped"))
        skipped = list(skipped)
        with self.redis.pipeline() as pipe:
            pipe.delete(done, left_out)
            if members := [*annotated, *skipped]:
                pipe.sadd(done, *members)
            if skipped:
                pipe.sadd(left_out, *skipped)
            pipe.sdiffstore(late, [late, done])
            pipe.execute()

    def _drop(self, project_id: int, name: str, members: Iterable[int]) -> None:
        gone = [str(member) for member in members]
        for start in range(0, len(gone), 1000):
            self.redis.hdel(self._key(project_id, name), *gone[start : start + 1000])

    def forget_tasks(self, project_id: int, task_ids: Iterable[int]) -> None:
        """Deleted in Label Studio: nothing of them remains here."""
        gone = list(task_ids)
        for name in ("board", "exposed"):
            self._drop(project_id, name, gone)
        self.forget_texts(project_id, gone)

    def forget_texts(self, project_id: int, task_ids: Iterable[int]) -> None:
        """Nothing remains of what was made of these tasks' texts; their places in Label Studio do."""
        gone = list(task_ids)
        for name in ("texts", "suggestions", "shown", "annotated"):
            self._drop(project_id, name, gone)
        if gone:
            self.redis.hincrby(self._key(project_id, "facts"), "annotated_version", 1)
            self.redis.srem(self._key(project_id, "late"), *gone)
            self.redis.srem(self._key(project_id, "unusable"), *gone)
        self.no_longer_wanted(project_id, gone)
