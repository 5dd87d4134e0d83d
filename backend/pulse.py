"""Once a second, in every process: figures go to Redis, and a worker says that it is alive."""

from __future__ import annotations

import logging
import os
import socket
from threading import Event, Thread

from redis.exceptions import RedisError

from .usecases.tools import Tools

logger = logging.getLogger(__name__)

SECONDS = 1.0


class Pulse:
    """A thread; ``stop`` hands over what is left."""

    def __init__(self, tools: Tools, *, is_worker: bool) -> None:
        self._tools = tools
        self._worker = f"{socket.gethostname()}:{os.getpid()}" if is_worker else ""
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(SECONDS):
            self._beat()
        self._beat()

    def _beat(self) -> None:
        try:
            hand_over(self._tools)
            if self._worker:
                self._tools.store.beat(self._worker)
        except RedisError as error:
            logger.debug("figures wait for Redis: %s", type(error).__name__)


def hand_over(tools: Tools) -> None:
    """The figures of this process go to Redis, or stay for the next time.

    :raises redis.exceptions.RedisError: Redis does not answer.
    """
    figures = tools.meter.take()
    if not figures:
        return
    try:
        tools.store.add_figures(figures)
    except RedisError:
        tools.meter.put_back(figures)
        raise
