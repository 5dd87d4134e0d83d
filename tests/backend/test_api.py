"""The JSON interface, against a project that the use cases have brought up on a real Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from fastapi.testclient import TestClient
from projects import PROJECT, AnyLabelStudio, FullModel, connected, make_tools, spot_fruits

from backend.adapters.store import Store
from backend.app import create_app
from backend.settings import read_settings
from backend.usecases.report import report
from backend.usecases.tools import Tools

pytestmark = pytest.mark.slow

TASKS = {n: {"text": f"pear {n} with an apple of tree {n % 7}"} for n in range(1, 31)}
PATHS = ("", "/1", "/1/queue", "/1/tasks/3", "/1/map", "/1/consistency", "/1/review")


@pytest.fixture
def tools(store: Store) -> Tools:
    return connected(
        make_tools(store, AnyLabelStudio(TASKS), FullModel(spot_fruits), k=2, strategy="allabel")
    )


@pytest.fixture
def client(tools: Tools) -> Iterator[TestClient]:
    with TestClient(create_app(read_settings({}), tools), base_url="http://localhost:9090") as client:
        yield client


def test_the_projects_are_listed(client: TestClient) -> None:
    [project] = client.get("/api/projects").json()
    assert (project["id"], project["state"], project["tasks"], project["budget"]) == (1, "ready", 30, 20)
    assert project["label_studio_url"] == "http://localhost:8080/projects/1/data"


def test_a_project_is_what_its_report_says(client: TestClient, tools: Tools) -> None:
    assert client.get("/api/projects/1").json() == json.loads(json.dumps(asdict(report(tools, PROJECT))))


def test_the_queue_gives_place_stage_and_reason(client: TestClient, store: Store) -> None:
    found = client.get("/api/projects/1/queue", params={"limit": 3}).json()
    assert [item["task_id"] for item in found] == [entry.task_id for entry in store.queue(PROJECT)[:3]]
    assert [item["place"] for item in found] == [1, 2, 3]
    assert found[0]["stage"] == "diversity"
    assert found[0]["reason"] == "the text least like all the others"
    assert found[0]["url"].endswith(f"/projects/1/data?task={found[0]['task_id']}")


@pytest.mark.parametrize("path", PATHS)
def test_every_route_answers_and_is_documented(client: TestClient, path: str) -> None:
    assert client.get(f"/api/projects{path}").status_code == 200
    documented = client.get("/openapi.json").json()["paths"]
    shown = f"/api/projects{path}".replace("/1", "/{project_id}").replace("/3", "/{task_id}")
    schema = documented[shown]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema != {}


@pytest.mark.parametrize("path", ["/2", "/2/queue", "/1/tasks/999"])
def test_what_is_not_there_is_not_found(client: TestClient, path: str) -> None:
    answer = client.get(f"/api/projects{path}")
    assert answer.status_code == 404
    assert isinstance(answer.json()["detail"], str)


def test_the_figures_are_guarded_like_the_rest(tools: Tools) -> None:
    settings = read_settings({"BASIC_AUTH_USER": "ann", "BASIC_AUTH_PASS": "secret"})
    with TestClient(create_app(settings, tools), base_url="http://localhost:9090") as client:
        for path in PATHS:
            assert client.get(f"/api/projects{path}").status_code == 401
            assert client.get(f"/api/projects{path}", auth=("ann", "secret")).status_code == 200
