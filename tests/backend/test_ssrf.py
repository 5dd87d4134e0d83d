"""No request goes to an address that a task, a webhook or Label Studio's answer names."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import PROJECT, AnyLabelStudio, FullModel, connected, spot_fruits
from projects import make_tools as make_any_tools
from test_suggest_texts import BEHIND_URL

import backend.usecases.predict
from backend.adapters.label_studio import LabelStudioClient
from backend.adapters.label_studio_addresses import TEXT_PATHS
from backend.adapters.label_studio_http import LabelStudioHttp
from backend.adapters.store import Store
from backend.app import create_app
from backend.errors import LabelStudioError
from backend.settings import read_settings
from backend.usecases.memory import SECRET_HEADER
from backend.usecases.texts import belongs_to
from fakes import LABEL_CONFIG, FakeLabelStudio, ScriptedModel, make_tools
from stored import everything_in

TOKEN = "the-token-of-label-studio"
BY_ADDRESS = LABEL_CONFIG.replace('value="$text"', 'value="$text" valueType="url"')
STUDIO = "http://studio.example:8080"
PUBLIC = "https://public.example/ls"

PRINTABLE = [
    *("http://", "https://", "//", "/", "\\", "@", "studio.example:8080", "studio.example", "evil.example"),
    *("[", "]", "::1", ":", "8080", "data/", "/data/", "/tasks/", "..", "%2e%2e", "%252e", "%2f", "?", "#"),
    *("é", "。", "/api/token"),
]
parts = st.sampled_from([*PRINTABLE, "\t", "\n", " ", "\x00", "\ud800"])
addresses = st.lists(parts | st.text(max_size=3), max_size=9).map("".join)


@settings(deadline=None)
@given(
    start=st.sampled_from(["", "/data/", f"{STUDIO}/data/", f"{PUBLIC}/data/", "/ls/data/"]),
    rest=addresses,
    public=st.sampled_from(["", PUBLIC]),
)
def test_whatever_the_address_only_contents_of_label_studio_are_read(
    start: str, rest: str, public: str
) -> None:
    asked: list[httpx.URL] = []

    def note(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(200, text="a text")

    http = LabelStudioHttp(STUDIO, TOKEN, public_url=public, transport=httpx.MockTransport(note))
    with suppress(LabelStudioError):
        http.text(start + rest)
    for url in asked:
        assert (url.scheme, url.host, url.port) == ("http", "studio.example", 8080)
        assert url.path.startswith(TEXT_PATHS)
        assert "/.." not in url.path


@dataclass
class Site:
    """A server on loopback that notes who asks; ``/data/away`` redirects to ``away``."""

    away: str = ""
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def sites() -> Iterator[tuple[Site, Site]]:
    """(Label Studio, some other server)"""
    other = Site()
    studio = Site()
    servers = [serve(site) for site in (studio, other)]
    studio.away = other.address + "/internal"
    yield studio, other
    for server in servers:
        server.shutdown()
        server.server_close()


def serve(site: Site) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            site.tokens.append(self.headers.get("Authorization", ""))
            redirected = self.path == "/data/away"
            self.send_response(302 if redirected else 200)
            if redirected:
                self.send_header("Location", site.away)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"a pear")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


def test_a_request_makes_us_ask_nobody_but_label_studio(
    store: Store, sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend.usecases.predict, "ANSWER_WITHIN", 0.0)
    studio, other = sites
    bait = other.address + "/data/text"
    named = [bait, "/data/away", bait.replace("http:", ""), f"{studio.address}@{bait[7:]}", "/data/fine"]
    label_studio = FakeLabelStudio(dict(enumerate(named, 1)), project_id=3)
    reader = LabelStudioClient(studio.address, TOKEN, retries=0)
    monkeypatch.setattr(label_studio, "text_at", reader.text_at)
    tools = make_tools(store, label_studio, ScriptedModel(lambda _: "{}"))
    tasks = [{"id": number, "data": {"text": address}} for number, address in enumerate(named, 1)]
    with TestClient(create_app(read_settings({}), tools), base_url="http://localhost:9090") as client:
        setup = {"project": "3.1", "schema": BY_ADDRESS, "hostname": bait, "access_token": "t"}
        assert client.post("/setup", json=setup).status_code == 200
        store.set_facts(3, label_config=BY_ADDRESS)
        predict = {"project": "3.1", "label_config": BY_ADDRESS, "tasks": tasks}
        assert len(client.post("/predict", json=predict).json()["results"]) == len(tasks)
        event = {"action": "TASKS_CREATED", "project": {"id": 3, "url": bait}, "tasks": tasks, "url": bait}
        headers = {SECRET_HEADER: "secret", "X-Forwarded-Host": other.address[7:]}
        assert client.post("/webhook", json=event, headers=headers).status_code == 202
    reader.close()
    assert other.asked == []
    assert sorted(studio.asked) == ["/data/away", "/data/fine"]
    assert set(studio.tokens) == {f"Token {TOKEN}"}
    assert store.texts(3) == {5: "a pear"}


@pytest.mark.parametrize(
    ("address", "belongs"),
    [
        ("/data/upload/3/ab-text.txt", True),
        ("/data/upload/30/ab-text.txt", False),
        ("/data/upload/4/ab-text.txt", False),
        ("/data/upload//3/x", False),
        ("/data/%75pload/4/x", False),
        ("http://studio.example/ls/data/upload/4/x", False),
        ("http://studio.example/ls/data/upload/3/x", True),
        ("/tasks/7/resolve/?fileuri=czM6Ly9h", True),
        ("/tasks/8/resolve/?fileuri=czM6Ly9h", False),
        ("/tasks/%38/resolve/?fileuri=a", False),
        ("/storage-data/uploaded/?filepath=upload/3/x", True),
        ("/storage-data/uploaded/?filepath=upload/4/x", False),
        ("/storage-data/uploaded/?filepath=upload%2F4%2Fx", False),
        ("/data/local-files/?d=texts/a.txt", True),
    ],
)
def test_only_this_project_s_uploads_are_read_for_its_tasks(address: str, belongs: bool) -> None:
    """Our token may read those of every project."""
    assert belongs_to(address, 3, 7) == belongs


def test_a_task_that_names_another_project_s_upload_has_no_text(store: Store) -> None:
    files = {"/data/upload/1/a": "a pear", "/data/upload/2/b": "the secret of project 2"}
    label_studio = AnyLabelStudio({n: {"url": each} for n, each in enumerate(files, 1)}, BEHIND_URL, files)
    tools = connected(make_any_tools(store, label_studio, FullModel(spot_fruits)))
    assert store.texts(PROJECT) == {1: "a pear"}
    assert b"the secret" not in everything_in(store.redis)
    assert "another project" in (tools.store.fact(PROJECT, "unusable_named") or "")
