"""The process that learns lives as long as its worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backend import learner
from backend.learner import Learner

PLACE = "LEARNER_TEST_FOLDER"


def note_and_wait() -> None:
    Path(os.environ[PLACE], str(os.getpid())).touch()
    time.sleep(120)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:4]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def noted(folder: Path) -> list[int]:
    return [int(each.name) for each in folder.iterdir()]


def test_it_is_begun_again_where_it_dies_and_ends_with_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PLACE, str(tmp_path))
    monkeypatch.setattr(learner, "LOOK_SECONDS", 0.1)
    process = Learner(note_and_wait)
    process.start()
    until(lambda: len(noted(tmp_path)) == 1)
    first = noted(tmp_path)[0]
    os.kill(first, signal.SIGKILL)
    until(lambda: len(noted(tmp_path)) == 2)
    process.stop()
    assert not any(alive(pid) for pid in noted(tmp_path))


def test_it_does_not_outlive_a_worker_that_is_killed(tmp_path: Path) -> None:
    code = "from test_learner import *; import time; Learner(note_and_wait).start(); time.sleep(120)"
    folders = [str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, PLACE: str(tmp_path), "PYTHONPATH": os.pathsep.join(folders)}
    worker = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        until(lambda: len(noted(tmp_path)) == 1)
    finally:
        worker.kill()
        worker.wait()
    until(lambda: not alive(noted(tmp_path)[0]))
