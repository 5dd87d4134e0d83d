"""A page stays open while others annotate and the product publishes; what is done in it then is saved.

``make test-pace`` annotates fifty texts in a row at 4 and at 15 seconds each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from editor import (
    draw,
    draw_until_saved_as_draft,
    label_all_tasks,
    open_annotated_task,
    open_task,
    press_skip,
    press_submit,
    press_update,
    shown,
)
from playwright.sync_api import Page

from backend.adapters.label_studio_person import OpenPage
from backend.demo.sample import LABEL_CONFIG
from stack import SAMPLES, Stack, beside, nearly_gold

TEXTS = [document for document in SAMPLES if len(document.spans) >= 3]
PUBLICATIONS = 3
PACES = os.environ.get("ALLABEL_TEST_PACE", "5x3")
"""Texts x seconds, several separated by commas."""

edited = pytest.mark.parametrize("edit", [False, True], ids=["unedited", "edited"])


@pytest.fixture(scope="module")
def quick(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with beside(stack, tmp_path_factory.mktemp("quick"), nearly_gold) as running:
        yield running


@pytest.fixture
def project(quick: Stack, request: pytest.FixtureRequest) -> Iterator[int]:
    """Connected, with a queue of suggestions."""
    project_id = connected(quick, request.node.name)
    yield project_id
    quick.raw("DELETE", f"api/projects/{project_id}/")


def connected(quick: Stack, title: str, texts: int = 40, **settings: Any) -> int:
    project_id = quick.client.create_project(title[:50], LABEL_CONFIG.read_text())
    quick.add_tasks(project_id, TEXTS[:texts])
    if overlap := settings.pop("maximum_annotations", None):
        quick.raw("PATCH", f"api/projects/{project_id}/", json={"maximum_annotations": overlap})
    quick.connect(project_id, **{"budget": "30", "window": 6, "k": 2, "audit": 0} | settings)
    return project_id


def others_annotate(quick: Stack, project_id: int, *spared: int) -> None:
    """Until the product has published at least three times; the ``spared`` tasks are left alone."""
    publications = 0
    before = published(quick, project_id)
    tasks = iter(quick.queue(project_id)[1:])
    while publications < PUBLICATIONS:
        if (task_id := next(tasks)) in spared:
            continue
        quick.annotate(task_id)
        quick.wait_for(lambda done=task_id: done not in quick.queue(project_id))
        quick.settle(project_id)
        now = published(quick, project_id)
        publications += now != before
        before = now


def published(quick: Stack, project_id: int) -> dict[int, tuple[Any, ...]]:
    """Everything about the project's predictions that a publication could have changed."""
    found = quick.raw("GET", "api/predictions/", params={"project": project_id})
    return {
        each["id"]: (each["task"], each["model_version"], each["score"], str(each["result"]))
        for each in found
    }


