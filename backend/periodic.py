"""Something done again and again in a thread of its own, beside whatever the process is there for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread

from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0


class Periodic:
    """``work`` every ``seconds`` until ``stop``; where Redis fails, after a pause again."""

    def __init__(self, name: str, work: Callable[[], None], *, seconds: float) -> None:
        self._work = work
        self._seconds = seconds
        self._stopped = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when what is being done has come to its end."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self._work()
            except RedisError as error:
                logger.warning("%s: Redis: %s", self._thread.name, type(error).__name__)
                self._stopped.wait(PAUSE_SECONDS)
