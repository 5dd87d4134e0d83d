"""Suggestions that learn from every annotation: a real Redis, a Label Studio in memory, a scripted model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import projects
import pytest
from projects import FRUITS, PROJECT, connected, entities, gold, make_tools, spot_fruits

from allabel_core.errors import InvalidInputError
from allabel_core.prompting import Prompt
from backend.adapters.store import Store
from backend.ports import Suggestion
from backend.usecases import learn as learn_module
from backend.usecases.connect import register
from backend.usecases.events import Event, receive
from backend.usecases.explain import explain_task
from backend.usecases.finish import finish
from backend.usecases.learn import learn
from backend.usecases.predict import predict
from backend.usecases.report import report
from backend.usecases.suggest import suggest
from backend.usecases.sync import sync
from backend.usecases.tools import Tools
from fakes import FakeLabelStudio, ScriptedModel

ANIMALS = ("cat", "dog", "hen", "goat", "mole")
TEXTS = {100 + i: f"The {ANIMALS[i % 5]} number {i} ate a {FRUITS[i * 3 % 5]} at noon" for i in range(60)}


def settle(tools: Tools) -> None:
    projects.settle(tools, learning=True)


def marked(task_id: int) -> list[tuple[str, str]]:
    words = TEXTS[task_id].split()
    return [(words[1], "Animal"), (words[6], "Fruit")]


def annotate(tools: Tools, label_studio: FakeLabelStudio, number: int) -> list[int]:
    """The next tasks as a person would, one at a time."""
    done = label_studio.served()[:number]
    for task_id in done:
        label_studio.annotate(task_id, gold(label_studio, TEXTS[task_id], *marked(task_id)))
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)
    return done


def words(label_studio: FakeLabelStudio, task_id: int) -> list[tuple[str, str]]:
    return [
        (item["value"]["text"], item["value"]["labels"][0])
        for item in label_studio.shown(task_id)
        if item["type"] == "labels"
    ]


def made(tools: Tools, task_id: int) -> Suggestion:
    return tools.store.suggestions(PROJECT, [task_id])[task_id]


@pytest.fixture
def label_studio() -> FakeLabelStudio:
    return FakeLabelStudio(TEXTS)


def project(store: Store, label_studio: FakeLabelStudio, model: Any, **settings: Any) -> Tools:
    return connected(make_tools(store, label_studio, model, budget="50", **settings))


def test_without_a_model_suggestions_come_from_the_fifth_annotation_on(
    store: Store, label_studio: FakeLabelStudio
) -> None:
    tools = project(store, label_studio, None)
    assert report(tools, PROJECT).state == "ready"
    assert report(tools, PROJECT).problem == ""
    annotate(tools, label_studio, 4)
    assert not any(label_studio.shown(task_id) for task_id in label_studio.served())
    annotate(tools, label_studio, 1)
    front = label_studio.front()
    assert len(front) == 8
    assert all(words(label_studio, task_id) == marked(task_id) for task_id in front)
    assert report(tools, PROJECT).state == "ready"
    assert report(tools, PROJECT).problem == ""
    assert tools.store.errors(PROJECT) == []


def test_without_a_model_what_nobody_suggested_is_not_measured(
    store: Store, label_studio: FakeLabelStudio
) -> None:
    tools = project(store, label_studio, None)
    early = annotate(tools, label_studio, 5)
    late = annotate(tools, label_studio, 3)
    witnesses = tools.store.witnesses(PROJECT)
    assert [witnesses[task_id].result for task_id in early] == [None] * 5
    assert all(len(witnesses[task_id].result or ()) == 2 for task_id in late)
    assert all("tagger" in because for because in witnesses[late[0]].sources.values())
    quality = report(tools, PROJECT).quality
    assert quality.assisted is not None
    assert (quality.assisted.tasks, quality.assisted.f1) == (3, 1.0)


def test_without_a_model_the_rest_is_labelled_in_parts(
    store: Store, label_studio: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("learned", "plan", "suggest"):
        monkeypatch.setattr(f"backend.usecases.{module}.AT_ONCE", 7)
    tools = project(store, label_studio, None)
    annotate(tools, label_studio, 5)
    finish(tools, PROJECT)
    settle(tools)
    assert report(tools, PROJECT).state == "finished"
    assert len(label_studio.served()) == 55
    assert all(words(label_studio, task_id) == marked(task_id) for task_id in label_studio.served())
    # What people correct afterwards changes no other label.
    before = tools.store.suggester_version(PROJECT)
    annotate(tools, label_studio, 2)
    assert tools.store.suggester_version(PROJECT) == before


def test_without_a_model_a_project_without_annotations_can_be_finished(
    store: Store, label_studio: FakeLabelStudio
) -> None:
    tools = project(store, label_studio, None)
    finish(tools, PROJECT)
    settle(tools)
    assert report(tools, PROJECT).state == "finished"


def test_without_a_model_label_studio_is_answered_at_once(
    store: Store, label_studio: FakeLabelStudio
) -> None:
    tools = project(store, label_studio, None)
    annotate(tools, label_studio, 5)
    front = label_studio.front()[0]
    data = {"text": label_studio.texts[front]}
    (answer,) = predict(tools, PROJECT, [(front, data)], label_config=label_studio.known.label_config)
    assert answer["result"] == label_studio.shown(front)


def test_a_place_has_suggestions_before_the_model_has_answered_which_then_joins(
    store: Store, label_studio: FakeLabelStudio
) -> None:
    """The model finds the fruits, the annotations have taught the animals."""
    tools = project(store, label_studio, ScriptedModel(spot_fruits), k=1)
    annotate(tools, label_studio, 5)
    old = set(tools.store.suggested(PROJECT))
    for task_id in label_studio.served()[:3]:
        label_studio.annotate(task_id, gold(label_studio, TEXTS[task_id], *marked(task_id)))
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    assert sync(tools, PROJECT)
    new = [task_id for task_id in label_studio.front() if task_id not in old]
    assert new
    assert all(made(tools, task_id).answer is None for task_id in new)
    assert all(words(label_studio, task_id) == marked(task_id) for task_id in new)
    assert set(new) <= set(tools.store.wanted(PROJECT))
    settle(tools)
    for task_id in new:
        answer = made(tools, task_id).answer
        assert answer is not None
        assert [item["value"]["labels"] for item in answer.regions] == [["Fruit"]]


def test_the_models_answer_and_the_annotations_are_joined_from_twenty_texts_on(
    store: Store, label_studio: FakeLabelStudio
) -> None:
    tools = project(store, label_studio, ScriptedModel(spot_fruits), k=0)
    for _ in range(8):
        annotate(tools, label_studio, 3)
    front = label_studio.front()
    assert all(words(label_studio, task_id) == marked(task_id) for task_id in front)
    worth = report(tools, PROJECT).sources
    assert worth is not None
    assert worth.texts >= 20
    assert worth.joined is not None
    assert worth.model is not None
    assert worth.joined > worth.model
    suggestion = made(tools, front[-1])
    assert suggestion.evidence == "joined"
    assert {because.split(";")[0] for because in suggestion.sources.values()} == {
        "tagger",
        "model and tagger",
    }
    assert suggestion.expected_errors is not None
    witnessed = tools.store.witnesses(PROJECT).values()
    assert all(each.answered is not None for each in witnessed)


def test_an_annotation_changes_suggestions_without_asking_the_model_again(
    store: Store, label_studio: FakeLabelStudio
) -> None:
    model = ScriptedModel(lambda _: entities())
    tools = project(store, label_studio, model, k=0)
    annotate(tools, label_studio, 22)
    before = tools.store.suggester_version(PROJECT)
    model.prompts.clear()
    annotate(tools, label_studio, 1)
    assert tools.store.suggester_version(PROJECT) != before
    assert len(model.prompts) == 1
    assert all(made(tools, t).learned == tools.store.suggester_version(PROJECT) for t in label_studio.front())


def test_what_somebody_has_open_stays_as_it_is(store: Store, label_studio: FakeLabelStudio) -> None:
    tools = project(store, label_studio, ScriptedModel(spot_fruits), k=0)
    opened = label_studio.front()[0]
    seen = label_studio.shown(opened)
    assert seen
    for task_id in label_studio.front()[1:7]:
        label_studio.annotate(task_id, gold(label_studio, TEXTS[task_id], *marked(task_id)))
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)
    assert tools.store.suggester_version(PROJECT)
    assert label_studio.shown(opened) == seen


def test_an_answer_that_comes_while_suggestions_are_joined_is_not_lost(store: Store) -> None:
    old = Suggestion(1, [], "", [])
    answered = replace(old, recipe="asked", result=[{"id": "x", "score": 1.0}])
    store.save_suggestions(PROJECT, [answered])
    store.replace_suggestions(PROJECT, [(old, replace(old, learned="v"))])
    assert store.suggestions(PROJECT, [1])[1] == answered
    store.replace_suggestions(PROJECT, [(answered, replace(answered, learned="v"))])
    assert store.suggestions(PROJECT, [1])[1].learned == "v"


def test_a_ranking_that_waits_comes_before_the_learning_of_arbiters(
    store: Store, label_studio: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = project(store, label_studio, None)
    for task_id in label_studio.served()[:21]:
        label_studio.annotate(task_id, gold(label_studio, TEXTS[task_id], *marked(task_id)))
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    assert sync(tools, PROJECT)
    with monkeypatch.context() as patched:
        patched.setattr(store, "due_projects", lambda: [2])
        learn(tools, PROJECT)
    assert tools.suggesters[PROJECT][1].tagger is not None
    assert tools.suggesters[PROJECT][1].learned is None
    assert store.to_learn() == [PROJECT]
    learn(tools, PROJECT)
    assert tools.suggesters[PROJECT][1].learned is not None
    assert store.to_learn() == []


def test_learning_that_fails_is_told_and_stops_nothing(
    store: Store, label_studio: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = project(store, label_studio, None)

    def fails(*_: object, **__: object) -> None:
        raise ValueError("a text")

    monkeypatch.setattr(learn_module.Suggester, "train", fails)
    annotate(tools, label_studio, 5)
    assert store.to_learn() == []
    assert any("unforeseen" in each.message for each in store.errors(PROJECT))
    assert "a text" not in store.errors(PROJECT)[0].message
    assert label_studio.served()
    monkeypatch.undo()
    annotate(tools, label_studio, 1)
    assert any(label_studio.shown(task_id) for task_id in label_studio.front())


def test_relations_and_rare_labels_stay_the_models(store: Store, label_studio: FakeLabelStudio) -> None:
    def reply(_: Prompt) -> str:
        return entities(("noon", "Fruit"))

    tools = project(store, label_studio, ScriptedModel(reply), k=0, occurrences="all")
    for task_id in label_studio.served()[:21]:
        label_studio.annotate(task_id, gold(label_studio, TEXTS[task_id], marked(task_id)[0]))
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)
    for task_id in label_studio.front():
        assert words(label_studio, task_id) == [marked(task_id)[0], ("noon", "Fruit")]


def test_a_task_tells_who_proposes_each_span(store: Store, label_studio: FakeLabelStudio) -> None:
    tools = project(store, label_studio, ScriptedModel(spot_fruits), k=0)
    for _ in range(8):
        annotate(tools, label_studio, 3)
    task_id = label_studio.front()[-1]

    def told() -> dict[str, str]:
        found = explain_task(tools, PROJECT, task_id)
        assert found is not None
        assert [(each.words, each.label) for each in found.proposed] == marked(task_id)
        assert all(each.confidence is not None for each in found.proposed)
        return {each.label: each.sources for each in found.proposed}

    before = told()
    assert before["Animal"].startswith("tagger; lexicon: marked ")
    assert before["Fruit"].startswith("model and tagger; lexicon: marked ")
    label_studio.annotate(task_id, gold(label_studio, TEXTS[task_id], *marked(task_id)))
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)
    assert all("tagger; lexicon: marked " in sources for sources in told().values())
    store.save_audit(PROJECT, [label_studio.front()[0]])
    blind = explain_task(tools, PROJECT, label_studio.front()[0])
    assert blind is not None
    assert blind.proposed == []


def test_a_dictionary_suggests_before_the_first_annotation(
    store: Store, label_studio: FakeLabelStudio
) -> None:
    tools = make_tools(store, label_studio, None)
    terms = "# fruits\n" + "".join(f"{fruit.upper()}\tFruit\n" for fruit in FRUITS) + "at noon\tTime\n"
    register(tools, PROJECT, backend_url="", extra_params={"dictionary": terms})
    settle(tools)
    for task_id in label_studio.front():
        assert words(label_studio, task_id) == [marked(task_id)[1]]
        assert list(made(tools, task_id).sources.values()) == ["dictionary"]
    assert "Time" in store.errors(PROJECT)[0].message
    register(tools, PROJECT, backend_url="", extra_params={"dictionary": "noon\tFruit"})
    settle(tools)
    assert {tuple(words(label_studio, task_id)) for task_id in label_studio.front()} == {(("noon", "Fruit"),)}


@pytest.mark.parametrize("content", ["apple", "apple\t", "\tFruit", "apple\tFruit\tmore"])
def test_a_dictionary_that_cannot_be_read_is_refused(
    store: Store, label_studio: FakeLabelStudio, content: str
) -> None:
    tools = make_tools(store, label_studio, None)
    with pytest.raises(InvalidInputError, match="Line 2 of the dictionary"):
        register(tools, PROJECT, backend_url="", extra_params={"dictionary": f"# mine\n{content}"})


def test_a_redis_that_was_emptied_learns_again(store: Store, label_studio: FakeLabelStudio) -> None:
    tools = project(store, label_studio, None)
    annotate(tools, label_studio, 6)
    before = tools.store.suggester_version(PROJECT)
    store.redis.flushall()
    settle(connected(make_tools(store, label_studio, None, budget="50")))
    assert store.suggester_version(PROJECT) == before


def test_a_worker_with_work_left_lets_suggestions_wait_for_no_learning(
    store: Store, label_studio: FakeLabelStudio
) -> None:
    """Suggestions of a job that began before learning ended are joined by the sync after it."""
    tools = project(store, label_studio, ScriptedModel(spot_fruits), k=0)
    for task_id in label_studio.served()[:6]:
        label_studio.annotate(task_id, gold(label_studio, TEXTS[task_id], *marked(task_id)))
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    assert sync(tools, PROJECT)
    assert store.to_learn() == [PROJECT]
    while store.unclaimed(PROJECT):
        suggest(tools, PROJECT)
    settle(tools)
    assert all(made(tools, t).learned for t in label_studio.front())
