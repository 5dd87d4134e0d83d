"""ALLabel inside label-studio-ml, by a hand-written double of that host: its base class and its routes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from redis import Redis

from backend.adapters.store import Store
from backend.demo.services import RedisServer
from backend.ports import ProjectSettings, Suggestion
from fakes import LABEL_CONFIG

REGION = {
    "from_name": "label",
    "to_name": "text",
    "type": "labels",
    "value": {"start": 0, "end": 4, "text": "plum", "labels": ["Fruit"]},
}
CACHE: dict[tuple[str, str], Any] = {}


class BaseDouble:
    """What ALLabel meets of LabelStudioMLBase 2.x, as its source has it."""

    def __init__(self, project_id: str | None = None, label_config: str | None = None) -> None:
        self.project_id = project_id or ""
        if label_config is not None:
            self.set("label_config", label_config)
        if not self.get("model_version"):
            self.set("model_version", "0.0.1")
        self.setup()

    def setup(self) -> None:
        pass

    def get(self, key: str) -> Any:
        return CACHE.get((self.project_id, key))

    def set(self, key: str, value: Any) -> None:
        CACHE[self.project_id, key] = value

    @property
    def label_config(self) -> Any:
        return self.get("label_config")


class HostDouble:
    """What its routes do with the model class that ``init_app`` was given."""

    def __init__(self, model_class: Any) -> None:
        self.model_class = model_class

    def setup(self, body: dict[str, Any]) -> dict[str, Any]:
        model = self.model_class(body["project"].split(".", 1)[0], body["schema"])
        if body.get("extra_params"):
            model.set_extra_params(body["extra_params"])
        return {"model_version": model.get("model_version")}

    def predict(self, body: dict[str, Any]) -> dict[str, Any]:
        model = self.model_class(str(body["project"]).split(".", 1)[0], body["label_config"])
        params = dict(body["params"])
        return {"results": model.predict(body["tasks"], context=params.pop("context", {}), **params)}

    def webhook(self, body: dict[str, Any]) -> None:
        event = body.pop("action")
        if event not in ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED", "START_TRAINING"):
            return
        model = self.model_class(str(body["project"]["id"]), body["project"]["label_config"])
        model.fit(event, body)


@pytest.fixture
def host(redis_server: RedisServer, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostDouble]:
    """The application that `_wsgi` makes, in an environment without label-studio-ml."""
    parts: dict[str, dict[str, Any]] = {
        "label_studio_ml": {},
        "label_studio_ml.model": {"LabelStudioMLBase": BaseDouble},
        "label_studio_ml.api": {"init_app": HostDouble},
    }
    for name, contents in parts.items():
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "token")
    monkeypatch.setenv("BACKEND_URL", "http://host:9090")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    CACHE.clear()
    yield importlib.import_module("backend._wsgi").app
    for name in ("backend._wsgi", "backend.model"):
        sys.modules.pop(name)


SETUP = {"project": "3.1700000000", "schema": LABEL_CONFIG, "hostname": "http://ls", "access_token": "t"}


def test_connecting_registers_the_project(host: HostDouble, store: Store) -> None:
    answer = host.setup({**SETUP, "extra_params": '{"budget": "30%", "k": 5}'})
    assert answer == {"model_version": "ALLabel"}
    assert store.settings(3) == ProjectSettings(budget="30%", k=5)
    assert store.fact(3, "backend_url") == "http://host:9090"
    assert store.dirty(3)[0] == {"setup", "tasks"}


def test_connecting_again_changes_nothing_and_tells_the_published_version(
    host: HostDouble, store: Store
) -> None:
    host.setup({**SETUP, "extra_params": {"budget": "30%"}})
    store.clear_dirty(3, store.dirty(3)[1])
    store.set_facts(3, version="allabel-7")
    assert host.setup(SETUP) == {"model_version": "allabel-7"}
    assert store.dirty(3)[0] == set()
    assert store.settings(3).budget == "30%"


def test_predictions_are_those_of_the_use_case_in_order(host: HostDouble, store: Store) -> None:
    host.setup(SETUP)
    store.set_facts(3, version="allabel-7")
    store.add_texts(3, {12: "plum"})
    store.save_suggestions(3, [Suggestion(12, [REGION], "r", [])])
    body = {
        "tasks": [{"id": 11, "data": {"text": "pear"}}, {"id": 12, "data": {"text": "plum"}}],
        "project": "3.1700000000",
        "label_config": LABEL_CONFIG,
        "params": {"login": None, "password": None, "context": None},
    }
    [first, second] = host.predict(body)["results"]
    assert first["result"] == []
    assert second == {"result": [REGION], "score": 1.0, "model_version": "allabel-7"}


def test_an_annotation_marks_the_project_for_the_worker(host: HostDouble, store: Store) -> None:
    host.setup(SETUP)
    store.clear_dirty(3, store.dirty(3)[1])
    host.webhook({"action": "ANNOTATION_CREATED", "project": {"id": 3, "label_config": LABEL_CONFIG}})
    assert store.dirty(3)[0] == {"annotations"}


def test_start_training_finishes_once_the_budget_is_used(host: HostDouble, store: Store) -> None:
    host.setup(SETUP)
    store.set_facts(3, annotated=5, budget=5)
    host.webhook({"action": "START_TRAINING", "project": {"id": 3, "label_config": LABEL_CONFIG}})
    assert store.fact(3, "finishing") == "1"
