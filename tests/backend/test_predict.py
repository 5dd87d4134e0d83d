"""/predict keeps to Label Studio's time limit, whatever the model does; nothing that is late is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from projects import PROJECT, AnyLabelStudio, connected, make_tools, settle, spot_fruits

from allabel_core.prompting import Prompt
from backend.adapters.store import Store
from backend.usecases import predict as predict_module
from backend.usecases.predict import predict
from backend.usecases.suggest import suggest
from backend.usecases.tools import Tools
from fakes import LABEL_CONFIG, ScriptedModel

pytestmark = pytest.mark.slow

TASKS = {task_id: {"text": f"an apple and a pear, no. {task_id}"} for task_id in range(1, 131)}
BATCH = list(TASKS.items())[-100:]
WINDOW = 8
SLOW_SECONDS = 0.02


@pytest.fixture
def label_studio() -> AnyLabelStudio:
    return AnyLabelStudio(TASKS)


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(spot_fruits)


@pytest.fixture
def tools(store: Store, label_studio: AnyLabelStudio, model: ScriptedModel) -> Tools:
    return connected(make_tools(store, label_studio, model, budget="10", window=WINDOW))


@contextmanager
def working(tools: Tools) -> Iterator[None]:
    """A worker that pre-annotates what is wanted, in the background."""
    done = Event()

    def work() -> None:
        while not done.wait(0.005):
            suggest(tools, PROJECT)

    thread = Thread(target=work)
    thread.start()
    yield
    done.set()
    thread.join()


def slow(prompt: Prompt) -> str:
    time.sleep(SLOW_SECONDS)
    return spot_fruits(prompt)


def test_a_slow_model_gives_what_it_has_and_the_rest_is_filled_in(
    tools: Tools, model: ScriptedModel, label_studio: AnyLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_module, "ANSWER_WITHIN", 0.5)
    model.reply = slow
    with working(tools):
        answers = predict(tools, PROJECT, BATCH, label_config=LABEL_CONFIG)
    filled = [bool(answer["result"]) for answer in answers]
    assert len(answers) == len(BATCH)
    assert 0 < sum(filled) < len(BATCH)

    settle(tools)
    late = [task_id for (task_id, _), there in zip(BATCH, filled, strict=True) if not there]
    # One that the queue's front holds by now is shown in its place there.
    assert all(label_studio.shown(task_id) for task_id in late)


def test_nothing_is_published_while_somebody_waits_for_a_suggestion(
    tools: Tools, label_studio: AnyLabelStudio
) -> None:
    published = label_studio.calls.count("import_predictions")
    tools.store.add_texts(PROJECT, {task_id: data["text"] for task_id, data in BATCH})
    tools.store.add_late(PROJECT, [task_id for task_id, _ in BATCH])
    tools.store.want_now(PROJECT, [task_id for task_id, _ in BATCH])
    while tools.store.awaited(PROJECT):
        assert label_studio.calls.count("import_predictions") == published
        suggest(tools, PROJECT)
    settle(tools)
    assert label_studio.calls.count("import_predictions") > published


def test_what_is_there_is_answered_at_once(tools: Tools) -> None:
    front = [entry.task_id for entry in tools.store.queue(PROJECT)][:WINDOW]
    answers = predict(tools, PROJECT, [(task_id, TASKS[task_id]) for task_id in front], label_config="")
    assert all(answer["result"] for answer in answers)


def test_a_request_that_has_waited_for_its_turn_waits_no_longer(tools: Tools) -> None:
    started = time.monotonic()
    [answer] = predict(
        tools, PROJECT, BATCH[:1], label_config=LABEL_CONFIG, arrived=started - predict_module.ANSWER_WITHIN
    )
    assert answer["result"] == []
    assert tools.store.late(PROJECT) == {BATCH[0][0]}
    assert time.monotonic() - started < predict_module.ANSWER_WITHIN / 2


def test_nothing_is_waited_for_while_the_process_ends(tools: Tools) -> None:
    started = time.monotonic()
    tools.stopping.set()
    [answer] = predict(tools, PROJECT, BATCH[:1], label_config=LABEL_CONFIG)
    assert answer["result"] == []
    assert tools.store.late(PROJECT) == {BATCH[0][0]}
    assert time.monotonic() - started < predict_module.ANSWER_WITHIN / 2


def test_a_task_without_a_text_is_not_waited_for(tools: Tools) -> None:
    started = time.monotonic()
    [answer] = predict(tools, PROJECT, [(999, {"else": 1})], label_config=LABEL_CONFIG)
    assert answer["result"] == []
    assert tools.store.late(PROJECT) == set()
    assert time.monotonic() - started < predict_module.ANSWER_WITHIN / 2
