"""Child processes that cannot be left behind, their logs, their ports and their readiness."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from allabel_core.errors import AllabelError


class Progress(Protocol):
    """Told what is going on, and where it is known what share of it is done, in [0, 1]."""

    def __call__(self, news: str, share: float | None = None, /) -> None: ...


LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.25
LOG_LINES_SHOWN = 8
GUARD = Path(__file__).with_name("guard.py")


class ServiceError(AllabelError):
    """A service of the demo did not start; the message says which, why, and where its log is."""


class PortTakenError(ServiceError):
    """Another program listens on the port that a service was given."""


def silent(_: str, __: float | None = None) -> None:
    """A progress callback that shows nothing."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still winding down is not taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def require_free_port(port: int, service: str, option: str) -> None:
    """:raises PortTakenError: naming the ``service`` and the ``option`` that chooses another port."""
    if not is_free(port):
        raise PortTakenError(
            f"Port {port} for {service} is taken by another program. "
            f"End that program, or choose another port with {option}."
        )


def python_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment for a Python child that must find this package, installed or in a checkout."""
    package_parent = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    path = package_parent if not inherited else os.pathsep.join((package_parent, inherited))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **(extra or {})}


class ChildProcess:
    """A command under ``guard.py``: it and its descendants end with ``stop()`` or with this process.

    ``log`` receives its standard output and error, from the beginning at each start. ``grace`` is
    how many seconds it is given to end by itself.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        grace: float = 5.0,
    ) -> None:
        self.name = name
        self.log = log
        self._command = [sys.executable, "-I", "-S", str(GUARD), str(grace), *command]
        self._environment = environment
        self._directory = directory
        self._grace = grace
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                self._command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._directory,
                start_new_session=True,
            )

    def exit_code(self) -> int | None:
        """None while it runs or has not been started."""
        return None if self._process is None else self._process.poll()

    def stop(self) -> None:
        """End it and everything it started; twice changes nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(self._grace + 10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def wait_until(
        self,
        ready: Callable[[], bool],
        *,
        seconds: float,
        on_progress: Progress = silent,
        describe: Callable[[], str] | None = None,
    ) -> None:
        """Poll ``ready`` until it holds, telling ``describe()`` at every change.

        :raises ServiceError: when the process ends first or the time is up; it is stopped then.
        """
        deadline = time.monotonic() + seconds
        told = ""
        while not ready():
            code = self.exit_code()
            if code is not None or time.monotonic() > deadline:
                what = f"ended with code {code}" if code is not None else f"not ready after {seconds:.0f} s"
                self.stop()
                raise ServiceError(f"{self.name}: {what}. Its log, {self.log}, ends:\n{self.log_end()}")
            if describe is not None and (now := describe()) != told:
                told = now
                on_progress(told)
            time.sleep(POLL_SECONDS)

    def log_end(self) -> str:
        """The last few lines of the log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"  {line}" for line in lines[-LOG_LINES_SHOWN:])
