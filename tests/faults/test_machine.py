"""Clocks that step, disks that are full, state of another release."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from figures import assert_nothing_lost, converge
from rig import Rig

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime (Debian: apt-get install libfaketime)")
@pytest.mark.parametrize("step", ["+2h", "-2h"])
def test_clock_steps(rig: Rig, project: int, step: str, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faked = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    rig.workers[0].stop()
    rig.webs[0].stop()
    rig.workers[0], rig.webs[0] = rig.start_worker(**faked), rig.start_web(**faked)
    rig.annotate_next(project)
    converge(rig, project, f"before the clock steps {step}")
    clock.write_text(step)
    since = time.monotonic()
    rig.annotate_next(project, 2)
    assert_nothing_lost(converge(rig, project, f"clock of web and worker steps {step}", since=since))
    clock.write_text("+0")
    since = time.monotonic()
    rig.annotate_next(project)
    assert_nothing_lost(converge(rig, project, f"and back from {step}", since=since))
    rig.kill_web()
    rig.kill_worker()


def test_log_cannot_be_written(rig: Rig, project: int) -> None:
    rig.workers[0].stop()
    rig.workers[0] = rig.start_worker(full_disk=True)
    since = time.monotonic()
    rig.annotate_next(project, 3)
    assert_nothing_lost(converge(rig, project, "disk of the worker's log full", since=since))


def test_state_of_an_older_release(rig: Rig, project: int) -> None:
    """Read by nobody: whatever form its values had, they are made anew; the person's settings stay."""
    rig.annotate_next(project, 2)
    converge(rig, project, "before the upgrade")
    rig.workers[0].stop()
    redis = rig.store.redis
    for name in ("queue", "demonstrations", "published", "texts", "suggestions", "done", "wanted"):
        redis.delete(f"allabel:project:{project}:{name}")
        redis.set(f"allabel:project:{project}:{name}", "in the form of old")
    redis.set("allabel:schema", 0)
    since = time.monotonic()
    rig.workers[0] = rig.start_worker()
    rig.wait_for(lambda: redis.get("allabel:schema") != b"0")
    assert_nothing_lost(converge(rig, project, "upgrade from an older schema", since=since))
    assert rig.store.settings(project).budget == "16"


def test_state_of_a_newer_release(rig: Rig, project: int) -> None:
    redis = rig.store.redis
    schema = redis.get("allabel:schema")
    rig.workers[0].stop()
    redis.set("allabel:schema", 99)
    worker = rig.start_worker()
    rig.wait_for(lambda: worker.exit_code() is not None)
    worker.stop()
    assert "another release" in worker.log.read_text()
    redis.set("allabel:schema", schema)
    rig.workers[0] = rig.start_worker()
    since = time.monotonic()
    rig.annotate_next(project)
    assert_nothing_lost(converge(rig, project, "a newer release's state, then ours", since=since))