def annotation(quick: Stack, answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = quick.raw("GET", f"api/annotations/{answer.json()['id']}/")
    return found


def values(regions: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((r["value"]["start"], r["value"]["end"], *r["value"]["labels"]) for r in regions)


def assert_noted_is_what_was_seen(
    quick: Stack, stored: dict[str, Any], prediction: int | None, seen: list[dict[str, Any]]
) -> None:
    assert stored["parent_prediction"] == prediction
    kept = quick.raw("GET", f"api/predictions/{prediction}/")
    assert values(kept["result"]) == values(seen)


@edited
def test_submit_saves(page: Page, quick: Stack, project: int, edit: bool) -> None:
    task_id = label_all_tasks(page, project)
    prediction, seen = shown(page)
    assert seen
    others_annotate(quick, project, task_id)
    if edit:
        draw(page)
    _, done = shown(page)
    answer = press_submit(page)
    assert answer.status == 201, answer.text()
    stored = annotation(quick, answer)
    assert stored["task"] == task_id
    assert values(stored["result"]) == values(done)
    assert len(done) == len(seen) + edit
    assert_noted_is_what_was_seen(quick, stored, prediction, seen)


@edited
def test_skip_saves(page: Page, quick: Stack, project: int, edit: bool) -> None:
    task_id = label_all_tasks(page, project)
    prediction, seen = shown(page)
    others_annotate(quick, project, task_id)
    if edit:
        draw(page)
    answer = press_skip(page)
    assert answer.status == 201, answer.text()
    stored = annotation(quick, answer)
    assert (stored["task"], stored["was_cancelled"]) == (task_id, True)
    assert_noted_is_what_was_seen(quick, stored, prediction, seen)


def test_update_saves(page: Page, quick: Stack, project: int) -> None:
    """Of an annotation made from a suggestion, in a page that was open meanwhile."""
    task_id = label_all_tasks(page, project)
    prediction, _ = shown(page)
    made = press_submit(page)
    assert made.status == 201, made.text()
    quick.settle(project)
    open_annotated_task(page, project, task_id)
    others_annotate(quick, project, task_id)
    draw(page)
    _, done = shown(page)
    answer = press_update(page)
    assert answer.status == 200, answer.text()
    stored = annotation(quick, made)
    assert values(stored["result"]) == values(done)
    assert stored["parent_prediction"] == prediction


def test_a_draft_is_saved_returned_to_and_submitted(page: Page, quick: Stack, project: int) -> None:
    task_id = label_all_tasks(page, project)
    first = draw_until_saved_as_draft(page)
    others_annotate(quick, project, task_id)
    second = draw_until_saved_as_draft(page)
    others_annotate(quick, project, task_id)
    assert label_all_tasks(page, project) == task_id, "an opened task comes back"
    page.wait_for_function("() => window.Htx.annotationStore.selected.regions.length > 1")
    _, returned = shown(page)
    assert {first, second} <= {region["value"]["text"] for region in returned}
    others_annotate(quick, project, task_id)
    answer = press_submit(page)
    assert answer.status == 201, answer.text()
    assert values(annotation(quick, answer)["result"]) == values(returned)
    assert quick.raw("GET", f"api/tasks/{task_id}/drafts") == []


@edited
@pytest.mark.parametrize("place", ["front", "behind the window"])
def test_quick_view_saves(page: Page, quick: Stack, project: int, edit: bool, place: str) -> None:
    task_id = quick.queue(project)[0 if place == "front" else 20]
    open_task(page, project, task_id)
    prediction, seen = shown(page)
    assert prediction
    others_annotate(quick, project, task_id)
    if edit:
        draw(page)
    answer = press_submit(page)
    assert answer.status == 201, answer.text()
    stored = annotation(quick, answer)
    assert stored["parent_prediction"] == prediction
    if place == "front":
        assert_noted_is_what_was_seen(quick, stored, prediction, seen)


def test_quick_view_offers_one_suggestion_whatever_was_published(
    page: Page, quick: Stack, project: int
) -> None:
    others_annotate(quick, project)
    for task_id in quick.queue(project)[:3]:
        open_task(page, project, task_id)
        assert page.evaluate("() => window.Htx.annotationStore.predictions.length") == 1


def test_tasks_as_displayed_are_saved_too(page: Page, quick: Stack, project: int) -> None:
    """What a link with ``labeling=1`` opens in a browser that has not labelled before."""
    with page.expect_response(lambda answer: "id=next_task" in answer.url) as served:
        page.goto(f"/projects/{project}/data?labeling=1")
    page.get_by_label("Submit current annotation").wait_for()
    task_id = served.value.json()["id"]
    assert served.value.json()["queue"] == "Data manager queue"
    others_annotate(quick, project, task_id)
    draw(page)
    answer = press_submit(page)
    assert answer.status == 201, answer.text()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("pace", PACES.split(","))
def test_texts_in_a_row_at_a_persons_pace(page: Page, quick: Stack, pace: str) -> None:
    texts, seconds = map(float, pace.split("x"))
    project_id = connected(quick, f"Pace {pace}", texts=int(texts) + 30, budget=str(int(texts) + 20))
    refused = []
    label_all_tasks(page, project_id)
    for _ in range(int(texts)):
        prediction, seen = shown(page)
        page.wait_for_timeout(1000 * seconds)
        draw(page)
        with page.expect_response(lambda answer: "id=next_task" in answer.url) as following:
            answer = press_submit(page)
            if answer.status != 201:
                refused.append(answer.text())
                page.reload()
        if answer.status == 201:
            assert_noted_is_what_was_seen(quick, annotation(quick, answer), prediction, seen)
        assert following.value.ok, "there is no next task"
        page.wait_for_function(
            "id => window.Htx.task?.id === id && window.Htx.annotationStore.selected",
            arg=following.value.json()["id"],
        )
    assert refused == []
    quick.settle(project_id)
    assert len(quick.tools.store.demonstrations(project_id)) == texts


def test_the_simulated_person_sends_what_the_page_sends(page: Page, quick: Stack, project: int) -> None:
    with page.expect_response(lambda answer: "id=next_task" in answer.url) as served:
        label_all_tasks(page, project)
    draw_until_saved_as_draft(page)
    _, done = shown(page)
    sent = press_submit(page).request.post_data_json
    opened = OpenPage.showing(served.value.json(), served.value.json()["predictions"])
    opened.draft_id = sent["draft_id"]
    ours = opened.submission([{**region} for region in done], sent["lead_time"])
    assert sent.pop("started_at")[:10] == ours.pop("started_at")[:10]
    assert opened.draft_id > 0
    assert ours == sent


def test_a_second_annotator_gets_the_suggestions_too(quick: Stack) -> None:
    project_id = connected(quick, "Two a task", budget="8", maximum_annotations=2)
    second = quick.colleague("second")
    done = []
    for _ in range(6):
        served = quick.client.next_task(project_id)
        assert served is not None
        quick.annotate(served[0])
        done.append(served[0])
        quick.settle(project_id)
    seen = []
    for _ in range(6):
        served = second.next_task(project_id)
        assert served is not None
        task_id, predictions = served
        assert [each["model_version"] for each in predictions] == [
            quick.client.project(project_id).model_version
        ]
        assert predictions[0]["result"], f"task {task_id} has lost its suggestion"
        second.submit_annotation(task_id, quick.gold_result(task_id), 3.0)
        seen.append(task_id)
        quick.settle(project_id)
    assert set(seen) == set(done)
    second.close()


def test_predictions_that_a_person_retrieved_stay(quick: Stack) -> None:
    project_id = connected(quick, "Retrieved", texts=20, budget="10", window=3)
    selected = {"all": True, "excluded": []}
    quick.raw(
        "POST",
        "api/dm/actions/",
        params={"id": "retrieve_tasks_predictions", "project": project_id},
        json={"selectedItems": selected, "project": project_id, "ordering": []},
    )
    assert len(suggested(quick, project_id)) == 20
    for _ in range(3):
        served = quick.client.next_task(project_id)
        assert served is not None
        quick.annotate(served[0])
        quick.wait_for(lambda done=served[0]: done not in quick.queue(project_id))
        quick.settle(project_id)
        assert len(suggested(quick, project_id)) == 20


def suggested(quick: Stack, project_id: int) -> set[int]:
    """The tasks with a suggestion that is not empty."""
    found = quick.raw("GET", "api/predictions/", params={"project": project_id})
    return {each["task"] for each in found if each["result"]}
