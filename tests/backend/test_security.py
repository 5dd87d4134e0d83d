"""Who is let in, and the headers of every answer."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from allabel_core.errors import AllabelError
from backend.adapters.store import Store
from backend.app import create_app
from backend.security import HEADERS
from backend.settings import read_settings
from backend.usecases.tools import Tools
from fakes import FakeLabelStudio, make_tools

USER = ("ann", "a pass:word ü")
OPEN = {"/health", "/login"}
"""Routes that answer without credentials."""
OWN_LOGIN = {"/webhook", "/login", "/logout"}
"""Routes with an authentication of their own, which has its own tests."""


@pytest.fixture
def tools(store: Store) -> Tools:
    return make_tools(store, FakeLabelStudio({}))


@pytest.fixture
def app(tools: Tools) -> FastAPI:
    settings = read_settings({"BASIC_AUTH_USER": USER[0], "BASIC_AUTH_PASS": USER[1]})
    return create_app(settings, tools)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(
        app, base_url="http://localhost:9090", raise_server_exceptions=False, follow_redirects=False
    ) as client:
        yield client


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """(method, path with a number for each parameter)."""
    return [
        (method, re.sub(r"\{[^}]*\}", "1", route.path or ""))
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
    ]


def test_every_route_but_health_asks_for_credentials(app: FastAPI, client: TestClient) -> None:
    asked = {route: client.request(*route, json={}).status_code for route in routes(app)}
    paths = {path for _, path in asked}
    assert {"/", "/setup", "/predict", "/versions", "/metrics", "/openapi.json", "/projects"} <= paths
    assert {path for (_, path), status in asked.items() if status == 200} == OPEN
    guarded = {path: status for (_, path), status in asked.items() if path not in OPEN | OWN_LOGIN}
    assert {status for path, status in guarded.items() if not path.startswith("/projects")} == {401}
    # Pages send people to the login.
    assert {status for path, status in guarded.items() if path.startswith("/projects")} == {303}


def test_the_right_credentials_are_let_in(client: TestClient) -> None:
    assert client.get("/metrics", auth=(b"ann", USER[1].encode())).status_code == 200
    as_label_studio_sends_it = USER[1].encode("latin-1")
    assert client.get("/metrics", auth=(b"ann", as_label_studio_sends_it)).status_code == 200
    assert client.get("/metrics", auth=("ann", "a pass")).status_code == 401


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/metrics", "/setup"])
def test_every_answer_bears_the_headers(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_an_unforeseen_error_shows_nothing_of_itself(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr("backend.monitoring.render_metrics", fail)
    answer = client.get("/metrics", auth=(b"ann", USER[1].encode()))
    assert answer.status_code == 500
    assert answer.json() == {"detail": "Something went wrong in the backend; its log says what."}
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


@pytest.mark.parametrize("lonely", [{"BASIC_AUTH_USER": "ann"}, {"BASIC_AUTH_PASS": "p"}])
def test_half_a_login_is_none(lonely: dict[str, str]) -> None:
    with pytest.raises(AllabelError, match="belong together"):
        read_settings(lonely)
