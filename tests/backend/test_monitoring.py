"""What those who watch the service see: figures of all processes, and whether its parts are there."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from backend.adapters.store import Store
from backend.app import create_app
from backend.errors import LabelStudioUnreachableError
from backend.pulse import Pulse, hand_over
from backend.settings import read_settings
from backend.telemetry import watched_job
from backend.usecases.connect import register
from backend.usecases.memory import SECRET_HEADER
from backend.usecases.meter import Meter
from backend.usecases.metrics import QUEUES, render_metrics
from backend.usecases.sync import sync
from backend.usecases.tools import Tools
from backend.worker import LEARN_QUEUE, RANK_QUEUE, SUGGEST_QUEUE
from fakes import FakeLabelStudio, ScriptedModel, make_tools

DOCS = Path(__file__).parents[2] / "docs" / "monitoring"
TEXTS = {1: "apple pie", 2: "pear tree", 3: "plum jam"}


@pytest.fixture
def tools(store: Store) -> Tools:
    return make_tools(store, FakeLabelStudio(TEXTS), ScriptedModel(lambda _: "{}"))


@pytest.fixture
def client(tools: Tools) -> Iterator[TestClient]:
    with TestClient(create_app(read_settings({}), tools), base_url="http://localhost:9090") as client:
        yield client


def samples(text: str) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of their names) -> value."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_status(client: TestClient) -> None:
    client.get("/health")
    client.get("/health")
    client.get("/nowhere/1")
    client.get("/api/projects/5/queue")
    client.post("/predict", content=b"[" * 1000, headers={"Content-Type": "application/json"})
    found = samples(client.get("/metrics").text)
    assert found["allabel_http_requests_total", "GET", "/health", "200"] == 2
    assert found["allabel_http_requests_total", "GET", "other", "404"] == 1
    assert found["allabel_http_requests_total", "GET", "/api/projects/{project_id}/queue", "404"] == 1
    assert found["allabel_http_requests_total", "POST", "other", "422"] == 1
    assert found["allabel_http_request_seconds_count", "/health"] == 2
    assert found["allabel_http_request_seconds_bucket", "100.0", "/health"] == 2
    assert 0 < found["allabel_http_request_seconds_sum", "/health"] < 10


def test_the_figures_of_several_processes_add_up(store: Store, tools: Tools) -> None:
    workers = [make_tools(store, FakeLabelStudio({})) for _ in range(2)]
    for number, worker in enumerate(workers):
        with watched_job(worker.meter, "sync", 1, "job"):
            time.sleep(0.01 * number)
        hand_over(worker)
    with pytest.raises(ZeroDivisionError), watched_job(workers[0].meter, "suggest", 1, "job"):
        1 / 0  # noqa: B018
    hand_over(workers[0])
    found = samples(render_metrics(tools).decode())
    assert found["allabel_jobs_total", "sync", "done"] == 2
    assert found["allabel_jobs_total", "suggest", "failed"] == 1
    assert found["allabel_job_seconds_count", "sync"] == 2
    assert found["allabel_errors_total", "ZeroDivisionError", "backend"] == 1


def test_a_histogram_counts_a_time_in_its_bucket_and_all_above(store: Store, tools: Tools) -> None:
    for seconds in (0.1, 0.11, 7200):
        tools.meter.observe("job_seconds", seconds, "sync")
    hand_over(tools)
    found = samples(render_metrics(tools).decode())
    buckets = {bound: found["allabel_job_seconds_bucket", "sync", bound] for bound in ("0.1", "0.25", "+Inf")}
    assert buckets == {"0.1": 1, "0.25": 2, "+Inf": 3}


def test_figures_that_redis_does_not_take_are_kept(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    from redis.exceptions import ConnectionError as RedisConnectionError

    def gone(*_: object) -> None:
        raise RedisConnectionError

    tools.meter.count("errors", "model", "timeout")
    with monkeypatch.context() as patch:
        patch.setattr(tools.store.__class__, "add_figures", gone)
        with pytest.raises(RedisConnectionError):
            hand_over(tools)
    tools.meter.count("errors", "model", "timeout")
    hand_over(tools)
    assert samples(render_metrics(tools).decode())["allabel_errors_total", "timeout", "model"] == 2


def test_labels_that_a_family_does_not_have_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="labels"):
        Meter().count("errors", "model")


def test_the_lag_of_an_event_is_measured_up_to_the_end_of_its_sync(client: TestClient, tools: Tools) -> None:
    register(tools, 1, backend_url="", extra_params={})
    sync(tools, 1)
    before = samples(client.get("/metrics").text)
    body = {"action": "ANNOTATION_CREATED", "project": {"id": 1}}
    client.post("/webhook", json=body, headers={SECRET_HEADER: "secret"})
    client.post("/webhook", json={**body, "action": "x" * 50}, headers={SECRET_HEADER: "secret"})
    time.sleep(0.3)
    assert samples(client.get("/metrics").text)["allabel_event_waiting_seconds", "1"] > 0.25
    sync(tools, 1)
    found = samples(client.get("/metrics").text)
    assert found["allabel_event_waiting_seconds", "1"] == 0
    count, total = ("allabel_event_lag_seconds_count",), ("allabel_event_lag_seconds_sum",)
    assert found[count] - before.get(count, 0) == 1
    assert 0.25 < found[total] - before.get(total, 0) < 5
    assert found["allabel_webhooks_total", "ANNOTATION_CREATED", "accepted"] == 1
    assert found["allabel_webhooks_total", "other", "ignored"] == 1


def test_the_depth_of_the_queues_is_that_of_the_workers() -> None:
    assert QUEUES == (RANK_QUEUE, SUGGEST_QUEUE, LEARN_QUEUE)


# Readiness


def test_ready_needs_redis_a_worker_and_label_studio(client: TestClient, tools: Tools) -> None:
    answer = client.get("/ready")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not ready",
        "redis": "ok",
        "worker": "none is running; start one: allabel worker",
        "label_studio": "ok",
        "projects": "ok",
    }
    pulse = Pulse(tools, is_worker=True)
    pulse.start()
    pulse.stop()
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")


def test_a_worker_that_is_silent_is_dead(redis: Redis, store: Store) -> None:
    store.beat("one")
    store.beat("two")
    redis.zincrby("allabel:workers", -11, "one")
    assert store.workers_alive() == 1


def test_what_fails_is_named(client: TestClient, tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: float) -> None:
        raise LabelStudioUnreachableError("Label Studio at http://ls does not answer (ConnectError)")

    monkeypatch.setattr(tools.label_studio, "reachable", refuse)
    found = client.get("/ready").json()
    assert found["label_studio"] == "Label Studio at http://ls does not answer (ConnectError)"


def test_ready_answers_within_two_seconds_whatever_hangs(
    client: TestClient, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools.label_studio, "reachable", lambda _: time.sleep(4))
    monkeypatch.setattr(tools.store.redis, "ping", lambda: time.sleep(4))
    started = time.monotonic()
    found = client.get("/ready").json()
    assert time.monotonic() - started < 2
    assert (found["label_studio"], found["redis"]) == ("does not answer in time",) * 2
    assert found["worker"].startswith("none is running")


# The examples in docs/monitoring


def metric_names(tools: Tools) -> set[str]:
    register(tools, 1, backend_url="", extra_params={})
    sync(tools, 1)
    families = text_string_to_metric_families(render_metrics(tools).decode())
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {family.name + suffix for family in families for suffix in suffixes[family.type]}


def expressions(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (item for name, item in value.items() if name == "expr")
        for item in value.values():
            yield from expressions(item)
    elif isinstance(value, list):
        for item in value:
            yield from expressions(item)


def used_names(text: str) -> set[str]:
    return set(re.findall(r"\ballabel_\w+", text))


def test_the_dashboard_shows_only_what_there_is(tools: Tools) -> None:
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text())
    used = used_names("\n".join(expressions(dashboard)))
    assert len(used) > 10
    assert used - metric_names(tools) == set()


def test_the_alerts_watch_only_what_there_is(tools: Tools) -> None:
    used = used_names((DOCS / "alerts.yml").read_text())
    assert len(used) > 5
    assert used - metric_names(tools) == set()
