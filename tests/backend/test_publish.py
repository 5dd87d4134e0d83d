"""Publication by difference: what a person has open can be submitted, and there is always a next task."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from projects import PROJECT, connected, make_tools, settle, spot_fruits

from allabel_core.types import Document
from backend.adapters.store import Store
from backend.errors import LabelStudioUnreachableError
from backend.ports import NewPrediction, PlaceState, PredictionChange, Submission
from backend.usecases.board import sweep
from backend.usecases.connect import register
from backend.usecases.events import Event, receive
from backend.usecases.finish import finish
from backend.usecases.pace import Pace, front_size, measure_pace
from backend.usecases.places import RETIRED_VERSION
from backend.usecases.publish import publish
from backend.usecases.reset import reset
from backend.usecases.suggest import suggest
from backend.usecases.sync import sync
from backend.usecases.tools import Tools
from fakes import FakeLabelStudio, ScriptedModel

TEXTS = {
    100 + i: f"{('apple', 'pear', 'plum', 'cherry', 'quince')[i % 5]} number {i} of the {i * 7 % 11} trees"
    for i in range(60)
}


@pytest.fixture
def label_studio() -> FakeLabelStudio:
    found = FakeLabelStudio(TEXTS)
    found.day = date.today().isoformat()
    return found


@pytest.fixture
def tools(store: Store, label_studio: FakeLabelStudio) -> Tools:
    return connected(make_tools(store, label_studio, ScriptedModel(spot_fruits), budget="30", window=8))


def region(text: str, word: str, label: str) -> dict[str, Any]:
    start = text.index(word)
    value = {"start": start, "end": start + len(word), "text": word, "labels": [label]}
    return {"id": word, "from_name": "label", "to_name": "text", "type": "labels", "value": value}


def annotate(tools: Tools, label_studio: FakeLabelStudio, task_id: int) -> None:
    text = label_studio.texts[task_id]
    label_studio.annotate(task_id, [region(text, text.split()[0], "Animal")])
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)


def versions(label_studio: FakeLabelStudio) -> set[str]:
    return set(label_studio.versions_of_tasks())


def test_a_page_that_stays_open_over_many_publications_can_be_submitted(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    opened = label_studio.served()[:2]
    seen = {task_id: label_studio.current()[task_id] for task_id in opened}
    begun = int(tools.store.fact(PROJECT, "publications") or 0)
    for task_id in label_studio.served()[2:8]:
        annotate(tools, label_studio, task_id)
    assert int(tools.store.fact(PROJECT, "publications") or 0) >= begun + 3

    for task_id in opened:
        label_studio.submit_opened(task_id, seen[task_id].id, [], seconds=60.0)
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)
    assert set(opened) <= {shown.task_id for shown in tools.store.demonstrations(PROJECT)}


def test_an_annotation_costs_few_calls_and_none_that_deletes(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    annotate(tools, label_studio, label_studio.served()[0])
    label_studio.calls.clear()
    for _ in range(5):
        annotate(tools, label_studio, label_studio.served()[0])
    dear = {
        "point_at_version",
        "import_predictions",
        "delete_version",
        "delete_prediction",
        "versions",
        "predictions",
    }
    assert not dear & set(label_studio.calls)
    assert label_studio.calls.count("add_prediction") == 0


def test_a_figure_goes_by_what_was_there_when_the_page_was_opened(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    task_id = label_studio.served()[5]
    seen = label_studio.current()[task_id]
    assert seen.result
    label_studio.clock += 100
    made = tools.store.suggestions(PROJECT, [task_id])[task_id]
    tools.store.save_suggestions(PROJECT, [replace(made, result=[], regions=[])])
    publish(tools, PROJECT)
    assert label_studio.shown(task_id) == []

    label_studio.submit_opened(task_id, seen.id, [], seconds=90.0)
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)
    witness = tools.store.witness(PROJECT, task_id)
    assert witness is not None
    assert witness.result == seen.result


def test_a_place_that_was_still_empty_when_it_was_opened_counts_as_no_suggestion(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    task_id = label_studio.served()[-1]
    opened = label_studio.current()[task_id]
    assert opened.result == []
    label_studio.submit_opened(task_id, opened.id, [], seconds=5.0)
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)
    witness = tools.store.witness(PROJECT, task_id)
    assert witness is not None
    assert witness.result is None


def test_what_was_made_of_another_models_prediction_says_nothing_of_ours(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    task_id = label_studio.served()[0]
    foreign = label_studio.add_prediction(PROJECT, "another", NewPrediction(task_id, [], 0.5))
    label_studio.submit_opened(task_id, foreign.id, [], seconds=5.0)
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)
    witness = tools.store.witness(PROJECT, task_id)
    assert witness is not None
    assert witness.result is None


def test_there_is_a_next_task_as_long_as_there_is_budget(tools: Tools, label_studio: FakeLabelStudio) -> None:
    """Nobody ranks or suggests meanwhile: people are quicker than the worker."""
    served = []
    while nxt := label_studio.served():
        served.append(nxt[0])
        label_studio.annotate(nxt[0], [])
    queue = [*served[:8], *reversed(served[8:])]
    assert len(served) == 30
    assert queue == tools.store.queue_order(PROJECT)


def test_a_task_for_two_annotators_stays_until_both_have_done_it(
    store: Store, label_studio: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.usecases.publish.MOST_CHANGES", 3)
    label_studio.known = replace(label_studio.known, overlap=2)
    tools = connected(make_tools(store, label_studio, ScriptedModel(spot_fruits), budget="30", window=8))
    begun = label_studio.served()[:4]
    seen = {task_id: label_studio.shown(task_id) for task_id in begun}
    for task_id in begun:
        annotate(tools, label_studio, task_id)
    assert {task_id: label_studio.shown(task_id) for task_id in begun} == seen

    before = label_studio.known.model_version
    tools.store.save_settings(PROJECT, replace(tools.store.settings(PROJECT), strategy="allabel"))
    tools.store.mark_dirty(PROJECT, "tasks")
    settle(tools)
    assert label_studio.known.model_version != before
    assert {task_id: label_studio.shown(task_id) for task_id in begun} == seen


def test_another_order_altogether_is_a_version_of_its_own_and_the_old_one_stays_for_open_pages(
    tools: Tools, label_studio: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.usecases.publish.MOST_CHANGES", 3)
    before = label_studio.known.model_version
    opened = label_studio.current()[label_studio.served()[0]]
    tools.store.save_settings(PROJECT, replace(tools.store.settings(PROJECT), strategy="allabel"))
    tools.store.mark_dirty(PROJECT, "tasks")
    settle(tools)

    after = label_studio.known.model_version
    assert after != before
    assert versions(label_studio) == {before, after}
    label_studio.submit_opened(opened.task_id, opened.id, [], seconds=60.0)
    sweep(tools, PROJECT)
    assert before in versions(label_studio)
    sweep(tools, PROJECT, grace=-1.0)
    assert versions(label_studio) == {after}


def test_retired_predictions_are_swept_after_the_grace_and_leave_no_orphans(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    skipped = label_studio.served()[0]
    label_studio.annotate(skipped, [], cancelled=True)
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)
    assert skipped in label_studio.versions_of_tasks()[RETIRED_VERSION]
    assert skipped not in label_studio.served()
    sweep(tools, PROJECT)
    assert RETIRED_VERSION in versions(label_studio)
    sweep(tools, PROJECT, grace=-1.0)
    assert versions(label_studio) == {label_studio.known.model_version}
    ids = {place.prediction_id for place in tools.store.board(PROJECT).values()}
    assert ids == label_studio.stored.keys()


def test_an_annotation_that_is_deleted_brings_its_task_back_with_the_same_prediction(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    task_id = label_studio.served()[0]
    before = label_studio.current()[task_id].id
    annotate(tools, label_studio, task_id)
    del label_studio.annotations[task_id]
    receive(tools, Event("ANNOTATIONS_DELETED", PROJECT))
    settle(tools)
    assert task_id in label_studio.served()
    assert label_studio.current()[task_id].id == before


@pytest.mark.parametrize("how", ["one", "all"])
def test_predictions_deleted_by_hand_are_made_again(
    tools: Tools, label_studio: FakeLabelStudio, how: str
) -> None:
    served, front = label_studio.served(), label_studio.front()
    if how == "one":
        label_studio.delete_prediction(label_studio.current()[served[2]].id)
    else:
        label_studio.delete_version(PROJECT, label_studio.known.model_version)
        label_studio.known = replace(label_studio.known, model_version="")
    tools.store.mark_dirty(PROJECT, "reconcile")
    settle(tools)
    assert label_studio.served() == served
    assert label_studio.front() == front
    assert label_studio.known.model_version == tools.store.fact(PROJECT, "version")


def test_a_prediction_that_vanishes_before_it_is_changed_is_made_again(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    task_id = label_studio.served()[5]
    label_studio.delete_prediction(label_studio.current()[task_id].id)
    made = tools.store.suggestions(PROJECT, [task_id])[task_id]
    tools.store.save_suggestions(PROJECT, [replace(made, result=[], regions=[])])
    publish(tools, PROJECT)
    settle(tools)
    assert task_id in label_studio.served()


@pytest.mark.parametrize("change", [{"model_version": "another"}, {"sampling": "Sequential sampling"}])
def test_what_somebody_sets_otherwise_is_set_back(
    tools: Tools, label_studio: FakeLabelStudio, change: dict[str, Any]
) -> None:
    before = label_studio.known
    label_studio.known = replace(label_studio.known, **change)
    receive(tools, Event("PROJECT_UPDATED", PROJECT))
    settle(tools)
    assert label_studio.known.model_version == before.model_version
    assert label_studio.known.sampling == before.sampling


def test_places_doubled_by_two_workers_become_one(tools: Tools, label_studio: FakeLabelStudio) -> None:
    task_id = label_studio.served()[0]
    kept = label_studio.current()[task_id]
    double = label_studio.add_prediction(PROJECT, "another", NewPrediction(task_id, [], 0.1))
    label_studio.change_prediction(PredictionChange(double.id, model_version=kept.model_version))
    tools.store.mark_dirty(PROJECT, "reconcile")
    settle(tools)
    assert label_studio.stored[double.id].model_version == RETIRED_VERSION
    assert label_studio.stored[kept.id].model_version == kept.model_version
    sweep(tools, PROJECT, grace=-1.0)
    assert double.id not in label_studio.stored


def test_a_foreign_version_with_a_name_like_ours_is_left_alone(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    name = "allabel-" + "9" * 30
    label_studio.add_prediction(PROJECT, name, NewPrediction(next(iter(TEXTS)), [], 0.5))
    tools.store.mark_dirty(PROJECT, "reconcile")
    settle(tools)
    sweep(tools, PROJECT, grace=-1.0)
    assert versions(label_studio) == {label_studio.known.model_version, name}


CALLS = [
    "project",
    "import_predictions",
    "point_at_version",
    "predictions",
    "change_prediction",
    "add_prediction",
]


@pytest.mark.parametrize("step", CALLS)
@pytest.mark.parametrize("after", [False, True])
def test_a_first_publication_that_breaks_off_anywhere_is_made_good(
    store: Store, label_studio: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    tools = make_tools(store, label_studio, ScriptedModel(spot_fruits), budget="30", window=8)
    calls = itertools.count()
    right = getattr(label_studio, step)

    def breaks_off(*args: Any, **options: Any) -> Any:
        broken = next(calls) == 1
        if broken and not after:
            raise LabelStudioUnreachableError("Label Studio does not answer.")
        done = right(*args, **options)
        if broken:
            raise LabelStudioUnreachableError("Label Studio does not answer.")
        return done

    monkeypatch.setattr(label_studio, step, breaks_off)
    register(tools, PROJECT, backend_url="http://backend:9090", extra_params={})
    for _ in range(60):
        if tools.store.dirty(PROJECT)[0]:
            sync(tools, PROJECT)
        elif tools.store.unclaimed(PROJECT) > 0:
            with suppress(LabelStudioUnreachableError):
                suggest(tools, PROJECT)
    version = label_studio.known.model_version
    assert version == tools.store.fact(PROJECT, "version")
    assert versions(label_studio) == {version}
    assert len(label_studio.served()) == 30
    assert label_studio.front() == tools.store.queue_order(PROJECT)[:8]


def test_a_redis_that_was_emptied_finds_the_places_again(tools: Tools, label_studio: FakeLabelStudio) -> None:
    annotate(tools, label_studio, label_studio.served()[0])
    before = dict(label_studio.stored)
    tools.store.redis.flushall()
    tools.store.beat("a worker")
    connected(tools)
    assert label_studio.stored.keys() == before.keys()
    assert len(label_studio.served()) == 29


def test_after_finish_every_task_has_its_labels_and_what_was_open_can_be_submitted(
    tools: Tools, label_studio: FakeLabelStudio
) -> None:
    opened = label_studio.current()[label_studio.served()[0]]
    finish(tools, PROJECT)
    settle(tools)
    assert len(label_studio.served()) == 60
    assert all(label_studio.shown(task_id) for task_id in label_studio.served())
    label_studio.submit_opened(opened.task_id, opened.id, [], seconds=60.0)


def test_reset_takes_away_what_was_retired_as_well(tools: Tools, label_studio: FakeLabelStudio) -> None:
    label_studio.annotate(label_studio.served()[0], [], cancelled=True)
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)
    assert any(place.state is PlaceState.RETIRED for place in tools.store.board(PROJECT).values())
    reset(tools, PROJECT)
    assert label_studio.stored == {}


def test_the_front_follows_the_pace(tools: Tools) -> None:
    assert front_size(tools, PROJECT) == 8
    tools.store.set_facts(PROJECT, people=20, annotations_ahead=30)
    assert front_size(tools, PROJECT) == 120
    tools.store.set_facts(PROJECT, people=50, annotations_ahead=300)
    assert front_size(tools, PROJECT) == 200


def submitted(seconds_ago: float, annotator: int, now: datetime) -> Submission:
    at = (now - timedelta(seconds=seconds_ago)).isoformat()
    return Submission(1, 1, at, annotator, 5.0, Document("", ()), True)


def test_the_pace_is_that_of_the_last_quarter_of_an_hour() -> None:
    now = datetime.now(UTC)
    made = [
        submitted(seconds, annotator, now) for seconds, annotator in ((1000, 3), (600, 1), (300, 2), (0, 1))
    ]
    pace = measure_pace(made, now.timestamp(), sync_seconds=1.0)
    assert pace.people == 2
    assert pace.annotations == pytest.approx(3 / 600 * 6, rel=0.01)
    assert measure_pace(made[:1], now.timestamp(), 1.0) == Pace()
    assert measure_pace([], now.timestamp(), 1.0) == Pace()
