"""The use cases together: a real Redis, a Label Studio in memory, a scripted model."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from allabel_core import select
from allabel_core.prompting import Prompt
from backend.adapters.store import Store
from backend.ports import ModelFailure, NewPrediction
from backend.usecases import suggest as suggest_module
from backend.usecases.connect import register
from backend.usecases.events import Event, receive
from backend.usecases.finish import finish
from backend.usecases.learn import learn
from backend.usecases.memory import SECRET_HEADER
from backend.usecases.predict import predict
from backend.usecases.publish import publish
from backend.usecases.report import report
from backend.usecases.suggest import suggest
from backend.usecases.sync import sync
from backend.usecases.tools import Tools
from fakes import LABEL_CONFIG, FakeLabelStudio, ScriptedModel, make_tools

PROJECT = 1
FRUITS = ("apple", "pear", "plum", "cherry", "quince")
PLACES = ("barn", "yard", "kitchen")
ANIMALS = ("cat", "dog", "hen", "goat", "mole")
TEXTS = {
    100 + i: f"The {ANIMALS[i % 5]} number {i} ate a {FRUITS[(i * 3) % 5]} in the {PLACES[i % 3]}"
    for i in range(40)
}


def spot_fruits(prompt: Prompt) -> str:
    text = prompt.messages[-1].content
    return json.dumps({"entities": [{"text": fruit, "label": "Fruit"} for fruit in FRUITS if fruit in text]})


def region(task_id: int, words: str, label: str) -> dict[str, Any]:
    start = TEXTS[task_id].index(words)
    value = {"start": start, "end": start + len(words), "text": words, "labels": [label]}
    return {
        "id": f"{task_id}-{words}",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": value,
    }


def gold(task_id: int) -> list[dict[str, Any]]:
    words = TEXTS[task_id].split()
    return [region(task_id, words[1], "Animal"), region(task_id, words[6], "Fruit")]


@pytest.fixture
def label_studio() -> FakeLabelStudio:
    return FakeLabelStudio(TEXTS)


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(spot_fruits)


@pytest.fixture
def tools(store: Store, label_studio: FakeLabelStudio, model: ScriptedModel) -> Tools:
    store.beat("a worker")
    return make_tools(store, label_studio, model, budget="20", window=8, strategy="allabel", audit=0.0)


def settle(tools: Tools) -> None:
    """What a worker would do until nothing is left to do."""
    for _ in range(50):
        if tools.store.dirty(PROJECT)[0]:
            assert sync(tools, PROJECT)
        elif tools.store.unclaimed(PROJECT) > 0:
            suggest(tools, PROJECT)
        elif tools.store.to_learn():
            learn(tools, PROJECT)
        else:
            return
    raise AssertionError("the loop does not settle")


def connected(tools: Tools) -> None:
    register(tools, PROJECT, backend_url="http://backend:9090", extra_params={})
    settle(tools)


def expected_order(annotated: list[int]) -> list[int]:
    ids = list(TEXTS)
    selection = select(list(TEXTS.values()), 20, annotated=[ids.index(task) for task in annotated])
    return [ids[index] for index in selection.order[len(annotated) :]]


def test_connecting_leads_to_a_published_queue_in_the_order_of_the_method(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    connected(tools)

    order = expected_order([])
    assert label_studio.served() == [*order[:8], *reversed(order[8:])]
    assert label_studio.front() == order[:8]
    assert label_studio.known.sampling == "Uncertainty sampling"
    assert label_studio.known.model_version == tools.store.fact(PROJECT, "version")
    assert list(label_studio.versions_of_tasks()) == [label_studio.known.model_version]
    first = label_studio.current()[label_studio.served()[0]]
    fruit = first.result[0]["value"]
    text = TEXTS[first.task_id]
    assert text[fruit["start"] : fruit["end"]] == fruit["text"] in FRUITS
    assert tools.store.fact(PROJECT, "state") == "ready"


def test_connecting_twice_changes_nothing(tools: Tools, label_studio: FakeLabelStudio) -> None:
    connected(tools)
    before = (label_studio.known, dict(label_studio.stored))
    connected(tools)
    assert (label_studio.known, label_studio.stored) == before
    assert label_studio.calls.count("secure_webhook") == 1


def test_annotations_become_demonstrations_and_the_queue_follows_the_method(
    tools: Tools, label_studio: FakeLabelStudio, model: ScriptedModel
) -> None:
    connected(tools)
    done = label_studio.served()[:5]
    for task_id in done:
        label_studio.annotate(task_id, gold(task_id))
        receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    model.prompts.clear()
    settle(tools)

    assert label_studio.front() == expected_order(done)[:8]
    assert [shown.task_id for shown in tools.store.demonstrations(PROJECT)] == done
    assert all(len(prompt.messages) == 1 + 2 * 3 + 1 for prompt in model.prompts)
    assert '"Animal"' in model.prompts[0].messages[2].content


def test_a_skipped_task_leaves_the_pool_and_is_no_demonstration(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    connected(tools)
    skipped = label_studio.served()[0]
    label_studio.annotate(skipped, [], cancelled=True)
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)

    assert skipped not in [entry.task_id for entry in tools.store.queue(PROJECT)]
    assert tools.store.demonstrations(PROJECT) == []


def test_a_task_that_somebody_has_open_keeps_its_suggestion(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    label_studio.day = date.today().isoformat()
    connected(tools)
    first = label_studio.served()[0]
    label_studio.annotate(first, gold(first))
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)
    opened = label_studio.served()[0]
    seen = label_studio.shown(opened)
    label_studio.drafts.add(label_studio.served()[7])
    for number in range(8):
        label_studio.texts[800 + number] = f"Entirely unlike {number}: " + "zebra quagga okapi " * number
    receive(tools, Event("TASKS_CREATED", PROJECT))
    tools.store.mark_dirty(PROJECT, "reconcile")
    settle(tools)

    assert label_studio.shown(opened) == seen
    assert label_studio.drafts <= set(label_studio.served())
    left = {each.task_id for each in label_studio.stored.values() if each.model_version == "allabel-retired"}
    assert left
    assert not left & {opened, *label_studio.drafts, *expected_front(tools)}
    assert label_studio.front()[:1] in ([opened], expected_front(tools)[:1])


def expected_front(tools: Tools) -> list[int]:
    return [entry.task_id for entry in tools.store.queue(PROJECT)][:8]


def test_of_several_annotations_the_ground_truth_counts_else_the_newest(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    connected(tools)
    first, second = label_studio.served()[:2]
    label_studio.annotate(first, [])
    label_studio.annotate(first, gold(first))
    label_studio.annotate(second, gold(second))
    label_studio.annotations[second][0] = replace(label_studio.annotations[second][0], ground_truth=True)
    label_studio.annotate(second, [])
    receive(tools, Event("ANNOTATION_UPDATED", PROJECT))
    settle(tools)

    documents = {shown.task_id: shown.document for shown in tools.store.demonstrations(PROJECT)}
    assert len(documents[first].spans) == 2
    assert len(documents[second].spans) == 2


def test_new_and_deleted_tasks_change_the_pool(tools: Tools, label_studio: FakeLabelStudio) -> None:
    connected(tools)
    gone = label_studio.served()[0]
    del label_studio.texts[gone]
    label_studio.texts[900] = "Entirely unlike: zebra quagga okapi"
    receive(tools, Event("TASKS_CREATED", PROJECT))
    settle(tools)

    queued = [entry.task_id for entry in tools.store.queue(PROJECT)]
    assert gone not in queued
    assert 900 in queued
    assert gone not in tools.store.texts(PROJECT)


def test_a_task_deleted_while_the_model_was_asked_about_it_does_not_keep_the_queue_back(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    connected(tools)
    gone = label_studio.served()[0]
    answer = tools.store.suggestions(PROJECT, [gone])[gone]
    del label_studio.texts[gone]
    tools.store.forget_tasks(PROJECT, [gone])
    tools.store.save_suggestions(PROJECT, [answer])
    receive(tools, Event("TASKS_DELETED", PROJECT))
    settle(tools)
    assert tools.store.fact(PROJECT, "problem") == ""
    assert gone not in label_studio.served()


def test_lost_webhooks_are_noticed_by_the_reconcile(tools: Tools, label_studio: FakeLabelStudio) -> None:
    connected(tools)
    done = label_studio.served()[0]
    label_studio.annotate(done, gold(done))
    label_studio.texts[901] = "A llama came later"
    tools.store.mark_dirty(PROJECT, "reconcile")
    settle(tools)

    assert [shown.task_id for shown in tools.store.demonstrations(PROJECT)] == [done]
    assert 901 in tools.store.texts(PROJECT)


def test_publishing_a_queue_does_not_rank_again(tools: Tools, label_studio: FakeLabelStudio) -> None:
    connected(tools)
    before = tools.store.fact(PROJECT, "rankings")
    receive(tools, Event("PROJECT_UPDATED", PROJECT))
    settle(tools)
    assert tools.store.fact(PROJECT, "rankings") == before


def test_a_new_label_config_is_asked_anew(
    tools: Tools, label_studio: FakeLabelStudio, model: ScriptedModel
) -> None:
    connected(tools)
    model.prompts.clear()
    label_studio.known = replace(label_studio.known, label_config=LABEL_CONFIG.replace("Animal", "Beast"))
    receive(tools, Event("PROJECT_UPDATED", PROJECT))
    settle(tools)
    assert len(model.prompts) == 8
    assert "Beast" in model.prompts[0].messages[0].content


def test_an_unusable_label_config_is_said_and_does_no_harm(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    label_studio.known = replace(label_studio.known, label_config="<View><Image name='i' value='$i'/></View>")
    register(tools, PROJECT, backend_url="", extra_params={})
    assert sync(tools, PROJECT)
    assert tools.store.fact(PROJECT, "state") == "degraded"
    assert "<Labels" in (tools.store.fact(PROJECT, "problem") or "")
    assert tools.store.fact(PROJECT, "title") == label_studio.known.title
    assert tools.store.dirty(PROJECT)[0]


@pytest.mark.parametrize("step", ["change_prediction", "add_prediction", "import_predictions", "predictions"])
def test_a_publication_that_dies_between_two_steps_is_made_good(
    tools: Tools, label_studio: FakeLabelStudio, step: str
) -> None:
    connected(tools)
    before = label_studio.served()
    done = before[0]
    label_studio.annotate(done, gold(done))
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))

    label_studio.fail_at = step
    sync(tools, PROJECT)
    assert set(label_studio.served()) >= set(before[1:])

    label_studio.fail_at = None
    settle(tools)
    publish(tools, PROJECT)
    assert list(label_studio.versions_of_tasks()) == [label_studio.known.model_version]
    assert label_studio.front() == expected_order([done])[:8]


def test_a_project_that_is_gone_is_forgotten(tools: Tools, label_studio: FakeLabelStudio) -> None:
    connected(tools)
    label_studio.gone = True
    tools.store.mark_dirty(PROJECT, "reconcile")
    sync(tools, PROJECT)
    assert tools.store.projects() == []


def test_a_model_that_is_down_leaves_an_ordered_queue_and_is_asked_again(
    tools: Tools, label_studio: FakeLabelStudio, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggest_module, "TRY_AGAIN_SECONDS", 1.0)
    model.reply = lambda prompt: ModelFailure("unreachable", "Nothing answers at OPENAI_BASE_URL.")
    register(tools, PROJECT, backend_url="", extra_params={})
    sync(tools, PROJECT)
    suggest(tools, PROJECT)
    suggest(tools, PROJECT)

    assert label_studio.front() == expected_order([])[:8]
    assert "OPENAI_BASE_URL" in report(tools, PROJECT).problem

    model.reply = spot_fruits
    time.sleep(1.1)
    settle(tools)
    assert all(label_studio.shown(task_id) for task_id in label_studio.front())
    assert report(tools, PROJECT).problem == ""


def test_a_text_that_the_model_refuses_keeps_its_place(
    tools: Tools, label_studio: FakeLabelStudio, model: ScriptedModel
) -> None:
    refused = TEXTS[expected_order([])[0]]
    model.reply = lambda prompt: (
        ModelFailure("refused", "The model declines.") if refused in prompt.messages[-1].content else "[]"
    )
    connected(tools)
    assert label_studio.front() == expected_order([])[:8]


def test_the_budget_used_up_is_said_and_finish_labels_the_rest(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    connected(tools)
    while label_studio.served():
        for task_id in label_studio.served()[:6]:
            label_studio.annotate(task_id, gold(task_id))
        receive(tools, Event("ANNOTATIONS_CREATED", PROJECT))
        settle(tools)
    assert len(label_studio.annotations) == 20
    assert tools.store.fact(PROJECT, "state") == "budget_used"
    assert "20 of 20 annotations done. The budget is used up" in label_studio.known.description

    receive(tools, Event("START_TRAINING", PROJECT))
    settle(tools)
    assert tools.store.fact(PROJECT, "state") == "finished"
    assert sorted(label_studio.served()) == sorted(set(TEXTS) - set(label_studio.annotations))


def test_finish_asks_only_about_what_has_no_suggestion_yet(
    tools: Tools, label_studio: FakeLabelStudio, model: ScriptedModel
) -> None:
    connected(tools)
    model.prompts.clear()
    finish(tools, PROJECT)
    settle(tools)
    assert len(model.prompts) == len(TEXTS) - 8
    assert sorted(label_studio.served()) == sorted(TEXTS)


def test_predict_answers_from_what_is_there_one_per_task_in_order(tools: Tools, model: ScriptedModel) -> None:
    connected(tools)
    asked = len(model.prompts)
    queue = expected_order([])
    tasks = [(task_id, {"text": TEXTS[task_id]}) for task_id in (queue[1], queue[0])]

    first, second = predict(tools, PROJECT, tasks, label_config=LABEL_CONFIG)

    assert len(model.prompts) == asked
    assert 0 < second["score"] < first["score"] < 1
    assert first["model_version"] == tools.store.fact(PROJECT, "version")


def test_predict_that_runs_out_of_time_answers_empty_and_is_filled_in_later(
    tools: Tools, label_studio: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected(tools)
    monkeypatch.setattr("backend.usecases.predict.ANSWER_WITHIN", 0.2)
    outside = next(task_id for task_id in TEXTS if task_id not in expected_order([]))

    [answer] = predict(tools, PROJECT, [(outside, {"text": TEXTS[outside]})], label_config=LABEL_CONFIG)
    assert answer["result"] == []
    assert answer["score"] == 1.0
    label_studio.add_prediction(PROJECT, answer["model_version"], NewPrediction(outside, [], answer["score"]))

    settle(tools)
    assert label_studio.served()[-1] == outside
    assert label_studio.shown(outside)


def test_a_correction_after_the_fact_counts_in_the_report(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    connected(tools)
    done = label_studio.served()[0]
    label_studio.annotate(done, gold(done))
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)
    assisted = report(tools, PROJECT).quality.assisted
    assert assisted is not None
    assert assisted.tasks == 1
    assert assisted.f1 == pytest.approx(2 / 3)


def test_secret_and_address_reach_the_webhook(
    tools: Tools, label_studio: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(label_studio, "secure_webhook", lambda project_id, **options: seen.update(options))
    connected(tools)
    assert seen["url"] == "http://backend:9090/webhook"
    assert seen["headers"][SECRET_HEADER] == "secret"
