"""What the model is asked, and what it is spared: edits, re-rankings, caps, its own uncertainty."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace

import pytest
from projects import (
    FRUITS,
    PROJECT,
    AnyLabelStudio,
    FullModel,
    asked_text,
    connected,
    entities,
    gold,
    make_tools,
    settle,
    spot_fruits,
)

from allabel_core import select
from allabel_core.prompting import Prompt
from backend.adapters.llm import OpenAiModel
from backend.adapters.llm_config import LlmConfig
from backend.adapters.llm_store import RedisKeyValue
from backend.adapters.store import Store
from backend.ports import Answer, ModelFailure
from backend.usecases import suggest as suggest_module
from backend.usecases.connect import register
from backend.usecases.events import Event, receive
from backend.usecases.finish import finish
from backend.usecases.preannotator import MOST_KEPT, Preannotator
from backend.usecases.report import report
from backend.usecases.suggest import suggest
from backend.usecases.sync import sync
from backend.usecases.tools import Tools
from scripted_llm import ScriptedLlm

pytestmark = pytest.mark.slow

PEOPLE, SIDES = "ABCDEFGH", ("salt", "honey", "cream")
TEXTS = {n: f"{PEOPLE[n % 8]} eats one {FRUITS[n % 5]} with {SIDES[n % 3]} on day {n}" for n in range(1, 41)}


@pytest.fixture
def label_studio() -> AnyLabelStudio:
    return AnyLabelStudio({n: {"text": text} for n, text in TEXTS.items()})


@pytest.fixture
def model() -> FullModel:
    return FullModel(spot_fruits)


def annotate(label_studio: AnyLabelStudio, *task_ids: int, label: str = "Fruit") -> None:
    for task_id in task_ids:
        word = next(word for word in FRUITS if word in TEXTS[task_id])
        label_studio.annotate(task_id, gold(label_studio, TEXTS[task_id], (word, label)))


def asked(model: FullModel) -> list[int]:
    """The tasks asked about, in order."""
    return [int(asked_text(prompt).rsplit(" ", 1)[1]) for prompt in model.prompts]


def changed(tools: Tools, action: str = "ANNOTATION_UPDATED") -> None:
    receive(tools, Event(action, PROJECT))
    settle(tools)


def test_a_re_ranking_that_leaves_demonstrations_unchanged_costs_no_call(
    store: Store, label_studio: AnyLabelStudio, model: FullModel
) -> None:
    tools = connected(make_tools(store, label_studio, model))
    annotate(label_studio, *label_studio.served()[:4])
    changed(tools)
    model.prompts.clear()
    rankings = int(store.fact(PROJECT, "rankings") or 0)

    label_studio.texts[99] = ""
    label_studio.data[99] = {"text": "Zebra quagga okapi, unlike all others on day 99"}
    changed(tools, "TASKS_CREATED")
    assert int(store.fact(PROJECT, "rankings") or 0) > rankings
    assert set(asked(model)) <= {99}, "only the new text was asked about"


def test_only_texts_whose_demonstrations_change_are_asked_again(
    store: Store, label_studio: AnyLabelStudio, model: FullModel
) -> None:
    tools = connected(make_tools(store, label_studio, model, k=1))
    annotate(label_studio, *label_studio.served()[:6])
    changed(tools)
    before = store.suggestions(PROJECT, list(TEXTS))
    model.prompts.clear()
    annotate(label_studio, new := label_studio.served()[0])
    changed(tools)

    after = store.suggestions(PROJECT, list(TEXTS))
    window = [entry.task_id for entry in store.queue(PROJECT)][:8]
    moved = {t for t in window if t in before and before[t].demonstrations != after[t].demonstrations}
    assert set(asked(model)) == moved | (set(window) - before.keys())
    assert all(after[task_id].demonstrations == [new] for task_id in moved)
    assert len(asked(model)) < 8


@pytest.mark.parametrize("deleted", [False, True])
def test_predictions_that_used_an_edited_or_deleted_annotation_are_made_anew(
    store: Store, label_studio: AnyLabelStudio, model: FullModel, deleted: bool
) -> None:
    tools = connected(make_tools(store, label_studio, model, k=1))
    annotate(label_studio, *label_studio.served()[:6])
    changed(tools)
    edited = store.suggestions(PROJECT, label_studio.served())[label_studio.served()[0]].demonstrations[0]
    used = {t for t, made in store.suggestions(PROJECT, list(TEXTS)).items() if edited in made.demonstrations}
    finished = copy.deepcopy({t: a for t, a in label_studio.annotations.items() if t != edited})
    model.prompts.clear()

    del label_studio.annotations[edited]
    if not deleted:
        annotate(label_studio, edited, label="Animal")
    changed(tools, "ANNOTATIONS_DELETED" if deleted else "ANNOTATION_UPDATED")

    open_window = {entry.task_id for entry in store.queue(PROJECT)[:8]}
    assert used & open_window <= set(asked(model))
    assert not set(asked(model)) & finished.keys()
    assert {t: label_studio.annotations[t] for t in finished} == finished
    for task_id, made in store.suggestions(PROJECT, list(TEXTS)).items():
        if task_id not in label_studio.annotations and deleted:
            assert edited not in made.demonstrations
    if not deleted:
        texts = [message.content for prompt in model.prompts for message in prompt.messages[2:-1:2]]
        assert any('"Animal"' in text for text in texts)


def test_after_finish_an_edit_reaches_every_prediction_that_used_it_and_no_other(
    store: Store, label_studio: AnyLabelStudio, model: FullModel
) -> None:
    tools = connected(make_tools(store, label_studio, model, k=1))
    annotate(label_studio, *label_studio.served()[:6])
    changed(tools)
    finish(tools, PROJECT)
    settle(tools)
    assert store.fact(PROJECT, "state") == "finished"
    found = store.suggestions(PROJECT, list(TEXTS))
    edited = found[label_studio.served()[0]].demonstrations[0]
    used = {t for t in label_studio.served() if found[t].demonstrations == [edited]}
    finished = {t: a for t, a in label_studio.annotations.items() if t != edited}
    model.prompts.clear()

    del label_studio.annotations[edited]
    annotate(label_studio, edited, label="Animal")
    changed(tools)
    assert sorted(asked(model)) == sorted(used)
    assert store.fact(PROJECT, "state") == "finished"
    assert {t: label_studio.annotations[t] for t in finished} == finished


def test_finish_uses_all_annotations_and_later_ones_send_nothing_back(
    store: Store, label_studio: AnyLabelStudio, model: FullModel
) -> None:
    tools = connected(make_tools(store, label_studio, model, k=1))
    annotate(label_studio, *label_studio.served()[:6])
    changed(tools)
    finish(tools, PROJECT)
    settle(tools)
    for task_id, made in store.suggestions(PROJECT, label_studio.served()).items():
        assert made.corpus == 6, task_id
    model.prompts.clear()
    annotate(label_studio, *label_studio.served()[:3])
    changed(tools, "ANNOTATION_CREATED")
    assert model.prompts == []

    finish(tools, PROJECT)
    settle(tools)
    assert model.prompts, "asked to finish again, it uses what has been annotated since"


def test_an_answer_that_is_never_readable_does_not_keep_finish_from_ending(
    store: Store, label_studio: AnyLabelStudio
) -> None:
    model = FullModel(lambda prompt: "I would rather not.")
    tools = connected(make_tools(store, label_studio, model))
    finish(tools, PROJECT)
    settle(tools)
    assert store.fact(PROJECT, "state") == "finished"
    assert len(model.prompts) == len(TEXTS)


def test_a_reached_cap_is_said_with_the_remedy_and_work_resumes_when_it_is_raised(
    store: Store, label_studio: AnyLabelStudio, model: FullModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggest_module, "TRY_AGAIN_SECONDS", 0.0)
    remedy = "Project 1 has spent 5; one more call could exceed its cap of 5 (MAX_COST). Raise it to go on."
    paid = 0

    def until_the_cap(prompt: Prompt) -> str | ModelFailure:
        nonlocal paid
        paid += 1
        return spot_fruits(prompt) if paid <= 10 else ModelFailure("budget", remedy)

    model.reply = until_the_cap
    tools = connected(make_tools(store, label_studio, model))
    kept = store.suggestions(PROJECT, list(TEXTS))
    finish(tools, PROJECT)
    sync(tools, PROJECT)
    suggest(tools, PROJECT)

    assert store.fact(PROJECT, "state") == "capped"
    assert report(tools, PROJECT).problem == remedy
    store.mark_dirty(PROJECT, "reconcile")
    sync(tools, PROJECT)
    assert store.fact(PROJECT, "state") == "capped"
    assert "MAX_COST" in label_studio.known.description
    assert {t: store.suggestions(PROJECT, list(TEXTS))[t] for t in kept} == kept

    model.reply = spot_fruits
    settle(tools)
    assert store.fact(PROJECT, "state") == "finished"
    assert report(tools, PROJECT).problem == ""
    assert all(made.regions for made in store.suggestions(PROJECT, label_studio.served()).values())


def test_a_preannotator_is_kept_until_something_changes(
    store: Store, label_studio: AnyLabelStudio, model: FullModel
) -> None:
    tools = connected(make_tools(store, label_studio, model))
    first = Preannotator.of_project(tools, PROJECT)
    assert Preannotator.of_project(tools, PROJECT) is first
    annotate(label_studio, label_studio.served()[0])
    changed(tools)
    second = Preannotator.of_project(tools, PROJECT)
    assert second is not first
    store.set_facts(PROJECT, instructions="Mark fruits.")
    assert Preannotator.of_project(tools, PROJECT) is not second
    for other in range(2, 2 + MOST_KEPT):
        store.set_facts(other, label_config=label_studio.known.label_config)
        Preannotator.of_project(tools, other)
    assert PROJECT not in tools.preannotators
    assert len(tools.preannotators) == MOST_KEPT


UNSURE = 0.2


def doubtful(prompt: Prompt) -> Answer:
    """Sure of every text but those with honey."""
    said = spot_fruits(prompt)
    each = math.log(UNSURE if "honey" in asked_text(prompt) else 0.99)
    return Answer(said, logprobs=tuple((letter, each) for letter in said))


def stage_three(store: Store) -> list[int]:
    return [entry.task_id for entry in store.queue(PROJECT) if entry.stage == "uncertainty"]


@pytest.mark.parametrize("uncertainty", ["model", "both"])
def test_stage_three_goes_by_what_the_model_is_unsure_of(
    store: Store, label_studio: AnyLabelStudio, uncertainty: str
) -> None:
    model = FullModel(doubtful)
    tools = connected(
        make_tools(store, label_studio, model, window=5, strategy="allabel", uncertainty=uncertainty)
    )
    assert len(model.prompts) == 5, "while stage 3 is far off, nothing more is asked than otherwise"

    while not (stage := [entry.stage for entry in store.queue(PROJECT)[:5]]) or "uncertainty" not in stage:
        annotate(label_studio, *label_studio.served()[:4])
        changed(tools, "ANNOTATIONS_CREATED")
    open_tasks = set(TEXTS) - label_studio.annotations.keys()
    assert open_tasks <= set(asked(model)), "every text is asked about, once"
    found = store.suggestions(PROJECT, list(open_tasks))
    doubts = {t: 1 - (found[t].certainty or 0) for t in open_tasks}
    assert {round(doubts[t], 2) for t in open_tasks} == {0.01, 0.8}

    ids = list(TEXTS)
    done = sorted(label_studio.annotations, key=lambda t: label_studio.annotations[t][0].created_at)
    expected = select(
        list(TEXTS.values()),
        20,
        annotated=[ids.index(t) for t in done],
        weakness=[doubts.get(t, 0.0) for t in ids],
        combine_weakness=uncertainty == "both",
    )
    assert [entry.task_id for entry in store.queue(PROJECT)] == [ids[i] for i in expected.order[len(done) :]]
    words = "texts that the model is least sure of" if uncertainty == "model" else "weakest texts"
    assert all(words in entry.words for entry in store.queue(PROJECT) if entry.stage == "uncertainty")

    model.prompts.clear()
    annotate(label_studio, label_studio.served()[0])
    changed(tools, "ANNOTATION_CREATED")
    assert len(asked(model)) <= 5, "the others are not asked again"


def test_without_a_judgement_of_the_model_stage_three_goes_by_similarity(
    store: Store, label_studio: AnyLabelStudio
) -> None:
    model = FullModel(lambda prompt: entities())
    tools = connected(
        make_tools(store, label_studio, model, window=20, strategy="allabel", uncertainty="model")
    )
    assert set(asked(model)) == set(TEXTS)
    ids = list(TEXTS)
    expected = select(list(TEXTS.values()), 20)
    assert [entry.task_id for entry in store.queue(PROJECT)] == [ids[i] for i in expected.order]
    assert json.loads(json.dumps(report(tools, PROJECT).rejected)) == {}


def test_a_text_that_fails_in_one_part_keeps_what_it_had(
    store: Store, label_studio: AnyLabelStudio, model: FullModel
) -> None:
    tools = connected(make_tools(store, label_studio, model))
    first = label_studio.served()[0]
    before = store.suggestions(PROJECT, [first])[first]
    model.reply = lambda prompt: ModelFailure("timeout", "No answer in time (OPENAI_TIMEOUT).")
    label_studio.known = replace(label_studio.known, instructions="Mark fruits.")
    receive(tools, Event("PROJECT_UPDATED", PROJECT))
    sync(tools, PROJECT)
    suggest(tools, PROJECT)
    assert store.suggestions(PROJECT, [first])[first] == before
    assert first in store.wanted(PROJECT)


def test_a_cap_on_tokens_through_the_real_adapter(
    store: Store, label_studio: AnyLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at the cap, raised by a new worker: no text is paid for twice."""
    monkeypatch.setattr(suggest_module, "TRY_AGAIN_SECONDS", 0.0)
    with ScriptedLlm() as server:
        server.say = lambda request: entities(("pear", "Fruit"))
        config = LlmConfig(model="m", base_url=server.url, api_style="chat", max_tokens=1200)
        kept = RedisKeyValue(store.redis)
        model = OpenAiModel(config, kept)
        model.check()
        tools = replace(make_tools(store, label_studio, None, k=0), model=model)
        register(tools, PROJECT, backend_url="", extra_params={})
        sync(tools, PROJECT)
        for _ in range(3):
            suggest(tools, PROJECT)
        assert store.fact(PROJECT, "state") == "capped"
        assert "(MAX_TOKENS). Raise it to go on." in report(tools, PROJECT).problem
        paid = report(tools, PROJECT).spending
        assert 1 < paid.calls < 8
        assert paid.prompt_tokens + paid.completion_tokens <= 1200

        raised = replace(tools, model=OpenAiModel(replace(config, max_tokens=1_000_000), kept))
        settle(raised)
        assert store.fact(PROJECT, "state") == "ready"
        assert report(raised, PROJECT).spending.calls == 8
