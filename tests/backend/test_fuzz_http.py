"""Requests that are nearly right, or not at all: an answer below 500, in a sentence, in time."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import backend.usecases.predict
from backend.adapters.store import Store
from backend.app import create_app
from backend.settings import read_settings
from backend.usecases.memory import SECRET_HEADER
from fakes import LABEL_CONFIG, FakeLabelStudio, ScriptedModel, make_tools

pytestmark = pytest.mark.slow

TASK = {"id": 11, "data": {"text": "a pear", "list": [{"text": "x"}]}, "annotations": [], "predictions": []}
REQUESTS: dict[str, Any] = {
    "/setup": {
        "project": "3.1700000000",
        "schema": LABEL_CONFIG,
        "hostname": "http://ls",
        "access_token": "t0ken",
        "extra_params": {"budget": "10%", "k": 3, "window": 25, "min_confidence": 0.5, "varied": True},
    },
    "/predict": {
        "tasks": [TASK, {**TASK, "id": 12}],
        "project": "3.17",
        "label_config": LABEL_CONFIG,
        "params": {"login": "a", "password": "b", "context": {}},
    },
    "/webhook": {"action": "TASKS_DELETED", "project": {"id": 3}, "tasks": [{"id": 1}], "task": TASK},
}
LABEL_CONFIGS = [
    "<View>" * 5000 + "</View>" * 5000,
    LABEL_CONFIG.replace("$text", "$list[0].text"),
    LABEL_CONFIG.replace("$text", "$" + "a." * 1000),
    LABEL_CONFIG.replace('value="$text"', 'value="$text" valueType="url"'),
    LABEL_CONFIG.replace("Fruit", "&#0;"),
    LABEL_CONFIG.replace("Fruit", "&#xD800;"),
    '<!DOCTYPE a [<!ENTITY a "b">]><View>&a;</View>',
    '<?xml version="1.0" encoding="utf-16"?><View/>',
    "<View><ParagraphLabels name='l' toName='t'><Label value='L'/></ParagraphLabels>"
    "<Paragraphs name='t' value='$list'/></View>",
]
TEXTS = [
    "\x00",
    "\ud800",
    "=HYPERLINK(1)",
    "<script>",
    "🍐" * 50,
    "9" * 400,
    "1e999",
    "٣",
    "3.1.4",
    '{"budget": "1e400%"}',
    '{"k": 1e400}',
    "[" * 10_000,
    '{"window": ' + "9" * 5000 + "}",
    "http://169.254.169.254/",
    *LABEL_CONFIGS,
]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 2**53, 2**63, 2**64, 10**400])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every part of a JSON value, itself included."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*at, key))


@st.composite
def near_requests(draw: st.DrawFn) -> tuple[str, str]:
    """A path and a body: a right one of which one to three parts are something else."""
    path = draw(st.sampled_from(sorted(REQUESTS)))
    body = {"whole": copy.deepcopy(REQUESTS[path])}
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from([place for place in places(body) if place]))
        inside: Any = body
        for step in way:
            inside = inside[step]
        inside[last] = draw(values)
    return path, json.dumps(body["whole"])


@pytest.fixture
def client(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(backend.usecases.predict, "ANSWER_WITHIN", 0.0)
    monkeypatch.setattr(backend.usecases.predict, "POLL_SECONDS", 0.0)
    tools = make_tools(store, FakeLabelStudio({}), ScriptedModel(lambda _: "{}"))
    with TestClient(create_app(read_settings({}), tools), base_url="http://localhost:9090") as client:
        client.post("/setup", json=REQUESTS["/setup"])
        yield client


def answered(client: TestClient, path: str, body: str | bytes, kind: str = "application/json") -> int:
    content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    answer = client.post(path, content=content, headers={"Content-Type": kind, SECRET_HEADER: "secret"})
    if answer.status_code >= 400:
        assert answer.status_code < 500
        assert len(answer.json()["detail"]) > 5
    elif path == "/predict":
        tasks = json.loads(content)["tasks"]
        assert len(answer.json()["results"]) == len(tasks)
    return answer.status_code


slowly = settings(deadline=20_000, suppress_health_check=[HealthCheck.function_scoped_fixture])


@slowly
@given(request=near_requests())
def test_nearly_right_requests(request: tuple[str, str], client: TestClient) -> None:
    answered(client, *request)


@slowly
@given(
    path=st.sampled_from(sorted(REQUESTS)),
    body=st.binary(max_size=60) | st.text(alphabet='{}[]",:\\0e1\ud800', max_size=40),
    kind=st.sampled_from(["application/json", "text/plain", "application/x-www-form-urlencoded", "a", ""]),
)
def test_bodies_that_are_nothing(path: str, body: str | bytes, kind: str, client: TestClient) -> None:
    answered(client, path, body, kind)


@pytest.mark.parametrize("config", LABEL_CONFIGS, ids=range(len(LABEL_CONFIGS)))
def test_strange_label_configs(config: str, client: TestClient) -> None:
    for path, name in (("/setup", "schema"), ("/predict", "label_config")):
        answered(client, path, json.dumps({**REQUESTS[path], name: config}))


@slowly
@given(params=st.sampled_from(TEXTS) | st.text(max_size=30))
def test_strange_extra_params(params: str, client: TestClient) -> None:
    answered(client, "/setup", json.dumps({**REQUESTS["/setup"], "extra_params": params}))
