"""What doctor says of a project: to each trouble its own advice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from projects import PROJECT, connected
from redis import Redis

from backend import doctor
from backend.adapters.store import Store
from backend.doctor import Check
from backend.errors import LabelStudioNotFoundError
from backend.ports import ConnectedBackend
from backend.settings import Settings, read_settings
from backend.usecases.tools import Tools
from fakes import FakeLabelStudio, make_tools

OURS = ConnectedBackend("http://localhost:9090", "ALLabel", "allabel-3", "")


@pytest.fixture
def label_studio() -> FakeLabelStudio:
    return FakeLabelStudio({1: "one cat", 2: "two dogs"})


@pytest.fixture
def settings(
    redis: Redis, store: Store, label_studio: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    tools = make_tools(store, label_studio)
    monkeypatch.setattr(doctor, "connect_redis", lambda _: redis)
    monkeypatch.setattr(doctor, "build_label_studio", lambda _: label_studio)
    monkeypatch.setattr(doctor, "build_tools", lambda _: tools)
    return read_settings({"LABEL_STUDIO_API_KEY": "secret"})


def checks(settings: Settings, project_id: int = PROJECT) -> dict[str, Check]:
    return {check.name: check for check in doctor.run(settings, project_id)}


def test_a_project_that_is_not_there_is_the_last_thing_said(
    settings: Settings, label_studio: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: int) -> None:
        raise LabelStudioNotFoundError("Label Studio has no /api/projects/9/")

    monkeypatch.setattr(label_studio, "project", missing)
    found = checks(settings, 9)
    assert list(found)[-1] == "Project"
    assert "no project 9" in found["Project"].finding
    assert "/projects/NUMBER" in found["Project"].remedy


def test_a_project_that_is_not_connected(settings: Settings, label_studio: FakeLabelStudio) -> None:
    found = checks(settings)
    assert found["Project"].ok
    assert (found["State"].ok, found["State"].remedy) == (False, "allabel connect 1")
    assert found["Connection"].remedy == "allabel connect 1"


@pytest.mark.parametrize(
    ("connections", "finding", "advice"),
    [
        (
            [replace(OURS, error="401 Client Error: Unauthorized for url: http://localhost:9090/setup")],
            "401",
            "BASIC_AUTH_USER and BASIC_AUTH_PASS",
        ),
        ([replace(OURS, error="Connection refused")], "Connection refused", "SSRF_PROTECTION_ENABLED"),
        (
            [OURS, replace(OURS, url="http://127.0.0.1:9090/"), replace(OURS, url="http://backend:9090")],
            "3 connections lead to this backend",
            "Keep one and delete the others",
        ),
    ],
)
def test_every_trouble_of_the_connection_has_its_own_advice(
    settings: Settings,
    label_studio: FakeLabelStudio,
    connections: list[ConnectedBackend],
    finding: str,
    advice: str,
) -> None:
    label_studio.connected = connections
    found = checks(settings)["Connection"]
    assert not found.ok
    assert finding in found.finding
    assert advice in found.remedy


def test_another_model_beside_ours_is_no_trouble(settings: Settings, label_studio: FakeLabelStudio) -> None:
    label_studio.connected = [OURS, ConnectedBackend("http://other:9000", "SAM", "v1", "")]
    assert checks(settings)["Connection"].ok


def test_alive_means_the_same_for_doctor_as_for_pages(
    settings: Settings, store: Store, label_studio: FakeLabelStudio
) -> None:
    assert not checks(settings)["Worker"].ok
    store.beat("here:1")
    assert checks(settings)["Worker"].finding == "1 running"


def test_the_state_is_that_of_the_pages(
    settings: Settings, store: Store, label_studio: FakeLabelStudio
) -> None:
    tools: Tools = connected(make_tools(store, label_studio))
    tools.store.set_facts(PROJECT, model_problem="Nothing answers.", model_remedy="Start it.")
    store.beat("here:1")
    found = checks(settings)["State"]
    assert (found.finding, found.remedy) == ("Nothing answers.", "Start it.")
