"""One worker at a time for one thing, without the others waiting long for a dead one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from redis.exceptions import RedisError

from .llm_store import KeyValue

logger = logging.getLogger(__name__)
T = TypeVar("T")

LEASE_SECONDS = 20.0
_RENEW_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


class Leases:
    """What this batch is working on. Renewed while the batch runs, gone soon after it dies."""

    def __init__(self, store: KeyValue) -> None:
        self._store = store
        self._owner = secrets.token_hex(8)
        self._held: set[str] = set()
        self._renewal: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Leases:
        self._renewal = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._renewal
        for key in list(self._held):
            self.end(key)

    async def found_or_taken(self, key: str, find: Callable[[], T | None]) -> T | None:
        """What ``find`` finds, waiting for another who is making it; None: the lease is ours now."""
        pause = _FIRST_PAUSE
        while (found := find()) is None:
            if self._take(key):
                # The other may have finished between our look and our claim.
                if (found := find()) is None:
                    return None
                self.end(key)
                break
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 1.5)
        return found

    def _take(self, key: str) -> bool:
        if key in self._held or not self._store.claim(key, self._owner, seconds=LEASE_SECONDS):
            return False
        self._held.add(key)
        return True

    def end(self, key: str) -> None:
        self._held.discard(key)
        try:
            self._store.release(key, self._owner)
        except RedisError as error:
            logger.warning("a lease was left to expire: %s", type(error).__name__)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                for key in list(self._held):
                    self._store.claim(key, self._owner, seconds=LEASE_SECONDS)
            except RedisError as error:
                logger.warning("leases could not be renewed: %s", type(error).__name__)
