"""The real Label Studio with a backend that asks for credentials and logs all it can, as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from backend.demo.processes import free_port
from backend.demo.product import BackendServer
from stack import SAMPLES, Stack, log_of
from stored import everything_in

LOGIN = ("ann", "a pässword")


@pytest.fixture
def guarded(stack: Stack) -> Iterator[BackendServer]:
    port = free_port()
    environment = {
        **stack.environment,
        "PORT": str(port),
        "BACKEND_URL": f"http://127.0.0.1:{port}",
        "BASIC_AUTH_USER": LOGIN[0],
        "BASIC_AUTH_PASS": LOGIN[1],
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "json",
    }
    with BackendServer(stack.directory / "guarded", port, environment) as server:
        yield server


def test_a_guarded_backend_works_and_keeps_no_token(stack: Stack, guarded: BackendServer) -> None:
    project_id = stack.project("Guarded", SAMPLES[:12])
    stack.client.connect_backend(
        project_id, url=guarded.base_url, title="ALLabel", extra_params={"budget": "8"}, auth=LOGIN
    )
    stack.settle(project_id)
    (connected,) = stack.client.backends(project_id)
    assert connected.error == ""
    assert stack.client.next_task(project_id) is not None

    outside = httpx.Client(base_url=guarded.base_url)
    for path in ("/", "/metrics", "/ready", "/api/projects", "/openapi.json"):
        assert outside.get(path).status_code == 401, path
    login = httpx.BasicAuth(*(part.encode() for part in LOGIN))
    ready = outside.get("/ready", auth=login)
    assert (ready.status_code, ready.json()["label_studio"]) == (200, "ok")

    # A webhook of Label Studio itself, with the secret that set-up gave it.
    before = outside.get("/metrics", auth=login).text
    stack.annotate(stack.queue(project_id)[0])
    accepted = 'allabel_webhooks_total{action="ANNOTATION_CREATED",outcome="accepted"}'
    stack.wait_for(
        lambda: count(outside.get("/metrics", auth=login).text, accepted) > count(before, accepted)
    )
    stack.settle(project_id)
    figures = outside.get("/metrics", auth=login).text
    assert count(figures, 'allabel_jobs_total{kind="sync",outcome="done"}') > 0
    assert count(figures, "allabel_workers") == 1
    assert count(figures, "allabel_event_lag_seconds_count") > 0
    outside.close()
    time.sleep(1)

    lines = [json.loads(line) for line in guarded.log.read_text().splitlines()]
    assert any(line.get("project") == project_id for line in lines)
    logs = guarded.log.read_text() + log_of(stack)
    redis = everything_in(stack.tools.store.redis)
    assert b"Guarded" in redis
    for secret in (stack.label_studio.token, LOGIN[1]):
        assert secret not in logs
        assert secret.encode() not in redis


def count(figures: str, name: str) -> float:
    """The value of a sample in Prometheus' text, 0 where there is none."""
    found = [line.rpartition(" ")[2] for line in figures.splitlines() if line.startswith(name + " ")]
    return float(found[0]) if found else 0.0
