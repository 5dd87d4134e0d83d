"""Who may come in, decided before a body is read: passwords, tokens of projects, names, pages of others."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from backend.adapters.store import Store
from backend.app import create_app
from backend.limits import MAX_BODY_BYTES, RequestLimits, refuse
from backend.problems import problem
from backend.settings import read_settings
from backend.throttle import ATTEMPTS, ATTEMPTS_OF_ALL
from backend.usecases.memory import SECRET_HEADER
from backend.usecases.tokens import project_credentials
from backend.usecases.tools import Tools
from fakes import LABEL_CONFIG, FakeLabelStudio, make_tools

LOGIN = ("ann", "sunflower")
SETUP = {"project": "3.17", "schema": LABEL_CONFIG}
GUARDED = {"BASIC_AUTH_USER": LOGIN[0], "BASIC_AUTH_PASS": LOGIN[1]}


@pytest.fixture
def tools(store: Store) -> Tools:
    return make_tools(store, FakeLabelStudio({}), guarded=True)


def client_at(tools: Tools, address: str = "10.0.0.1", **settings: str) -> TestClient:
    app = create_app(read_settings(GUARDED | settings), tools)
    return TestClient(app, base_url="http://localhost:9090", client=(address, 1234), follow_redirects=False)


@pytest.fixture
def client(tools: Tools) -> Iterator[TestClient]:
    with client_at(tools) as client:
        yield client


# Bodies


@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook", "/projects/1/finish/x", "/nowhere"])
def test_nobody_s_body_is_looked_at(client: TestClient, path: str) -> None:
    json = {"Content-Type": "application/json"}
    unusable = client.post(path, content=b"{" * 1000, headers=json)
    assert unusable.status_code in (401, 404, 422)
    if path in ("/setup", "/predict", "/webhook"):
        assert unusable.status_code == 401
        assert client.post(path, content=b"{", headers=json, auth=LOGIN).status_code == 422


def refused(messages: Iterator[Message], headers: list[tuple[bytes, bytes]]) -> tuple[dict[str, str], int]:
    """The headers of a refusal, and how many messages were taken in before it."""
    taken = 0
    answered: list[Message] = []

    async def receive() -> Message:
        nonlocal taken
        taken += 1
        return next(messages)

    async def send(message: Message) -> None:
        answered.append(message)

    scope = {"type": "http", "headers": headers}
    asyncio.run(refuse(problem(401, "No."), scope, receive, send))
    return {name.decode(): value.decode() for name, value in answered[0]["headers"]}, taken


def test_a_refused_body_is_thrown_away_before_the_answer() -> None:
    parts = [{"type": "http.request", "body": b"x" * 9, "more_body": more} for more in (True, True, False)]
    headers, taken = refused(iter(parts), [(b"content-length", b"27")])
    assert (taken, "connection" in headers) == (3, False)


def test_a_refused_stream_is_cut_at_the_limit() -> None:
    def endless() -> Iterator[Message]:
        while True:
            yield {"type": "http.request", "body": bytes(2**20), "more_body": True}

    headers, taken = refused(endless(), [(b"transfer-encoding", b"chunked")])
    assert headers["connection"] == "close"
    assert taken == MAX_BODY_BYTES // 2**20 + 1
    too_large = [(b"content-length", str(MAX_BODY_BYTES + 1).encode())]
    headers, taken = refused(endless(), too_large)
    assert (headers["connection"], taken) == ("close", 0)


def test_only_what_label_studio_calls_takes_large_bodies(client: TestClient) -> None:
    large = b"a" * 2**17
    answer = client.post("/login", content=large)
    assert answer.status_code == 413
    assert "larger than 64 KiB" in answer.json()["detail"]
    assert client.post("/metrics", content=large, auth=LOGIN).status_code == 413
    assert client.post("/setup", content=large, auth=LOGIN).status_code == 422


def test_a_large_body_is_parsed_once_and_not_by_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from backend import limits

    parsed_by: list[str] = []
    parse = limits.from_json

    def from_json(body: bytes) -> object:
        parsed_by.append(threading.current_thread().name)
        return parse(body)

    monkeypatch.setattr(limits, "from_json", from_json)

    async def app(_: Scope, __: Receive, ___: Send) -> None:
        pass

    async def post(body: bytes) -> str:
        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(_: Message) -> None:
            raise AssertionError("nothing is wrong with it")

        headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
        await RequestLimits(app)({"type": "http", "path": "/predict", "headers": headers}, receive, send)
        return threading.current_thread().name

    here = asyncio.run(post(b'{"a": "' + b"b" * 2**21 + b'"}'))
    assert asyncio.run(post(b"{}")) == here
    assert len(parsed_by) == 2
    assert parsed_by[0] != here
    assert parsed_by[1] == here


# Passwords


def guess(client: TestClient, number: int) -> int:
    return client.get("/metrics", auth=("ann", f"guess {number}")).status_code


def test_passwords_cannot_be_guessed_fast_by_basic_auth(client: TestClient) -> None:
    assert [guess(client, number) for number in range(ATTEMPTS)] == [401] * ATTEMPTS
    answer = client.get("/metrics", auth=LOGIN)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    assert "Too many wrong passwords" in answer.json()["detail"]


def test_a_program_with_an_old_password_locks_nobody_out(client: TestClient) -> None:
    assert {client.get("/metrics", auth=("ann", "of before")).status_code for _ in range(20)} == {401}
    assert client.get("/metrics", auth=LOGIN).status_code == 200


def test_guessers_lock_out_their_own_address_and_no_other(tools: Tools) -> None:
    with client_at(tools, "10.0.0.1") as guesser, client_at(tools, "10.0.0.2") as person:
        for number in range(2 * ATTEMPTS):
            guess(guesser, number)
        assert guess(guesser, 99) == 429
        assert person.get("/metrics", auth=LOGIN).status_code == 200


def test_an_account_is_guessed_at_from_many_addresses_in_vain(tools: Tools) -> None:
    statuses = []
    for number in range(ATTEMPTS_OF_ALL + 1):
        with client_at(tools, f"10.0.1.{number}") as client:
            statuses.append(guess(client, number))
    assert statuses == [401] * ATTEMPTS_OF_ALL + [429]


def test_of_ipv6_a_whole_network_is_one_address(tools: Tools) -> None:
    for number in range(ATTEMPTS):
        with client_at(tools, f"2001:db8::{number + 1}") as client:
            assert guess(client, number) == 401
    with client_at(tools, "2001:db8::ffff") as client:
        assert guess(client, 99) == 429
    with client_at(tools, "2001:db8:0:1::1") as client:
        assert guess(client, 99) == 401


def test_label_studio_is_never_locked_out(client: TestClient, tools: Tools) -> None:
    for number in range(2 * ATTEMPTS):
        guess(client, number)
    credentials = project_credentials(tools, 3)
    assert credentials
    assert client.post("/setup", json=SETUP, auth=credentials).status_code == 200
    assert client.get("/health", auth=("ann", "wrong")).status_code == 200


@pytest.mark.parametrize(
    "header", ["Basic !!!", "Basic /////w==", "Basic", "Bearer x", "Basic " + "QQ" * 5000]
)
def test_what_are_no_credentials_are_wrong_ones(client: TestClient, header: str) -> None:
    assert client.get("/metrics", headers={"Authorization": header}).status_code == 401


# Tokens of projects


def test_a_project_s_token_is_worth_what_its_connection_needs(client: TestClient, tools: Tools) -> None:
    token = project_credentials(tools, 3)
    assert token
    assert client.post("/setup", json=SETUP, auth=token).status_code == 200
    assert client.post("/predict", json={"project": 3, "tasks": []}, auth=token).status_code == 200
    assert client.get("/versions", params={"project": 3}, auth=token).status_code == 200
    training = {"action": "START_TRAINING", "project": {"id": 3}}
    assert client.post("/webhook", json=training, auth=token).status_code == 202
    event = {"action": "TASKS_CREATED", "project": {"id": 3}}
    assert client.post("/webhook", json=event, auth=token).status_code == 401
    assert client.post("/webhook", json=event, headers={SECRET_HEADER: "secret"}).status_code == 202


def test_it_is_worth_nothing_else(client: TestClient, tools: Tools, store: Store) -> None:
    token = project_credentials(tools, 3)
    assert token
    others = [
        client.post("/setup", json=SETUP | {"project": "4.17"}, auth=token),
        client.post("/predict", json={"project": 4, "tasks": []}, auth=token),
        client.get("/versions", params={"project": 4}, auth=token),
        client.post("/webhook", json={"action": "START_TRAINING", "project": {"id": 4}}, auth=token),
        client.post("/setup", json=SETUP, auth=("project-3", "0" * 64)),
        client.post("/setup", json=SETUP, auth=("project-4", token[1])),
        *(
            client.get(path, auth=token)
            for path in ("/metrics", "/ready", "/api/projects", "/openapi.json", "/")
        ),
    ]
    assert {answer.status_code for answer in others} == {401}
    assert client.get("/projects", auth=token).status_code == 303
    assert client.get("/api/projects/3", auth=token).status_code == 401
    assert store.projects() == []


def test_the_webhook_s_secret_opens_nothing_but_the_webhook(client: TestClient) -> None:
    secret = {SECRET_HEADER: "secret"}
    assert client.post("/setup", json=SETUP, headers=secret).status_code == 401
    assert client.get("/metrics", headers=secret).status_code == 401


def test_tokens_do_not_follow_from_what_members_of_a_project_see(tools: Tools) -> None:
    made = make_tools(tools.store, FakeLabelStudio({}), guarded=True)
    other = project_credentials(made, 4)
    assert other
    assert other != project_credentials(made, 3)
    assert tools.webhook_secret not in other[1]
    assert project_credentials(make_tools(tools.store, FakeLabelStudio({})), 3) is None


# Names


@pytest.fixture
def open_client(tools: Tools) -> Iterator[TestClient]:
    settings = read_settings({"BACKEND_URL": "https://allabel.example.org", "ALLOWED_HOSTS": "*.example.net"})
    with TestClient(create_app(settings, tools), base_url="http://localhost:9090") as client:
        yield client


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1:9090", "[::1]:9090", "allabel.example.org", "a.example.net:1", "LocalHost"],
)
def test_it_is_called_by_its_names(open_client: TestClient, host: str) -> None:
    assert open_client.get("/api/projects", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9090", "a b", "", "localhost.evil.example", "*"]
)
def test_and_by_no_other(open_client: TestClient, host: str) -> None:
    answer = open_client.get("/api/projects", headers={"Host": host})
    assert answer.status_code == 400
    assert "ALLOWED_HOSTS" in answer.json()["detail"]
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("names", ["http://a", "a:9090", "*a", "a*"])
def test_names_that_are_none_are_refused(names: str) -> None:
    with pytest.raises(Exception, match=r"ALLOWED_HOSTS: .*must be names"):
        read_settings({"ALLOWED_HOSTS": names})


@pytest.mark.parametrize(
    ("settings", "called_at", "address"),
    [
        ({}, "http://127.0.0.1:9090", "http://127.0.0.1:9090"),
        ({}, "http://[::1]:9090", "http://[::1]:9090"),
        ({}, "http://localhost:6379", "http://localhost:9090"),
        ({}, "http://evil.example:9090", "http://localhost:9090"),
        ({}, "http://ann@localhost:9090", "http://localhost:9090"),
        ({"ALLOWED_HOSTS": "b.example"}, "http://b.example:9090", "http://b.example:9090"),
        ({"ALLOWED_HOSTS": "*"}, "http://evil.example:9090", "http://localhost:9090"),
        ({"BACKEND_URL": "https://b.example"}, "http://localhost:9090", "https://b.example"),
    ],
)
def test_label_studio_is_told_a_configured_address(
    tools: Tools, settings: dict[str, str], called_at: str, address: str
) -> None:
    given = read_settings(settings)
    assert given.address_for(called_at) == address
    with TestClient(create_app(given, tools), base_url="http://localhost:9090") as client:
        host = called_at.rpartition("@")[2].removeprefix("http://")
        if client.post("/setup", json=SETUP, headers={"Host": host}).status_code == 200:
            assert tools.store.fact(3, "backend_url") == address


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://localhost:9090"},
    ],
)
@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook"])
def test_pages_in_a_browser_cannot_play_label_studio(
    open_client: TestClient, store: Store, path: str, headers: dict[str, str]
) -> None:
    body = {**SETUP, "tasks": [], "action": "START_TRAINING"}
    assert open_client.post(path, json=body, headers=headers).status_code == 403
    assert store.projects() == []


def test_without_redis_the_gate_says_so(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from redis.exceptions import RedisError

    def gone(*_: object) -> list[int]:
        raise RedisError

    monkeypatch.setattr(Store, "tries", gone)
    wrong = {"Authorization": "Basic " + base64.b64encode(b"ann:wrong").decode()}
    answer = client.get("/metrics", headers=wrong)
    assert answer.status_code == 503
    assert "Redis does not answer" in answer.json()["detail"]
    assert client.get("/health", headers=wrong).status_code == 200
