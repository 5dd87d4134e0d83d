"""Secrets go where they are needed and nowhere else: not to logs, answers, pages, reprs, or Redis."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastapi.testclient import TestClient
from redis import Redis
from rich.console import Console

from backend import doctor
from backend.app import create_app
from backend.bootstrap import build_tools
from backend.demo.services import RedisServer
from backend.logs import configure_logging
from backend.settings import Settings, read_settings
from backend.usecases.suggest import suggest
from backend.usecases.sync import sync
from fakes import LABEL_CONFIG
from stored import everything_in

SECRETS = {
    "LABEL_STUDIO_API_KEY": "key-of-label-studio",
    "OPENAI_API_KEY": "key-of-the-model",
    "BASIC_AUTH_PASS": "password-of-ann",
    "WEBHOOK_SECRET": "secret-of-the-webhook",
}
SENT = "token-that-setup-sends"
HIDDEN = [*SECRETS.values(), SENT]
LOGIN = ("ann", SECRETS["BASIC_AUTH_PASS"])


class Tactless(BaseHTTPRequestHandler):
    """A Label Studio, or a model, that refuses all credentials and repeats them."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = f'{{"detail": "Not valid: {self.headers.get("Authorization")}"}}'.encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - names that the base class looks for

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def settings(redis_server: RedisServer) -> Iterator[Settings]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Tactless)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    yield read_settings(
        {
            **SECRETS,
            "BASIC_AUTH_USER": LOGIN[0],
            "REDIS_URL": redis_server.url,
            "LABEL_STUDIO_URL": address,
            "OPENAI_BASE_URL": address,
            "LOG_LEVEL": "DEBUG",
        }
    )
    server.shutdown()
    server.server_close()


@pytest.fixture
def log(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logging(settings, Console(file=stream))
    yield stream
    root.handlers[:], root.level = before


def answers(client: TestClient) -> str:
    """What people and Label Studio are told, right and wrong requests alike."""
    setup = {"project": "3.1", "schema": LABEL_CONFIG, "hostname": "http://ls", "access_token": SENT}
    task = {"id": 1, "data": {"text": "a pear"}}
    tried = [
        client.post("/setup", json=setup, auth=LOGIN),
        client.post("/setup", json={**setup, "extra_params": SENT}, auth=LOGIN),
        client.post("/setup", json={**setup, "schema": SENT}, auth=LOGIN),
        client.post("/setup", json={**setup, "project": [SENT]}, auth=LOGIN),
        client.post("/setup", content=f'{{"access_token": "{SENT}"', auth=LOGIN),
        client.post("/setup", json=setup, auth=("ann", SENT)),
        client.post(
            "/predict", json={"project": 3, "tasks": [task], "params": {"password": SENT}}, auth=LOGIN
        ),
        client.post("/webhook", json={"action": SENT}, headers={"X-ALLabel-Secret": SENT}),
    ]
    for path in ("/", "/ready", "/metrics", "/versions", "/openapi.json", "/api/projects", "/api/projects/3"):
        tried.append(client.get(path, auth=LOGIN))
    for path in ("/login", "/projects", "/projects/3", "/projects/3/queue", "/nowhere"):
        tried.append(client.get(path, auth=LOGIN))
    assert {answer.status_code for answer in tried} >= {200, 401, 404, 422, 503}
    return "\n".join(f"{answer.headers} {answer.text}" for answer in tried)


def test_no_secret_leaves(
    settings: Settings, log: io.StringIO, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.usecases.predict.ANSWER_WITHIN", 0.0)
    tools = build_tools(settings)
    with TestClient(
        create_app(settings, tools), base_url="http://localhost:9090", raise_server_exceptions=False
    ) as client:
        told = answers(client)
        sync(tools, 3)
        tools.store.set_facts(3, label_config=LABEL_CONFIG, instructions="")
        tools.store.add_texts(3, {1: "a pear"})
        tools.store.want_now(3, [1])
        suggest(tools, 3)
        told += answers(client)
    checks = list(doctor.run(settings, 3))
    assert "refuses the token" in (tools.store.fact(3, "problem") or "")
    assert tools.store.fact(3, "model_problem")
    assert [check.name for check in checks if not check.ok] != []
    places = {
        "answers": told,
        "the log": log.getvalue(),
        "reprs": repr((settings, tools, tools.label_studio, tools.model)),
        "the doctor": repr(checks),
        "redis": everything_in(redis).decode("utf-8", "replace"),
    }
    assert all(len(text) > 100 for text in places.values())
    found = {(place, secret) for place, text in places.items() for secret in HIDDEN if secret in text}
    assert found == set()
    tools.label_studio.close()  # type: ignore[attr-defined]
