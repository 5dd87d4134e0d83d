"""The process beside a worker that learns: it computes for seconds, and a ranking must not wait for it."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.context import SpawnProcess

from .periodic import Periodic

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
STOP_SECONDS = 10.0


class Learner:
    """Keeps one such process alive for as long as the worker lives.

    ``work``: what it does until it is told to stop; a function that a fresh interpreter can import.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._process: SpawnProcess | None = None
        self._thread = Periodic("learner", self._look, seconds=LOOK_SECONDS)

    def start(self) -> None:
        self._begin()
        self._thread.start()

    def stop(self) -> None:
        """What it is learning is begun again by the next one."""
        self._thread.stop()
        if self._process is not None:
            self._process.terminate()
            self._process.join(STOP_SECONDS)
            self._process.kill()

    def _begin(self) -> None:
        process = multiprocessing.get_context("spawn").Process(
            target=_run, args=(self._work, os.getpid()), daemon=True
        )
        process.start()
        self._process = process

    def _look(self) -> None:
        if self._process is not None and not self._process.is_alive():
            logger.warning("the process that learns ended with code %s", self._process.exitcode)
            self._begin()


def _run(work: Callable[[], None], worker: int) -> None:
    """``worker``: the process to end with, whatever it dies of."""

    def look() -> None:
        if os.getppid() != worker:
            os._exit(1)

    Periodic("worker", look, seconds=LOOK_SECONDS).start()
    work()
