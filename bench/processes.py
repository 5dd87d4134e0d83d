"""Memory and processor time of other processes; see proc(5)."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

SECONDS_BETWEEN = 1.0


class MemoryWatch:
    """While it is entered, ``megabytes`` gets the resident size of process ``pid`` once a second."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.megabytes: list[float] = []
        self._done = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.megabytes.append(round(resident_megabytes(self.pid), 1))
            if self._done.wait(SECONDS_BETWEEN):
                return


def is_running(pid: int) -> bool:
    """False, too, for one that has ended and whose parent has not looked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def resident_megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def cpu_seconds(pid: int) -> float:
    """Of user and system, since the process began."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
