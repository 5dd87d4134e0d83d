"""All that a Redis holds, for tests that look for what must not be there."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from redis import Redis


def everything_in(redis: Redis) -> bytes:
    """Every key and value, as they are and, where RQ or the cache packed them, unpacked."""
    found = b""
    for part in _parts(redis):
        found += part + b"\n"
        with suppress(zlib.error):
            found += zlib.decompress(part) + b"\n"
    return found


def _parts(redis: Redis) -> Iterator[bytes]:
    read: dict[bytes, Any] = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"set": redis.smembers,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"zset": lambda key: redis.zrange(key, 0, -1),
        b"stream": redis.xrange,
    }
    for key in redis.scan_iter(count=1000):
        yield key
        # A key may expire in between.
        if (kind := redis.type(key)) != b"none":
            yield from _flat(read[kind](key))


def _flat(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        yield from _flat(list(value.items()))
    elif value is not None:
        for item in value:
            yield from _flat(item)
