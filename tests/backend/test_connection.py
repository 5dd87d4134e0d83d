"""Whose project it is, whether it is connected, and what is said where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from projects import PROJECT, AnyLabelStudio, FullModel, connected, gold, make_tools, settle, spot_fruits
from test_edits import EditedLabelStudio

from backend.adapters.store import REFUSALS_KEPT, Store
from backend.app import create_app
from backend.ports import ConnectedBackend
from backend.settings import read_settings
from backend.usecases.connect import register
from backend.usecases.connection import STORED_WITHIN
from backend.usecases.reconcile import reconcile
from backend.usecases.report import report, summaries
from backend.usecases.sync import sync
from backend.usecases.tools import Tools
from fakes import LABEL_CONFIG

MADE_AT, STAMP = "2026-01-01T00:00:00.5Z", 1767225600
TASKS = {n: {"text": f"an apple no {n}"} for n in range(1, 5)}
URL = "http://backend:9090"
CONNECTED = ConnectedBackend(URL, "ALLabel", "", "")


@pytest.fixture
def label_studio() -> EditedLabelStudio:
    found = EditedLabelStudio(TASKS)
    found.known = replace(found.known, created_at=MADE_AT)
    found.connected = [CONNECTED]
    return found


@pytest.fixture
def tools(store: Store, label_studio: EditedLabelStudio) -> Tools:
    return make_tools(store, label_studio, FullModel(spot_fruits), budget="4")


@pytest.fixture
def client(tools: Tools) -> Iterator[TestClient]:
    settings = read_settings({"LABEL_STUDIO_API_KEY": "k", "BACKEND_URL": URL})
    with TestClient(create_app(settings, tools), base_url="http://localhost:9090") as client:
        yield client


def setup(client: TestClient, stamp: int, **more: object) -> tuple[int, str]:
    body = {"project": f"{PROJECT}.{stamp}", "schema": LABEL_CONFIG, "hostname": "http://other:8080", **more}
    answer = client.post("/setup", json=body)
    return answer.status_code, answer.json().get("detail", "")


def test_another_label_studios_project_of_the_same_number_is_refused(
    client: TestClient, tools: Tools
) -> None:
    status, said = setup(client, 1500000000)
    assert status == 422
    assert "http://other:8080" in said
    assert "http://localhost:8080" in said
    assert tools.store.projects() == []
    assert setup(client, STAMP)[0] == 200
    settle(tools)
    assert setup(client, 1500000000)[0] == 422
    assert report(tools, PROJECT).published == 4
    task = {"id": 1, "data": {"text": "Their Berlin and nobody else."}}
    tools.stopping.set()
    answer = client.post("/predict", json={"project": f"{PROJECT}.1500000000", "tasks": [task]})
    assert answer.json()["results"][0]["result"] == []


def test_a_database_made_anew_under_the_same_number_begins_anew(
    client: TestClient, tools: Tools, label_studio: EditedLabelStudio
) -> None:
    assert setup(client, STAMP)[0] == 200
    settle(tools)
    label_studio.known = replace(label_studio.known, created_at="2026-02-01T00:00:00Z", model_version="")
    label_studio.stored.clear()
    for task_id in TASKS:
        label_studio.data[task_id] = {"text": f"a pear no {task_id}"}
    assert setup(client, 1769904000)[0] == 200
    settle(tools)
    assert [r["value"]["text"] for task_id in TASKS for r in label_studio.shown(task_id)] == ["pear"] * 4


def test_the_worker_notices_a_database_made_anew_too(
    client: TestClient, tools: Tools, label_studio: EditedLabelStudio
) -> None:
    assert setup(client, STAMP)[0] == 200
    settle(tools)
    label_studio.known = replace(label_studio.known, created_at="2026-02-01T00:00:00Z")
    tools.store.mark_dirty(PROJECT, "reconcile")
    assert sync(tools, PROJECT)
    assert tools.store.projects() == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"extra_params": {"bugdet": 1}}, "bugdet"),
        ({"extra_params": "{"}, "JSON object"),
        ({"schema": "<View/>"}, "marks no spans"),
        ({"schema": LABEL_CONFIG.replace("$text", "$body-text")}, "$body-text"),
    ],
)
def test_a_refusal_is_on_the_pages_and_is_not_set_up_later(
    client: TestClient, tools: Tools, label_studio: EditedLabelStudio, more: dict[str, object], words: str
) -> None:
    assert setup(client, STAMP, **more)[0] == 422
    reconcile(tools)
    assert tools.store.projects() == []
    assert tools.store.due_projects() == []
    (project,) = summaries(tools)
    assert project.state == "refused"
    assert words in project.problem
    assert words in client.get("/projects").text
    assert words in report(tools, PROJECT).problem
    assert setup(client, STAMP)[0] == 200
    settle(tools)
    assert [(each.state, each.problem) for each in summaries(tools)] == [("ready", "")]


def test_a_refused_change_of_a_connected_project_is_told_and_leaves_it_as_it_was(
    client: TestClient, tools: Tools
) -> None:
    setup(client, STAMP, extra_params={"k": 2})
    settle(tools)
    assert setup(client, STAMP, extra_params={"k": "two"})[0] == 422
    found = report(tools, PROJECT)
    assert found.state == "ready"
    assert "k must be a whole number" in found.problem
    assert tools.store.settings(PROJECT).k == 2


def test_no_more_refusals_are_kept_than_a_person_reads(store: Store) -> None:
    for number in range(1, 3 * REFUSALS_KEPT):
        store.note_refusal(number, "no")
    assert len(store.refusals()) == REFUSALS_KEPT


def test_disconnected_means_stop_until_connected_again(
    client: TestClient, tools: Tools, label_studio: EditedLabelStudio
) -> None:
    setup(client, STAMP)
    settle(tools)
    label_studio.connected = []
    label_studio.hooks.clear()
    prompts = len(tools.model.prompts)  # type: ignore[union-attr]
    label_studio.annotate(1, gold(label_studio, TASKS[1]["text"], ("apple", "Fruit")))
    tools.store.mark_dirty(PROJECT, "annotations")
    settle(tools)
    reconcile(tools)
    settle(tools)
    assert len(tools.model.prompts) == prompts  # type: ignore[union-attr]
    assert label_studio.hooks == {}
    assert report(tools, PROJECT).state == "disconnected"
    assert "Disconnected in Label Studio" in client.get("/projects").text
    label_studio.connected = [CONNECTED]
    setup(client, STAMP)
    settle(tools)
    assert label_studio.hooks
    assert report(tools, PROJECT).state == "ready"
    assert report(tools, PROJECT).annotated == 1


def test_a_connection_that_label_studio_never_stored_ends_after_a_while(
    client: TestClient, tools: Tools, label_studio: EditedLabelStudio
) -> None:
    label_studio.connected = []
    setup(client, STAMP)
    settle(tools)
    assert report(tools, PROJECT).state == "ready"
    tools.store.set_facts(PROJECT, registered_at=tools.store.now() - STORED_WITHIN)
    tools.store.mark_dirty(PROJECT, "reconcile")
    settle(tools)
    assert report(tools, PROJECT).state == "disconnected"


@pytest.mark.parametrize(
    ("tasks", "state", "words"),
    [({}, "no_tasks", "No tasks yet"), ({1: {"other": 1}, 2: {}}, "no_texts", "No readable texts")],
)
def test_a_project_with_nothing_to_annotate_says_so(
    store: Store, tasks: dict[int, dict[str, object]], state: str, words: str
) -> None:
    label_studio = AnyLabelStudio(tasks)
    tools = connected(make_tools(store, label_studio, FullModel(spot_fruits)))
    assert report(tools, PROJECT).state == state
    assert "budget" not in label_studio.known.description
    settings = read_settings({"LABEL_STUDIO_API_KEY": "k"})
    with TestClient(create_app(settings, tools), base_url="http://localhost:9090") as client:
        assert words in client.get("/projects").text


def test_a_project_where_nothing_has_changed_takes_one_call_of_its_own(
    tools: Tools, label_studio: EditedLabelStudio
) -> None:
    register(tools, PROJECT, backend_url=URL, extra_params={})
    settle(tools)
    for _ in range(3):
        reconcile(tools)
        settle(tools)
    label_studio.calls.clear()
    reconcile(tools)
    assert tools.store.dirty(PROJECT)[0] == set()
    assert label_studio.calls.count("changed_tasks") == 1
    # Those for all projects at once, one of which the double makes of another.
    assert set(label_studio.calls) - {"projects", "project", "webhooks"} == {"changed_tasks"}
    # Now and then it is asked whether the project is still connected.
    tools.store.release(f"look:{PROJECT}")
    label_studio.connected = []
    reconcile(tools)
    assert tools.store.dirty(PROJECT)[0] == {"reconcile"}
    settle(tools)
    assert report(tools, PROJECT).state == "disconnected"


@pytest.mark.parametrize("change", ["text", "version", "predictions", "config", "annotation"])
def test_every_change_is_seen_by_reconciling(
    tools: Tools, label_studio: EditedLabelStudio, change: str
) -> None:
    register(tools, PROJECT, backend_url=URL, extra_params={})
    settle(tools)
    for _ in range(3):
        reconcile(tools)
        settle(tools)
    match change:
        case "text":
            label_studio.edit(1, {"text": "a pear"})
        case "version":
            label_studio.known = replace(label_studio.known, model_version="another")
        case "predictions":
            label_studio.known = replace(label_studio.known, prediction_count=99)
        case "config":
            config = label_studio.known.label_config.replace("Animal", "Beast")
            label_studio.known = replace(label_studio.known, label_config=config)
        case "annotation":
            label_studio.annotate(1, [])
    reconcile(tools)
    assert "reconcile" in tools.store.dirty(PROJECT)[0]
