import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from backend.demo.processes import (
    ChildProcess,
    PortTakenError,
    ServiceError,
    free_port,
    python_environment,
    require_free_port,
)

pytestmark = pytest.mark.slow

FAMILY = """
import os, subprocess, sys, time
inner = "import os, time; os.setsid(); print('grandchild', os.getpid(), flush=True); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", inner])
print("child", os.getpid(), flush=True)
time.sleep(600)
"""


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def pids(log):
    found = dict(line.split() for line in log.read_text().splitlines())
    return {name: int(pid) for name, pid in found.items()}


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def start_family(log):
    child = ChildProcess("family", [sys.executable, "-c", FAMILY], log=log)
    child.start()
    wait_for(lambda: log.exists() and len(pids(log)) == 2)
    return child


def test_stop_ends_descendants_even_in_a_session_of_their_own(tmp_path):
    log = tmp_path / "log"
    child = start_family(log)
    family = pids(log)
    assert all(map(is_running, family.values()))
    child.stop()
    assert not any(map(is_running, family.values()))
    child.stop()


def test_a_command_that_ignores_sigterm_is_killed_after_its_grace(tmp_path):
    log = tmp_path / "log"
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    code = f"{deaf}; print('child', 1, flush=True); time.sleep(600)"
    child = ChildProcess("deaf", [sys.executable, "-c", code], log=log, grace=0.3)
    child.start()
    wait_for(lambda: "child" in log.read_text())
    started = time.monotonic()
    child.stop()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_everything_ends_with_the_parent_however_it_dies(tmp_path, how):
    log = tmp_path / "log"
    parent_code = textwrap.dedent(
        f"""
        import time, sys
        from pathlib import Path
        from backend.demo.processes import ChildProcess
        child = ChildProcess("family", [sys.executable, "-c", {FAMILY!r}], log=Path({str(log)!r}))
        child.start()
        time.sleep(600)
        """
    )
    with subprocess.Popen([sys.executable, "-c", parent_code], env=python_environment()) as parent:
        wait_for(lambda: log.exists() and len(pids(log)) == 2)
        family = pids(log)
        parent.send_signal(how)
    wait_for(lambda: not any(map(is_running, family.values())))


def test_a_command_that_ends_by_itself_takes_its_children_along(tmp_path):
    log = tmp_path / "log"
    child = ChildProcess(
        "short",
        [sys.executable, "-c", FAMILY.replace("time.sleep(600)\n", "time.sleep(1); sys.exit(3)\n")],
        log=log,
    )
    child.start()
    wait_for(lambda: child.exit_code() is not None)
    assert child.exit_code() == 3
    assert not any(map(is_running, pids(log).values()))
    child.stop()


def test_waiting_reports_progress_and_an_early_end_with_the_log(tmp_path):
    child = ChildProcess(
        "Broken",
        [sys.executable, "-c", "import time; time.sleep(0.6); print('no such option'); raise SystemExit(7)"],
        log=tmp_path / "log",
    )
    child.start()
    told = []
    with pytest.raises(ServiceError, match=r"(?s)Broken: ended with code 7.*no such option"):
        child.wait_until(lambda: False, seconds=20, on_progress=told.append, describe=lambda: "starting")
    assert told == ["starting"]


def test_waiting_has_an_end(tmp_path):
    child = ChildProcess("Slow", [sys.executable, "-c", "import time; time.sleep(600)"], log=tmp_path / "log")
    child.start()
    with pytest.raises(ServiceError, match="Slow: not ready after 0 s"):
        child.wait_until(lambda: False, seconds=0.1)
    assert child.exit_code() is None


def test_a_command_that_does_not_exist_says_so(tmp_path):
    child = ChildProcess("Nothing", ["/no/such/program"], log=tmp_path / "log")
    child.start()
    with pytest.raises(ServiceError, match=r"(?s)ended with code 127.*/no/such/program could not be started"):
        child.wait_until(lambda: False, seconds=20)


def test_a_taken_port_names_the_service_and_the_option():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"Port {port} for Redis is taken.*--redis-port"):
            require_free_port(port, "Redis", "--redis-port")
    require_free_port(free_port(), "Redis", "--redis-port")
