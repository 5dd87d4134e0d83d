"""Audit, witnessed suggestions and the figures made of them: real Redis, a Label Studio in memory."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from projects import (
    FRUITS,
    PROJECT,
    AnyLabelStudio,
    FullModel,
    connected,
    entities,
    gold,
    make_tools,
    settle,
    spot_fruits,
)

from allabel_core import select
from allabel_core.metrics import score_entities
from backend.adapters.store import Store
from backend.app import create_app
from backend.labeling.label_config import parse_label_config
from backend.labeling.results import document_from_annotation
from backend.ports import ModelFailure
from backend.settings import read_settings
from backend.usecases.connect import register
from backend.usecases.consistency import inconsistencies, unmarked_elsewhere
from backend.usecases.events import Event, receive
from backend.usecases.explain import explain_queue, explain_task
from backend.usecases.figures import StageProgress
from backend.usecases.finish import finish
from backend.usecases.memory import SECRET_HEADER
from backend.usecases.predict import predict
from backend.usecases.report import report
from backend.usecases.review import review_list
from backend.usecases.tools import Tools
from backend.usecases.witness import AUDIT_VERSION
from fakes import LABEL_CONFIG

pytestmark = pytest.mark.slow

WORDS = [*FRUITS, "hen", "goat", "mole", "cat", "dog"]
TASKS = {
    100 + n: {"text": f"{WORDS[n % 10]} by the {WORDS[(3 * n + 1) % 10]} of house {n}"} for n in range(60)
}


def right(task_id: int) -> tuple[tuple[str, str], ...]:
    words = TASKS[task_id]["text"].split()
    return tuple((w, "Fruit" if w in FRUITS else "Animal") for w in dict.fromkeys((words[0], words[3])))


@pytest.fixture
def label_studio() -> AnyLabelStudio:
    return AnyLabelStudio(TASKS)


@pytest.fixture
def tools(store: Store, label_studio: AnyLabelStudio) -> Tools:
    """A model that knows fruits, and no animal."""
    kit = make_tools(store, label_studio, FullModel(spot_fruits), budget="30", audit=0.2, strategy="allabel")
    return connected(kit)


def annotate(tools: Tools, label_studio: AnyLabelStudio, count: int) -> list[int]:
    """The next tasks as they are served, one after the other."""
    served = []
    for _ in range(count):
        served.append(label_studio.served()[0])
        label_studio.annotate(served[-1], gold(label_studio, TASKS[served[-1]]["text"], *right(served[-1])))
        receive(tools, Event("ANNOTATION_CREATED", PROJECT))
        settle(tools)
    return served


def test_the_audit_stands_in_the_queue_and_the_others_keep_the_methods_order(
    tools: Tools, store: Store
) -> None:
    audit = store.audit(PROJECT)
    assert len(audit) == 6
    queue = store.queue(PROJECT)
    assert [entry.task_id for entry in queue if entry.stage == "audit"] == audit
    assert [place for place, entry in enumerate(queue) if entry.stage == "audit"] == [11, 15, 18, 21, 25, 28]
    others = [task_id for task_id in TASKS if task_id not in audit]
    order = select([TASKS[task_id]["text"] for task_id in others], 24).order
    assert [entry.task_id for entry in queue if entry.stage != "audit"] == [others[i] for i in order]


def test_the_queue_is_annotated_in_order_and_nothing_behind_it_moves(
    tools: Tools, store: Store, label_studio: AnyLabelStudio
) -> None:
    before = [entry.task_id for entry in store.queue(PROJECT)]
    assert annotate(tools, label_studio, 16) == before[:16]
    assert [entry.task_id for entry in store.queue(PROJECT)] == before[16:]
    stages = {stage.name: stage for stage in report(tools, PROJECT).stages}
    assert stages["audit"].done == 2
    assert stages["diversity"].done == 5
    assert sum(stage.done + stage.in_window + stage.to_come for stage in stages.values()) == 30


def test_what_was_annotated_before_does_not_count_as_the_first_tasks(
    store: Store, label_studio: AnyLabelStudio
) -> None:
    for task_id in list(TASKS)[:5]:
        label_studio.annotate(task_id, gold(label_studio, TASKS[task_id]["text"], *right(task_id)))
    tools = connected(make_tools(store, label_studio, FullModel(spot_fruits), budget="30", audit=0.2))
    assert [entry.stage == "audit" for entry in store.queue(PROJECT)[:12]] == [False] * 11 + [True]
    before = store.queue(PROJECT)
    assert annotate(tools, label_studio, 3) == [entry.task_id for entry in before[:3]]
    assert store.queue(PROJECT) == before[3:]


def test_an_audited_task_is_asked_about_and_shows_nothing(
    tools: Tools, store: Store, label_studio: AnyLabelStudio
) -> None:
    annotate(tools, label_studio, 8)
    audited = store.audit(PROJECT)[0]
    assert store.suggestions(PROJECT, [audited])[audited].result
    assert label_studio.shown(audited) == []
    # The last of the audit lies behind the window; whoever opens it must see nothing either.
    for task_id in (audited, store.audit(PROJECT)[-1]):
        [answer] = predict(tools, PROJECT, [(task_id, TASKS[task_id])], label_config=LABEL_CONFIG)
        assert answer["result"] == []
    others = [t for t in label_studio.served() if t not in store.audit(PROJECT)]
    assert any(label_studio.shown(task_id) for task_id in others)


def test_the_figures_are_those_of_what_was_suggested_before(
    tools: Tools, store: Store, label_studio: AnyLabelStudio
) -> None:
    served = annotate(tools, label_studio, 24)
    audit = set(store.audit(PROJECT))
    interface = parse_label_config(LABEL_CONFIG)

    def documents(task_ids: list[int]) -> tuple[list, list]:  # type: ignore[type-arg]
        suggested, submitted = [], []
        for task_id in task_ids:
            text = TASKS[task_id]["text"]
            fruits = [(word, label) for word, label in right(task_id) if label == "Fruit"]
            [annotation] = label_studio.annotations[task_id]
            suggested.append(document_from_annotation(interface, text, gold(label_studio, text, *fruits)))
            submitted.append(document_from_annotation(interface, text, annotation.result))
        return suggested, submitted

    quality = report(tools, PROJECT).quality
    for score, task_ids in (
        (quality.assisted, [t for t in served if t not in audit]),
        (quality.blind, [t for t in served if t in audit]),
    ):
        expected = score_entities(*documents(task_ids))
        assert score is not None
        assert (score.f1, score.precision, score.recall) == (
            expected.f1,
            expected.precision,
            expected.recall,
        )
        assert score.tasks == len(task_ids)
        assert score.low <= score.f1 <= score.high
    assert quality.difference is None, "five blind texts are too few to compare"
    assert {label.label: label.recall for label in quality.labels} == {"Fruit": 1.0, "Animal": 0.0}
    assert quality.seconds_per_task == 1.0


def test_where_it_is_not_known_what_was_shown_what_label_studio_noted_counts(
    tools: Tools, store: Store, label_studio: AnyLabelStudio
) -> None:
    store.redis.delete(f"allabel:project:{PROJECT}:shown")
    first = next(t for t in label_studio.served() if label_studio.shown(t))
    text = TASKS[first]["text"]
    label_studio.annotate(first, gold(label_studio, text, *right(first)))
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)
    assisted = report(tools, PROJECT).quality.assisted
    assert assisted is not None
    assert (assisted.tasks, assisted.f1) == (1, 1.0)
    assert report(tools, PROJECT).quality.untouched_share == 1.0


def test_the_audit_outlives_the_store(tools: Tools, store: Store, label_studio: AnyLabelStudio) -> None:
    annotate(tools, label_studio, 20)
    before = report(tools, PROJECT).quality
    assert before.blind is not None
    assert len(label_studio.versions_of_tasks()[AUDIT_VERSION]) == before.blind.tasks == 3
    audit, queue = store.audit(PROJECT), store.queue(PROJECT)
    store.redis.flushall()
    register(tools, PROJECT, backend_url="http://backend:9090", extra_params={})
    settle(tools)
    assert report(tools, PROJECT).quality == before
    assert store.audit(PROJECT) == audit
    assert store.queue(PROJECT) == queue


def test_suggestions_that_nobody_was_asked_for_are_not_counted(
    store: Store, label_studio: AnyLabelStudio
) -> None:
    down = FullModel(lambda prompt: ModelFailure("unreachable", "Nothing answers."))
    tools = connected(make_tools(store, label_studio, down, budget="30", audit=0.2))
    annotate(tools, label_studio, 5)
    found = report(tools, PROJECT)
    assert (found.quality.assisted, found.quality.blind) == (None, None)
    [error] = found.errors
    assert error.message == "Nothing answers."
    assert "address" in error.remedy


@pytest.mark.parametrize(("strategy", "stage"), [("coreset-warm", "coreset"), ("fast-votek", "votek")])
def test_a_strategy_with_another_ones_stage_is_one_stage(
    store: Store, label_studio: AnyLabelStudio, strategy: str, stage: str
) -> None:
    model = FullModel(spot_fruits)
    tools = connected(make_tools(store, label_studio, model, budget="6", window=2, strategy=strategy))
    annotate(tools, label_studio, 1)
    assert report(tools, PROJECT).stages == [StageProgress(stage, 1, 2, 3)]


def test_advice_waits_for_twenty_demonstrations(
    tools: Tools, store: Store, label_studio: AnyLabelStudio
) -> None:
    annotate(tools, label_studio, 19)
    advice = report(tools, PROJECT).advice
    assert (advice.verdict, advice.gain) == ("too_early", None)
    annotate(tools, label_studio, 6)
    advice = report(tools, PROJECT).advice
    assert advice.verdict in ("go_on", "stop")
    assert advice.gain is not None
    assert advice.expected_f1 is not None
    assert advice.basis == "assisted"
    assert advice.sentence.startswith(("Go on, because", "You can stop, because"))
    assert advice.minutes == pytest.approx(20 / 60)


def test_a_task_tells_what_was_changed(tools: Tools, store: Store, label_studio: AnyLabelStudio) -> None:
    served = annotate(tools, label_studio, 8)
    for task_id in served:
        found = explain_task(tools, PROJECT, task_id)
        assert found is not None
        assert found.state == "annotated"
        assert found.blind == (task_id in store.audit(PROJECT))
        changes = {change.words: change.change for change in found.changes}
        assert changes == {w: "kept" if label == "Fruit" else "added" for w, label in right(task_id)}
    waiting = explain_queue(tools, PROJECT, 1)[0]
    assert waiting.demonstrations
    assert {shown.task_id for shown in waiting.demonstrations} <= set(served)
    assert all(shown.similarity is not None for shown in waiting.demonstrations)


@pytest.mark.parametrize(("second", "kind"), [(1, "over time"), (2, "between annotators")])
def test_contradictions_are_listed(
    tools: Tools, label_studio: AnyLabelStudio, second: int, kind: str
) -> None:
    for task_id, label, annotator in ((100, "Fruit", 1), (110, "Animal", second)):
        marked = gold(label_studio, TASKS[task_id]["text"], ("apple", label))
        label_studio.annotate(task_id, marked, by=annotator)
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)
    [found] = inconsistencies(tools, PROJECT, 10)
    assert (found.words, found.kind, found.first.label, found.second.label) == (
        "apple",
        kind,
        "Fruit",
        "Animal",
    )
    for side in (found.first, found.second):
        assert side.context[side.start : side.end] == "apple"


def test_after_finish_the_review_list_is_what_label_studio_serves(
    store: Store, label_studio: AnyLabelStudio
) -> None:
    model = FullModel(lambda prompt: spot_fruits(prompt) if "house 7" not in str(prompt) else entities())
    tools = connected(make_tools(store, label_studio, model, budget="20", audit=0.2))
    annotate(tools, label_studio, 10)
    finish(tools, PROJECT)
    settle(tools)
    listed = review_list(tools, PROJECT, 100)
    assert len(listed) == len(TASKS) - 10
    errors = [task.expected_errors for task in listed]
    assert errors == sorted(errors, reverse=True)
    assert label_studio.served() == [task.task_id for task in listed]
    # Nothing is hidden any more, though the audit was not completed.
    left = set(store.suggestions(PROJECT, list(TASKS))) & {task.task_id for task in listed}
    assert all(label_studio.shown(t) == store.suggestions(PROJECT, [t])[t].result for t in left)


def test_words_left_unmarked_in_many_texts_are_offered(tools: Tools, label_studio: AnyLabelStudio) -> None:
    """Two people's worth of "apple", marked in some texts, left out in more."""
    apples = [t for t in TASKS if "apple" in TASKS[t]["text"].split()]
    for number, task_id in enumerate(apples[:6]):
        marks = [("apple", "Fruit")] if number < 2 else []
        label_studio.annotate(task_id, gold(label_studio, TASKS[task_id]["text"], *marks))
    receive(tools, Event("ANNOTATIONS_CREATED", PROJECT))
    settle(tools)
    [found] = unmarked_elsewhere(tools, PROJECT, 10)
    assert (found.words, found.label, found.marked, found.texts) == ("apple", "Fruit", 2, 4)
    assert [place.task_id for place in found.places] == apples[2:6]
    assert all(place.context[place.start : place.end] == "apple" for place in found.places)


