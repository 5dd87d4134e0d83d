"""The HTTP contract, without Label Studio: a real Redis behind the real application."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from backend.adapters.store import Store
from backend.app import create_app
from backend.limits import MAX_BODY_BYTES
from backend.ports import Place, ProjectSettings, Suggestion
from backend.settings import read_settings
from backend.usecases.memory import SECRET_HEADER
from backend.usecases.tools import Tools
from fakes import LABEL_CONFIG, FakeLabelStudio, make_tools
from stored import everything_in

SETUP = {"project": "3.1700000000", "schema": LABEL_CONFIG, "hostname": "http://ls", "access_token": "t0ken"}
SECRET = {SECRET_HEADER: "secret"}


@pytest.fixture
def tools(store: Store) -> Tools:
    return make_tools(store, FakeLabelStudio({}))


@pytest.fixture
def client(tools: Tools) -> Iterator[TestClient]:
    with TestClient(
        create_app(read_settings({"ALLOWED_HOSTS": "backend"}), tools), base_url="http://backend:9090"
    ) as client:
        yield client


@pytest.fixture
def guarded(tools: Tools) -> Iterator[TestClient]:
    settings = read_settings({"BASIC_AUTH_USER": "ann", "BASIC_AUTH_PASS": "päss"})
    with TestClient(create_app(settings, tools), base_url="http://localhost:9090") as client:
        yield client


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize("path", ["/", "/health"])
def test_health(client: TestClient, path: str) -> None:
    assert client.get(path).json() == {"status": "UP", "model_class": "ALLabel"}


def test_setup_remembers_the_project_where_it_was_reached_and_its_settings(
    client: TestClient, store: Store
) -> None:
    answer = client.post("/setup", json={**SETUP, "extra_params": '{"budget": "30%", "k": 5}'})
    assert answer.json() == {"model_version": "ALLabel"}
    assert store.projects() == [3]
    assert store.settings(3) == ProjectSettings(budget="30%", k=5)
    assert store.fact(3, "backend_url") == "http://backend:9090"
    assert store.dirty(3)[0] == {"setup", "tasks"}


def test_setup_again_marks_nothing(client: TestClient, store: Store) -> None:
    client.post("/setup", json=SETUP)
    store.clear_dirty(3, store.dirty(3)[1])
    client.post("/setup", json=SETUP)
    assert store.dirty(3)[0] == set()


def test_the_token_that_setup_sends_is_not_kept(client: TestClient, store: Store) -> None:
    client.post("/setup", json=SETUP)
    found = everything_in(store.redis)
    assert b"backend:9090" in found
    assert b"t0ken" not in found


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ('{"budget": "lots"}', "The budget 'lots' is neither a number of tasks, such as 70, nor a share"),
        ('{"budgets": "10%"}', "Unknown setting 'budgets'; the settings are budget, strategy"),
        ("[1]", "extra_params must be a JSON object"),
        ("{", "extra_params must be a JSON object"),
        ('{"k": "three"}', "k must be a whole number, not 'three'"),
        ('{"strategy": "best"}', "strategy must be one of allabel"),
    ],
)
def test_wrong_extra_params_are_refused_with_the_reason(
    client: TestClient, store: Store, params: str, complaint: str
) -> None:
    answer = client.post("/setup", json={**SETUP, "extra_params": params})
    assert answer.status_code == 422
    assert complaint in answer.json()["detail"]


def test_predict_answers_one_prediction_per_task_in_order(client: TestClient, store: Store) -> None:
    client.post("/setup", json=SETUP)
    store.save_suggestions(3, [Suggestion(11, [{"id": "r"}], "", [])])
    store.save_places(3, {11: Place(7, 0.25, "d")})
    store.set_facts(3, version="allabel-4")
    tasks = [{"id": 12, "data": {"text": "b"}}, {"id": 11, "data": {"text": "a"}}]
    answer = client.post("/predict", json={"tasks": tasks, "project": "3.17", "label_config": LABEL_CONFIG})
    assert answer.json()["results"] == [
        {"result": [], "score": 1.0, "model_version": "allabel-4"},
        {"result": [{"id": "r"}], "score": 0.25, "model_version": "allabel-4"},
    ]


def test_a_webhook_needs_the_secret(client: TestClient, store: Store) -> None:
    client.post("/setup", json=SETUP)
    store.clear_dirty(3, store.dirty(3)[1])
    event = {"action": "ANNOTATION_CREATED", "project": {"id": 3}, "task": {"id": 1}, "annotation": {}}

    refused = client.post("/webhook", json=event)
    assert refused.status_code == 401
    assert SECRET_HEADER in refused.json()["detail"]
    assert store.dirty(3)[0] == set()

    assert client.post("/webhook", json=event, headers=SECRET).json() == {"status": "accepted"}
    assert store.dirty(3)[0] == {"annotations"}


@pytest.mark.parametrize(
    "event",
    [{"action": "SOMETHING_ELSE", "project": {"id": 3}}, {"action": "TASKS_CREATED", "project": {"id": 4}}],
)
def test_events_that_mean_nothing_to_us_are_ignored(client: TestClient, event: dict[str, object]) -> None:
    client.post("/setup", json=SETUP)
    assert client.post("/webhook", json=event, headers=SECRET).json() == {"status": "ignored"}


def test_start_training_comes_with_the_credentials_of_the_connection(guarded: TestClient) -> None:
    event = {"action": "START_TRAINING", "project": {"id": 3}}
    assert guarded.post("/webhook", json=event).status_code == 401
    assert guarded.post("/webhook", json=event, headers=basic("ann", "päss")).status_code == 202
    other = {"action": "ANNOTATION_CREATED", "project": {"id": 3}}
    assert guarded.post("/webhook", json=other, headers=basic("ann", "päss")).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/setup"), ("POST", "/predict"), ("GET", "/metrics"), ("GET", "/versions")]
)
def test_everything_but_health_needs_credentials(guarded: TestClient, method: str, path: str) -> None:
    for headers in ({}, basic("ann", "wrong"), basic("", ""), {"Authorization": "Basic !"}):
        assert guarded.request(method, path, json={}, headers=headers).status_code == 401
    assert guarded.get("/health").status_code == 200
    assert guarded.get("/metrics", headers=basic("ann", "päss")).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/setup", {}, "project"),
        ("/setup", {"project": "x.1"}, "project"),
        ("/predict", {"tasks": [{"id": "a", "data": {}}], "project": "1"}, "tasks.0.id"),
        ("/predict", {"tasks": {}, "project": "1"}, "tasks"),
        ("/webhook", {"action": "TASKS_CREATED"}, "project"),
        ("/webhook", [], "body"),
    ],
)
def test_a_wrong_request_is_told_where(client: TestClient, path: str, body: object, where: str) -> None:
    answer = client.post(path, json=body, headers=SECRET)
    assert answer.status_code == 422
    assert where in answer.json()["detail"]


def test_too_large_a_body_is_refused(client: TestClient) -> None:
    answer = client.post("/predict", content=b"{}", headers={"Content-Length": str(MAX_BODY_BYTES + 1)})
    assert answer.status_code == 413


def test_metrics_are_prometheus_text(client: TestClient, store: Store) -> None:
    client.post("/setup", json=SETUP)
    store.set_facts(3, annotated=5)
    text = client.get("/metrics").text
    assert 'allabel_annotated{project="3"} 5.0' in text


def test_without_redis_the_answer_says_so(
    client: TestClient, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> bool:
        from redis.exceptions import ConnectionError as RedisConnectionError

        raise RedisConnectionError

    monkeypatch.setattr(tools.store.__class__, "add_project", gone)
    answer = client.post("/setup", json=SETUP)
    assert answer.status_code == 503
    assert "REDIS_URL" in answer.json()["detail"]
