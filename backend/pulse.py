"""Once a second, in every process: figures go to Redis, and a worker says that it is alive."""

from __future__ import annotations

import logging
import os
import socket

from redis.exceptions import RedisError

from .periodic import Periodic
from .usecases.tools import Tools

logger = logging.getLogger(__name__)

SECONDS = 1.0


class Pulse:
    """``stop`` hands over what is left."""

    def __init__(self, tools: Tools, *, is_worker: bool) -> None:
        self._tools = tools
        self._worker = f"{socket.gethostname()}:{os.getpid()}" if is_worker else ""
        self._thread = Periodic("pulse", self._beat, seconds=SECONDS)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()
        try:
            self._beat()
        except RedisError as error:
            logger.warning("the last figures are lost: Redis: %s", type(error).__name__)

    def _beat(self) -> None:
        hand_over(self._tools)
        if self._worker:
            self._tools.store.beat(self._worker)


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
