"""The few things the language-model adapter asks of a store that all workers share."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol, cast

from redis import Redis


class KeyValue(Protocol):
    """Values and counters with an expiry; every method is atomic."""

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, value: bytes, *, seconds: float) -> None: ...

    def drop(self, key: str) -> None: ...

    def claim(self, key: str, owner: str, *, seconds: float) -> bool:
        """True for one owner at a time, who may claim again; it ends by itself after so many seconds."""

    def release(self, key: str, owner: str) -> None:
        """End one's own claim; another's is left alone."""

    def add(self, key: str, amounts: Mapping[str, int], *, seconds: float | None = None) -> dict[str, int]:
        """Add to the named sums and return all sums of the key. ``seconds``: they live so long from now."""

    def sums(self, key: str) -> dict[str, int]: ...


_CLAIM = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 1
end
return 0
"""

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""


class RedisKeyValue:
    """The store of production. Raises ``redis.exceptions.RedisError`` where Redis fails."""

    def __init__(self, redis: Redis, *, prefix: str = "allabel:llm:") -> None:
        self._redis = redis
        self._prefix = prefix
        self._claim = redis.register_script(_CLAIM)
        self._release = redis.register_script(_RELEASE)

    def get(self, key: str) -> bytes | None:
        return cast("bytes | None", self._redis.get(self._prefix + key))

    def put(self, key: str, value: bytes, *, seconds: float) -> None:
        self._redis.set(self._prefix + key, value, px=_milliseconds(seconds))

    def drop(self, key: str) -> None:
        self._redis.delete(self._prefix + key)

    def claim(self, key: str, owner: str, *, seconds: float) -> bool:
        return bool(self._claim([self._prefix + key], [owner, _milliseconds(seconds)]))

    def release(self, key: str, owner: str) -> None:
        self._release([self._prefix + key], [owner])

    def add(self, key: str, amounts: Mapping[str, int], *, seconds: float | None = None) -> dict[str, int]:
        with self._redis.pipeline(transaction=True) as pipe:
            for name, amount in amounts.items():
                pipe.hincrby(self._prefix + key, name, amount)
            if seconds is not None:
                pipe.pexpire(self._prefix + key, _milliseconds(seconds))
            pipe.hgetall(self._prefix + key)
            return _decoded(pipe.execute()[-1])

    def sums(self, key: str) -> dict[str, int]:
        return _decoded(self._redis.hgetall(self._prefix + key))


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _decoded(raw: Any) -> dict[str, int]:
    return {name.decode(): int(amount) for name, amount in raw.items()}


class MemoryKeyValue:
    """The same within one process, for trying things out without Redis."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, tuple[bytes | dict[str, int], float]] = {}

    def get(self, key: str) -> bytes | None:
        with self._lock:
            return cast("bytes | None", self._alive(key))

    def put(self, key: str, value: bytes, *, seconds: float) -> None:
        with self._lock:
            self._entries[key] = (value, time.monotonic() + seconds)

    def drop(self, key: str) -> None:
        with self._lock:
            self._entries.pop(key, None)

    def claim(self, key: str, owner: str, *, seconds: float) -> bool:
        with self._lock:
            if self._alive(key) not in (None, owner.encode()):
                return False
            self._entries[key] = (owner.encode(), time.monotonic() + seconds)
            return True

    def release(self, key: str, owner: str) -> None:
        with self._lock:
            if self._alive(key) == owner.encode():
                del self._entries[key]

    def add(self, key: str, amounts: Mapping[str, int], *, seconds: float | None = None) -> dict[str, int]:
        with self._lock:
            sums = dict(cast("dict[str, int] | None", self._alive(key)) or {})
            for name, amount in amounts.items():
                sums[name] = sums.get(name, 0) + amount
            end = self._entries[key][1] if key in self._entries else float("inf")
            self._entries[key] = (sums, end if seconds is None else time.monotonic() + seconds)
            return dict(sums)

    def sums(self, key: str) -> dict[str, int]:
        with self._lock:
            return dict(cast("dict[str, int] | None", self._alive(key)) or {})

    def _alive(self, key: str) -> bytes | dict[str, int] | None:
        value, end = self._entries.get(key, (None, 0.0))
        if value is not None and time.monotonic() >= end:
            del self._entries[key]
            return None
        return value
