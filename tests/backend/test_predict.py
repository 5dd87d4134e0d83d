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
from backend.ports import NewPrediction
from backend.usecases import predict as predict_module
from backend.usecases.predict import predict
from backend.usecases.suggest import suggest
from backend.usecases.tools import Tools
from fakes import LABEL_CONFIG, ScriptedModel
from stored import everything_in

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

    for (task_id, _), answer in zip(BATCH, answers, strict=True):
        if task_id not in label_studio.current():
            new = NewPrediction(task_id, answer["result"], answer["score"])
            label_studio.add_prediction(PROJECT, answer["model_version"], new)
    settle(tools)
    late = [task_id for (task_id, _), there in zip(BATCH, filled, strict=True) if not there]
    # One that the queue's front holds by now is shown in its place there.
    assert all(label_studio.shown(task_id) for task_id in late)


def test_nothing_is_published_while_somebody_waits_for_a_suggestion(
    tools: Tools, label_studio: AnyLabelStudio
) -> None:
    def published() -> int:
        return int(tools.store.fact(PROJECT, "publications") or 0)

    before = published()
    front = tools.store.queue_order(PROJECT)[:WINDOW]
    tools.store.drop_suggestions(PROJECT, front)
    tools.store.mark_dirty(PROJECT, "suggestions")
    tools.store.add_texts(PROJECT, {task_id: data["text"] for task_id, data in BATCH})
    tools.store.add_late(PROJECT, [task_id for task_id, _ in BATCH])
    tools.store.want_now(PROJECT, [task_id for task_id, _ in BATCH])
    while tools.store.awaited(PROJECT):
        assert published() == before
        suggest(tools, PROJECT)


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


# What a caller says of texts does not count


def test_what_the_request_says_a_text_is_is_not_kept(
    tools: Tools, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_module, "ANSWER_WITHIN", 0.2)
    before = store.texts(PROJECT)
    victim = BATCH[0][0]
    store.forget_tasks(PROJECT, [victim])
    forged = [(victim, {"text": "plum EVIL"}), (99_999, {"text": "a pear that does not exist"})]
    assert len(predict(tools, PROJECT, forged, label_config=LABEL_CONFIG)) == 2
    assert store.texts(PROJECT) == before
    assert store.late(PROJECT) == {victim}
    assert b"EVIL" not in everything_in(store.redis)


def test_no_project_is_made_by_asking(tools: Tools, store: Store, label_studio: AnyLabelStudio) -> None:
    calls = len(label_studio.calls)
    answers = predict(tools, 500, BATCH[:2], label_config=LABEL_CONFIG)
    assert [answer["result"] for answer in answers] == [[], []]
    assert store.projects() == [PROJECT]
    assert len(label_studio.calls) == calls
    assert not store.redis.keys("*:500:*")


def test_a_new_task_is_read_from_label_studio_at_once(tools: Tools, label_studio: AnyLabelStudio) -> None:
    label_studio.data[131] = {"text": "a plum of today"}
    label_studio.texts[131] = ""
    with working(tools):
        [answer] = predict(tools, PROJECT, [(131, label_studio.data[131])], label_config=LABEL_CONFIG)
    assert [region["value"]["text"] for region in answer["result"]] == ["plum"]


def test_only_so_many_unknown_tasks_are_looked_up(
    tools: Tools, store: Store, label_studio: AnyLabelStudio
) -> None:
    calls = label_studio.calls.count("task")
    unknown = [(number, {"text": "x"}) for number in range(1000, 1100)]
    assert len(predict(tools, PROJECT, unknown, label_config=LABEL_CONFIG)) == 100
    assert label_studio.calls.count("task") - calls == predict_module.READ_AT_ONCE
    assert "new_tasks" in store.dirty(PROJECT)[0]
    # The next publication would ask Label Studio about each.
    assert store.answered(PROJECT) == set()