def test_what_the_model_left_unmarked_is_offered_once_it_has_labelled_the_rest(
    store: Store, label_studio: AnyLabelStudio
) -> None:
    silent = FullModel(lambda prompt: entities())
    tools = connected(make_tools(store, label_studio, silent, budget="20", audit=0.0))
    annotate(tools, label_studio, 12)
    finish(tools, PROJECT)
    settle(tools)
    found = {each.words: each for each in unmarked_elsewhere(tools, PROJECT, 100)}
    assert found["apple"].label == "Fruit"
    assert found["apple"].texts > 3


def test_who_knows_the_webhook_s_secret_cannot_change_figures(
    tools: Tools, store: Store, label_studio: AnyLabelStudio
) -> None:
    done = annotate(tools, label_studio, 12)
    outside = next(t for t in TASKS if t not in label_studio.served() and t not in done)
    label_studio.annotate(outside, gold(label_studio, TASKS[outside]["text"], *right(outside)))
    number = label_studio.annotations[outside][-1].id
    settings = read_settings({})
    with TestClient(create_app(settings, tools), base_url="http://localhost:9090") as client:

        def forge(action: str, **more: object) -> None:
            event = {"action": action, "project": {"id": PROJECT}, **more}
            assert client.post("/webhook", json=event, headers={SECRET_HEADER: "secret"}).status_code == 202

        forge("ANNOTATION_CREATED", annotation={"id": 0})
        settle(tools)
        before = report(tools, PROJECT).quality
        forged = gold(label_studio, TASKS[outside]["text"], *right(outside))
        for each in (number, *range(1, 13)):
            forge("ANNOTATION_CREATED", annotation={"id": each, "prediction": {"result": forged}})
        forge("ANNOTATIONS_DELETED", annotations=[{"id": 1}])
        settle(tools)
        assert report(tools, PROJECT).quality == before
        forge("TASKS_DELETED", tasks=[{"id": task_id} for task_id in (done[0], done[5], outside)])
        settle(tools)
        assert report(tools, PROJECT).quality == before
