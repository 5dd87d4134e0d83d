"""A provider that is down is left alone for a while, by all workers together."""

from __future__ import annotations

import asyncio
import logging
import secrets

from .llm_store import KeyValue

logger = logging.getLogger(__name__)

_PAUSE = 0.1


class Breaker:
    """Closed: ask. Open: do not. When that time is over, one trial decides for everybody.

    ``threshold``: failures in a row that open it. ``seconds``: how long. ``trial_seconds``: after
    which a trial whose worker died is nobody's.
    """

    def __init__(
        self, store: KeyValue, name: str, *, threshold: int, seconds: float, trial_seconds: float
    ) -> None:
        self._store = store
        self._count, self._open, self._trial = (
            f"breaker:{name}:{part}" for part in ("count", "open", "trial")
        )
        self._threshold, self._seconds, self._trial_seconds = threshold, seconds, trial_seconds
        self._troubled = False

    def is_open(self) -> bool:
        return self._failures() >= self._threshold and self._store.get(self._open) is not None

    async def admits(self) -> bool:
        """Whether to ask now; waits where another's trial is under way."""
        owner = secrets.token_hex(8)
        while self._failures() >= self._threshold:
            if self._store.get(self._open) is not None:
                return False
            if self._store.claim(self._trial, owner, seconds=self._trial_seconds):
                return True
            await asyncio.sleep(_PAUSE)
        return True

    def failed(self) -> None:
        # Failures of long ago are no sign of anything, hence the count's limited life.
        lifetime = 20 * self._seconds + self._trial_seconds
        failures = self._store.add(self._count, {"failures": 1}, seconds=lifetime)["failures"]
        self._troubled = True
        if failures >= self._threshold:
            self._store.put(self._open, b"1", seconds=self._seconds)
            self._store.drop(self._trial)
            logger.warning("provider down after %d failures, left alone for %g s", failures, self._seconds)

    def succeeded(self) -> None:
        if self._troubled:
            for key in (self._count, self._open, self._trial):
                self._store.drop(key)
            self._troubled = False

    def _failures(self) -> int:
        failures = self._store.sums(self._count).get("failures", 0)
        self._troubled = self._troubled or failures > 0
        return failures
