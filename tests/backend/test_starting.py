"""A start that cannot succeed ends with one sentence and exit code 1, whatever is wrong."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from backend.demo.processes import free_port
from backend.demo.services import RedisServer
from backend.errors import SettingsError
from backend.starting import require_services
from fakes import FakeLabelStudio, make_tools

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


class Refusing(BaseHTTPRequestHandler):
    """A Label Studio that takes no token."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"detail": "Invalid token."}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def start(redis_server: RedisServer, *arguments: str, **changed: str) -> tuple[int, str]:
    environment = {
        **os.environ,
        "REDIS_URL": redis_server.url,
        "LABEL_STUDIO_URL": f"http://127.0.0.1:{free_port()}",
        "LABEL_STUDIO_API_KEY": "secret-token",
        "PORT": str(free_port()),
        **changed,
    }
    command = [sys.executable, "-m", "allabel_backend.cli", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("BUDGET", "a tenth", "Wrong settings: BUDGET: The budget 'a tenth' is neither a number of tasks"),
        ("STRATEGY", "best", "Wrong settings: STRATEGY: strategy must be one of"),
    ],
)
def test_a_setting_that_cannot_be_used(
    redis_server: RedisServer, command: str, name: str, value: str, sentence: str
) -> None:
    code, said = start(redis_server, command, **{name: value})
    assert code == 1
    assert said.startswith(sentence)
    assert "Traceback" not in said


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_token_that_is_refused(redis_server: RedisServer, command: str, refusing: str) -> None:
    code, said = start(redis_server, command, LABEL_STUDIO_URL=refusing)
    assert code == 1
    assert "Label Studio refuses the token" in said
    assert "Traceback" not in said
    assert "secret-token" not in said


def test_a_port_that_is_taken(redis_server: RedisServer) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        code, said = start(redis_server, "serve", PORT=port)
    assert (code, said) == (
        1,
        f"Port {port} is taken by another program. End that program, or choose another port with PORT.",
    )


def test_a_host_that_is_not_ours(redis_server: RedisServer) -> None:
    code, said = start(redis_server, "serve", HOST="192.0.2.7", BASIC_AUTH_USER="a", BASIC_AUTH_PASS="b")
    assert code == 1
    assert said.startswith("The backend cannot listen on HOST 192.0.2.7")


def test_a_port_that_is_label_studios(redis_server: RedisServer) -> None:
    port = str(free_port())
    code, said = start(redis_server, "serve", PORT=port, LABEL_STUDIO_URL=f"http://localhost:{port}")
    assert code == 1
    assert said == f"PORT and LABEL_STUDIO_URL name the same port, {port}; give the backend another PORT."


def test_a_redis_that_is_too_old(store: object, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = make_tools(store, FakeLabelStudio({}))  # type: ignore[arg-type]
    monkeypatch.setattr(tools.store.redis, "info", lambda _: {"redis_version": "5.0.14"})
    with pytest.raises(SettingsError, match=r"version 5\.0\.14; 6\.2 or newer is needed"):
        require_services(tools)
