"""Reset leaves a project as it was; what must outlive Redis stands in Label Studio's own webhook."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from threading import Event, Thread

import pytest
from projects import PROJECT, settle, spot_fruits
from redis import Redis

from allabel_core.prompting import Prompt
from backend import worker
from backend.adapters.store import Store
from backend.errors import BackendError, LabelStudioUnreachableError
from backend.ports import ConnectedBackend, NewPrediction
from backend.usecases.connect import register
from backend.usecases.events import Event as Change
from backend.usecases.events import receive
from backend.usecases.finish import finish
from backend.usecases.memory import BEFORE_HEADER, FINISHING_HEADER, SECRET_HEADER
from backend.usecases.reconcile import reconcile
from backend.usecases.reset import reset, resetting
from backend.usecases.sync import sync
from backend.usecases.tools import Tools
from fakes import FakeLabelStudio, ScriptedModel, make_tools

URL = "http://localhost:9090"
TEXTS = {100 + i: f"A {('cat', 'dog', 'hen')[i % 3]} of {i} ate an apple" for i in range(12)}
OTHERS = "others-3"


@pytest.fixture
def label_studio() -> FakeLabelStudio:
    there = FakeLabelStudio(TEXTS)
    there.known = replace(there.known, description="About animals.", sampling="Uniform sampling")
    return there


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(spot_fruits)


@pytest.fixture
def tools(store: Store, label_studio: FakeLabelStudio, model: ScriptedModel) -> Tools:
    made = make_tools(store, label_studio, model, budget="6", window=5)
    register(made, PROJECT, backend_url=URL, extra_params={})
    settle(made)
    return made


def note(label_studio: FakeLabelStudio) -> dict[str, str]:
    [hook] = label_studio.hooks.values()
    return hook.headers


def test_what_was_before_is_noted_in_the_webhook(tools: Tools, label_studio: FakeLabelStudio) -> None:
    assert label_studio.known.sampling == "Uncertainty sampling"
    assert json.loads(note(label_studio)[BEFORE_HEADER])["sampling"] == "Uniform sampling"


def test_setting_up_again_keeps_the_first_note(tools: Tools, label_studio: FakeLabelStudio) -> None:
    tools.store.mark_dirty(PROJECT, "setup")
    settle(tools)
    assert json.loads(note(label_studio)[BEFORE_HEADER])["sampling"] == "Uniform sampling"


def test_reset_leaves_the_project_as_it_was(
    tools: Tools, label_studio: FakeLabelStudio, redis: Redis
) -> None:
    label_studio.import_predictions(PROJECT, OTHERS, [NewPrediction(next(iter(label_studio.texts)), [], 0.5)])
    reset(tools, PROJECT)
    assert label_studio.known.sampling == "Uniform sampling"
    assert label_studio.known.description == "About animals."
    assert list(label_studio.versions_of_tasks()) == [OTHERS]
    assert label_studio.hooks == {}
    assert list(redis.scan_iter("allabel:project:*")) == []
    assert tools.store.projects() == []


def test_reset_waits_for_what_runs_and_leaves_nothing_behind(
    tools: Tools, label_studio: FakeLabelStudio, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_tools", lambda: tools)
    finish(tools, PROJECT)
    settle_sync(tools)
    asked, go_on = Event(), Event()

    def slow(prompt: Prompt) -> str:
        asked.set()
        assert go_on.wait(20)
        return spot_fruits(prompt)

    tools.model.reply = slow  # type: ignore[union-attr]
    job = Thread(target=worker.suggest_job, args=(PROJECT,))
    job.start()
    assert asked.wait(20)
    undoing = Thread(target=reset, args=(tools, PROJECT))
    undoing.start()
    while not tools.store.locked(resetting(PROJECT)):
        time.sleep(0.01)
    # What comes now begins nothing more.
    before = len(tools.model.prompts)  # type: ignore[union-attr]
    worker.suggest_job(PROJECT)
    worker.sync_job(PROJECT)
    assert len(tools.model.prompts) == before  # type: ignore[union-attr]
    assert label_studio.hooks
    go_on.set()
    job.join(20)
    undoing.join(20)
    assert label_studio.hooks == {}
    assert label_studio.versions(PROJECT) == {}
    assert list(redis.scan_iter("allabel:project:*")) == []
    worker.sync_job(PROJECT)
    assert list(redis.scan_iter("allabel:project:*")) == []
    assert list(redis.scan_iter("allabel:at-work:*")) == []


def settle_sync(tools: Tools) -> None:
    assert sync(tools, PROJECT)
    assert tools.store.wanted_count(PROJECT) > 0


def test_two_resets_do_not_meet(tools: Tools) -> None:
    with tools.store.lock(resetting(PROJECT)), pytest.raises(BackendError, match="being reset already"):
        reset(tools, PROJECT)


def test_a_worker_that_died_is_not_waited_for(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.adapters.store_figures.AT_WORK_SECONDS", 0.3)
    tools.store.redis.zadd(f"allabel:at-work:{PROJECT}", {"dead": time.time() + 0.3})
    reset(tools, PROJECT)
    assert not tools.store.knows(PROJECT)


def test_reset_works_when_redis_has_forgotten_everything(
    tools: Tools, label_studio: FakeLabelStudio, redis: Redis
) -> None:
    redis.flushall()
    reset(tools, PROJECT)
    assert label_studio.known.sampling == "Uniform sampling"
    assert label_studio.hooks == {}


def test_reset_that_broke_off_is_finished_by_the_next(tools: Tools, label_studio: FakeLabelStudio) -> None:
    label_studio.fail_at = "describe"
    with pytest.raises(LabelStudioUnreachableError):
        reset(tools, PROJECT)
    assert BEFORE_HEADER in note(label_studio)
    label_studio.fail_at = None
    reset(tools, PROJECT)
    assert label_studio.known.sampling == "Uniform sampling"
    assert label_studio.stored == {}


def test_where_both_notes_are_lost_the_settings_of_a_new_project_come_back(
    tools: Tools, label_studio: FakeLabelStudio, redis: Redis
) -> None:
    redis.flushall()
    label_studio.hooks.clear()
    reset(tools, PROJECT)
    assert label_studio.known.sampling == "Sequential sampling"


def taken_up(tools: Tools, label_studio: FakeLabelStudio, redis: Redis) -> None:
    redis.flushall()
    label_studio.connected = [ConnectedBackend(URL, "ALLabel", "", "", {"budget": "6", "window": 5})]
    reconcile(tools)


def test_a_project_that_redis_forgot_is_taken_up_again_and_nothing_is_paid_twice(
    tools: Tools, label_studio: FakeLabelStudio, redis: Redis, model: ScriptedModel
) -> None:
    served, asked = label_studio.served(), len(model.prompts)
    taken_up(tools, label_studio, redis)
    settle(tools)
    assert tools.store.settings(PROJECT).budget == "6"
    assert label_studio.served() == served
    assert len(model.prompts) == asked


def test_an_address_that_is_not_ours_is_another_installations_until_it_calls_us(
    tools: Tools, label_studio: FakeLabelStudio, redis: Redis
) -> None:
    elsewhere = replace(tools, backend_url="http://elsewhere:9090")
    taken_up(elsewhere, label_studio, redis)
    assert tools.store.projects() == []
    receive(elsewhere, Change("ANNOTATION_CREATED", PROJECT))
    reconcile(elsewhere)
    assert tools.store.projects() == [PROJECT]


def test_the_order_to_finish_outlives_redis(
    tools: Tools, label_studio: FakeLabelStudio, redis: Redis
) -> None:
    finish(tools, PROJECT)
    settle(tools)
    assert FINISHING_HEADER in note(label_studio)
    taken_up(tools, label_studio, redis)
    settle(tools)
    assert tools.store.fact(PROJECT, "state") == "finished"


def test_a_project_whose_model_a_person_disconnected_is_left_alone(
    tools: Tools, label_studio: FakeLabelStudio, redis: Redis
) -> None:
    redis.flushall()
    reconcile(tools)
    assert tools.store.projects() == []


def test_another_installations_webhook_is_left_alone(
    tools: Tools, label_studio: FakeLabelStudio, redis: Redis
) -> None:
    note(label_studio)[SECRET_HEADER] = "another's"
    taken_up(tools, label_studio, redis)
    assert tools.store.projects() == []


@pytest.mark.parametrize("damage", ["gone", "switched off", "without secret"])
def test_a_damaged_webhook_is_mended(tools: Tools, label_studio: FakeLabelStudio, damage: str) -> None:
    reconcile(tools)
    [(address, hook)] = label_studio.hooks.items()
    if damage == "gone":
        label_studio.hooks.clear()
    else:
        label_studio.hooks[address] = replace(hook, complete=damage != "switched off", headers={})
    reconcile(tools)
    settle(tools)
    assert label_studio.hooks[address] == hook


def test_a_sound_webhook_is_not_touched(tools: Tools, label_studio: FakeLabelStudio) -> None:
    reconcile(tools)
    assert "setup" not in tools.store.dirty(PROJECT)[0]
