"""What a person may choose for a project, and what is said to a label config that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from projects import AnyLabelStudio, make_tools
from typer.testing import CliRunner

from allabel_core.errors import InvalidInputError
from backend import cli
from backend.adapters.store import Store
from backend.app import create_app
from backend.ports import ProjectSettings
from backend.settings import read_settings
from backend.usecases.connect import with_params
from fakes import LABEL_CONFIG


@pytest.fixture
def client(store: Store) -> Iterator[TestClient]:
    tools = make_tools(store, AnyLabelStudio({}), None)
    with TestClient(
        create_app(read_settings({"ALLOWED_HOSTS": "backend"}), tools), base_url="http://backend:9090"
    ) as client:
        yield client


def test_settings_as_people_type_them() -> None:
    typed = {
        "retrieval": "fused",
        "demonstration_tokens": "900",
        "varied": "True",
        "cover_labels": True,
        "occurrences": "first",
        "min_confidence": "0.25",
        "strategy": "allabel",
        "uncertainty": "both",
    }
    assert with_params(ProjectSettings(), typed) == ProjectSettings(
        retrieval="fused",
        demonstration_tokens=900,
        varied=True,
        cover_labels=True,
        occurrences="first",
        min_confidence=0.25,
        strategy="allabel",
        uncertainty="both",
    )


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("retrieval", "bm26", "retrieval must be one of similarity, bm25, sbert, fused"),
        ("occurrences", "some", "occurrences must be one of learned, all, first"),
        ("uncertainty", "me", "uncertainty must be one of similarity, model, both"),
        ("similarity", "fused", "similarity must be one of bm25, sbert"),
        ("min_confidence", "high", "min_confidence must be a number"),
        ("min_confidence", "1.5", "must lie between 0 and 1"),
        ("min_confidence", "nan", "must lie between 0 and 1"),
        ("varied", "perhaps", "varied must be true or false"),
        ("demonstration_tokens", -1, "demonstration_tokens at least 0"),
        ("uncertainty", "model", "set strategy to 'allabel' as well"),
    ],
)
def test_settings_that_cannot_be_used(name: str, value: object, complaint: str) -> None:
    with pytest.raises(InvalidInputError, match=complaint):
        with_params(ProjectSettings(), {name: value})


@pytest.mark.parametrize(
    ("label_config", "complaint"),
    [
        (
            '<View><HyperText name="h" value="$html"/></View>',
            "marks no spans of a plain text (found: Hyper",
        ),
        ('<View><Image name="i" value="$image"/></View>', "(found: Image)"),
        ("<View/>", "(found: nothing)"),
        ('<View><Labels name="l" toName="t"/><Text name="t" value="$text"/></View>', "holds no <Label"),
        ("<View", "is not valid XML"),
        (LABEL_CONFIG.replace("$text", "some text"), "it should show one value of the task"),
    ],
)
def test_setup_refuses_a_label_config_that_cannot_be_used_and_says_why(
    client: TestClient, store: Store, label_config: str, complaint: str
) -> None:
    answer = client.post("/setup", json={"project": "3.17", "schema": label_config})
    assert answer.status_code == 422
    assert complaint in answer.json()["detail"]
    assert store.projects() == []
    assert client.post("/setup", json={"project": "3.17", "schema": LABEL_CONFIG}).status_code == 200


def test_any_setting_can_be_set_at_the_terminal(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = make_tools(store, AnyLabelStudio({}), None)
    monkeypatch.setattr(cli, "_tools", lambda: (read_settings({}), tools))
    command = ["connect", "1", "--no-wait", "--set", "min_confidence=0.3", "--set", "occurrences=all"]
    assert CliRunner().invoke(cli.app, command).exit_code == 0
    assert (store.settings(1).min_confidence, store.settings(1).occurrences) == (0.3, "all")


def test_a_reached_cap_ends_a_waiting_command_with_the_remedy(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = make_tools(store, AnyLabelStudio({}), None)
    monkeypatch.setattr(cli, "_tools", lambda: (read_settings({}), tools))
    store.add_project(1)
    store.set_facts(1, state="capped", model_problem="Its cap of 5 (MAX_COST) is reached. Raise it to go on.")
    done = CliRunner().invoke(cli.app, ["rerank", "1"])
    assert done.exit_code == 1
    assert "MAX_COST" in done.stderr
