"""Runs one command and sees to it that neither it nor its descendants outlive whoever asked for it.

Started as a script of its own (standard library only) by ``processes.ChildProcess``. The parent holds
the other end of this process's standard input: when that closes, because the parent asked for it or
died in whatever way, everything below is ended, first politely. On Linux the guard is a *subreaper*
(prctl(2)), so that even a descendant with a session of its own, such as RQ's work horse, is found.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.2


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _descendants() -> list[int]:
    """Process ids below this one, from /proc; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The command's name, in parentheses, may itself hold spaces and parentheses.
            state, parent = entry.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry.parent.name))
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _signal_all(group: int, number: int) -> bool:
    """Send ``number`` to the command's group and to every descendant; False when none is left."""
    reached = False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        reached = True
    for pid in _descendants():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            reached = True
    return reached


def _reap(child: subprocess.Popen[bytes]) -> None:
    """Collect every ended child, adopted ones included, so that no zombie counts as running."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
            if ended[0] == child.pid:
                child.returncode = os.waitstatus_to_exitcode(ended[1])


def _end_everything(group: int, child: subprocess.Popen[bytes], grace: float) -> None:
    deadline = time.monotonic() + grace
    _signal_all(group, signal.SIGTERM)
    while time.monotonic() < deadline:
        _reap(child)
        if not _signal_all(group, 0):
            return
        time.sleep(0.05)
    while _signal_all(group, signal.SIGKILL):
        time.sleep(0.05)
        _reap(child)


def _before_exec() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(grace: float, command: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        child = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            umask=0o077,
            preexec_fn=_before_exec,
        )
    except OSError as error:
        sys.stderr.write(f"{command[0]} could not be started: {error}\n")
        return 127
    parent = sys.stdin.fileno()
    while True:
        _reap(child)
        if child.returncode is not None:
            break
        readable, _, _ = select.select([parent], [], [], POLL_SECONDS)
        if readable and not os.read(parent, 1):
            break
    _end_everything(child.pid, child, grace)
    _reap(child)
    code = child.returncode
    return 0 if code is None else code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
