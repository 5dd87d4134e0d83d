"""A secret drawn at random once, kept in Redis, the same for all processes."""

from __future__ import annotations

import secrets
import time
from typing import cast

from redis import Redis
from redis.exceptions import RedisError

READ_EVERY = 2.0
"""Seconds for which a process goes on with the value it has read."""


class KeptSecret:
    """Called, it is the value; ``RedisError`` where it was never read and Redis does not answer.

    A Redis that was emptied gets the value back from whoever still knows it.
    """

    def __init__(self, redis: Redis, name: str) -> None:
        self._redis = redis
        self._key = f"allabel:secret:{name}"
        self._value = ""
        self._read_at = float("-inf")

    def __call__(self) -> str:
        if time.monotonic() - self._read_at >= READ_EVERY:
            self._read()
        return self._value

    def rotate(self) -> None:
        """Draw another; other processes notice within ``READ_EVERY``."""
        self._value = secrets.token_hex(32)
        self._redis.set(self._key, self._value)

    def _read(self) -> None:
        try:
            drawn = self._value or secrets.token_hex(32)
            self._redis.set(self._key, drawn, nx=True)
            kept = cast("bytes | None", self._redis.get(self._key))
            self._value = kept.decode() if kept else drawn
        except RedisError:
            if not self._value:
                raise
        self._read_at = time.monotonic()
