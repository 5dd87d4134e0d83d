"""What a request may be at most, each limit with the answer that names it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from backend.adapters.store import Store
from backend.app import create_app
from backend.contract import MAX_CONFIG_CHARACTERS
from backend.labeling.label_config import MAX_TEXT_CHARACTERS
from backend.limits import MAX_BODY_BYTES, MAX_JSON_DEPTH, MAX_JSON_PARTS, RequestLimits
from backend.settings import read_settings
from fakes import LABEL_CONFIG, FakeLabelStudio, make_tools

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def client(store: Store) -> Iterator[TestClient]:
    with TestClient(
        create_app(read_settings({}), make_tools(store, FakeLabelStudio({}))),
        base_url="http://localhost:9090",
    ) as client:
        yield client


def refusal(client: TestClient, path: str, status: int, **request: object) -> str:
    answer = client.post(path, **request)  # type: ignore[arg-type]
    assert answer.status_code == status, answer.text
    return str(answer.json()["detail"])


def test_a_body_that_says_it_is_too_large_is_not_read(client: TestClient) -> None:
    headers = {**JSON, "Content-Length": str(MAX_BODY_BYTES + 1)}
    assert "larger than 64 MiB" in refusal(client, "/predict", 413, content=b"{}", headers=headers)


def test_a_chunked_body_is_counted_as_it_comes(client: TestClient) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(80):
            sent += 2**20
            yield b" " * 2**20

    assert "larger than 64 MiB" in refusal(client, "/predict", 413, content=endless(), headers=JSON)


@pytest.mark.parametrize("length", ["-1", "many", ""])
def test_a_length_that_is_none_is_refused(client: TestClient, length: str) -> None:
    refusal(client, "/predict", 413, content=b"{}", headers={**JSON, "Content-Length": length})


def through_limits(receive: Callable[[], Message], **limits: float) -> tuple[int, bytes]:
    """The status and the body that an application behind the limits answers a chunked request with."""
    answered: list[Message] = []

    async def echo(_: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def receive_later() -> Message:
        message = receive()
        if message.get("never"):
            await asyncio.sleep(3600)
        return message

    async def send(message: Message) -> None:
        answered.append(message)

    scope = {"type": "http", "path": "/predict", "headers": [(b"transfer-encoding", b"chunked")]}
    asyncio.run(RequestLimits(echo, **limits)(scope, receive_later, send))  # type: ignore[arg-type]
    return answered[0]["status"], answered[1]["body"]


def test_a_body_that_trickles_in_is_given_up() -> None:
    parts = iter([{"type": "http.request", "body": b"[", "more_body": True}, {"never": True}])
    status, body = through_limits(lambda: next(parts), body_seconds=0.05)
    assert status == 408
    assert b"did not arrive" in body


def test_the_parts_of_a_body_reach_the_application_together() -> None:
    parts = iter(
        [
            {"type": "http.request", "body": b"ab", "more_body": True},
            {"type": "http.request", "body": b"cd", "more_body": False},
        ]
    )
    assert through_limits(lambda: next(parts), max_bytes=4) == (200, b"abcd")


def test_json_may_be_nested_only_so_deep(client: TestClient) -> None:
    def predict(depth: int) -> str:
        data = '{"a":' * depth + "1" + "}" * depth
        return f'{{"project": 1, "label_config": "", "tasks": [{{"id": 1, "data": {data}}}]}}'

    deepest = predict(MAX_JSON_DEPTH - 4)
    assert client.post("/predict", content=deepest, headers=JSON).status_code == 200
    for depth in (MAX_JSON_DEPTH + 1, 100_000):
        said = refusal(client, "/predict", 422, content=predict(depth), headers=JSON)
        assert "deeper than 200 levels" in said


@pytest.mark.parametrize("body", ["{", "\x00", '{"project": "\\ud800"}', "[1,]", "'a'"])
def test_what_is_no_json_is_refused(client: TestClient, body: str) -> None:
    assert "not JSON" in refusal(client, "/setup", 422, content=body, headers=JSON)


def test_json_may_have_only_so_many_parts(client: TestClient) -> None:
    for part in (b"[],", b"{},", b"1,", b'"",'):
        body = b'{"a": [' + part * MAX_JSON_PARTS + b"1]}"
        assert "more than 1,000,000 parts" in refusal(client, "/predict", 422, content=body, headers=JSON)


def test_what_stands_in_words_are_no_parts(client: TestClient) -> None:
    texts = [',[{"' * (MAX_TEXT_CHARACTERS // 4), "\\" * (MAX_TEXT_CHARACTERS // 2), "ä" * 1000]
    tasks = [{"id": number, "data": {"text": text}} for number, text in enumerate(texts, 1)]
    answer = client.post("/predict", json={"project": 1, "tasks": tasks})
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == len(texts)


@pytest.mark.parametrize("unclosed", [b'"' + b'\\"' * 2**20, b'"' * (2**21 + 1), b'"' + b"\\" * (2**21 + 1)])
def test_an_unclosed_word_is_no_json_however_long(client: TestClient, unclosed: bytes) -> None:
    """Looked for from every quotation mark on, its end would be looked for hours."""
    answer = refusal(client, "/predict", 422, content=unclosed, headers=JSON)
    assert "not JSON" in answer or "parts" in answer


def test_a_batch_is_answered_task_by_task_however_many_there_are(client: TestClient) -> None:
    tasks: list[dict[str, object]] = [{"id": number, "data": {"text": "a"}} for number in range(1, 1102)]
    tasks[7]["data"] = {"text": "a" * (MAX_TEXT_CHARACTERS + 1)}
    tasks[8]["data"] = {}
    answer = client.post("/predict", json={"project": 1, "tasks": tasks, "label_config": LABEL_CONFIG})
    assert answer.status_code == 200
    assert [each["result"] for each in answer.json()["results"]] == [[]] * len(tasks)


def test_a_label_config_may_be_only_so_long(client: TestClient) -> None:
    config = LABEL_CONFIG + " " * MAX_CONFIG_CHARACTERS
    assert "1000000" in refusal(client, "/setup", 422, json={"project": 1, "schema": config})
