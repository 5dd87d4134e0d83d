"""A page stays open while others annotate and the product publishes; what is done in it then is saved.

``make test-pace`` annotates fifty texts in a row at 4 and at 15 seconds each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from editor import (
    draw,
    draw_until_saved_as_draft,
    label_all_tasks,
    label_as_displayed,
    logged_in,
    of_colleague,
    open_task,
    press_skip,
    press_submit,
    press_update,
    shown,
    shows,
)
from playwright.sync_api import Browser, Page

from backend.adapters.label_studio_person import OpenPage
from backend.demo.sample import LABEL_CONFIG
from stack import SAMPLES, Stack, beside, nearly_gold, sign_up

TEXTS = [document for document in SAMPLES if len(document.spans) >= 3]
PUBLICATIONS = 3
PACES = os.environ.get("ALLABEL_TEST_PACE", "5x3")
"""Texts x seconds, several separated by commas."""

IN_THE_STREAM = ("submit unedited", "submit edited", "skip unedited", "skip edited", "draft", "as displayed")
IN_QUICK_VIEW = ("view unedited", "view edited", "view far unedited", "view far edited")


@pytest.fixture(scope="module")
def quick(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with beside(stack, tmp_path_factory.mktemp("quick"), nearly_gold) as running:
        yield running


@dataclass(frozen=True)
class Open:
    """A page as it was when it was opened; ``draft``: the word drawn then and saved as a draft."""

    page: Page
    task_id: int
    prediction: int | None
    seen: list[dict[str, Any]]
    draft: str = ""


@pytest.fixture(scope="module")
def project(quick: Stack) -> int:
    return connected(quick, "Staying open", window=12, budget="35")


@pytest.fixture(scope="module")
def pages(browser: Browser, quick: Stack, project: int) -> Iterator[dict[str, Open]]:
    """Pages of several people, all opened before the product has published three times."""
    opened: dict[str, Open] = {}
    for name in IN_THE_STREAM:
        person = sign_up(quick.label_studio, f"{name.replace(' ', '-')}@example.com")
        person.client.close()
        page = of_colleague(browser, quick.label_studio, person)
        task = (label_as_displayed if name == "as displayed" else label_all_tasks)(page, project)
        prediction, seen = shown(page)
        word = draw_until_saved_as_draft(page) if name == "draft" else ""
        opened[name] = Open(page, task["id"], prediction, seen, word)
    page = logged_in(browser, quick.label_studio)
    queue = quick.queue(project)
    for name, place in zip(IN_QUICK_VIEW, (8, 9, 30, 31), strict=True):
        page = page.context.new_page()
        open_task(page, project, queue[place])
        opened[name] = Open(page, queue[place], *shown(page))
    opened["update"] = open_what_was_just_annotated(quick, page.context.new_page(), project, queue[10])
    others_annotate(quick, project, *(each.task_id for each in opened.values()))
    yield opened
    for each in opened.values():
        each.page.close()


def open_what_was_just_annotated(quick: Stack, page: Page, project_id: int, task_id: int) -> Open:
    open_task(page, project_id, task_id)
    prediction, seen = shown(page)
    assert press_submit(page).status == 201
    open_task(page, project_id, task_id)
    return Open(page, task_id, prediction, seen)


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


def annotation(quick: Stack, number: int) -> dict[str, Any]:
    found: dict[str, Any] = quick.raw("GET", f"api/annotations/{number}/")
    return found


def values(regions: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((r["value"]["start"], r["value"]["end"], *r["value"]["labels"]) for r in regions)


def submitted(quick: Stack, opened: Open, *, edit: bool) -> dict[str, Any]:
    """The annotation as it is stored."""
    word = draw(opened.page) if edit else ""
    _, done = shown(opened.page)
    answer = press_submit(opened.page)
    assert answer.status == 201, answer.text()
    stored = annotation(quick, answer.json()["id"])
    assert stored["task"] == opened.task_id
    assert values(stored["result"]) == values(done)
    assert not word or word in {region["value"]["text"] for region in stored["result"]}
    return stored


def assert_noted_is_what_was_seen(quick: Stack, project_id: int, *done: tuple[dict[str, Any], Open]) -> None:
    """Of stored annotations and their pages: Label Studio has the prediction, the product its regions."""
    store = quick.tools.store
    for stored, opened in done:
        assert stored["parent_prediction"] == opened.prediction is not None
        quick.wait_for(lambda task=stored["task"]: task in store.witnesses(project_id))
        noted = store.witnesses(project_id)[stored["task"]].result
        assert noted is not None
        assert values(noted) == values(opened.seen)


@pytest.mark.parametrize("name", ["submit unedited", "submit edited"])
def test_submit_saves(quick: Stack, project: int, pages: dict[str, Open], name: str) -> None:
    stored = submitted(quick, pages[name], edit="unedited" not in name)
    assert_noted_is_what_was_seen(quick, project, (stored, pages[name]))


@pytest.mark.parametrize("name", ["skip unedited", "skip edited"])
def test_skip_saves(quick: Stack, pages: dict[str, Open], name: str) -> None:
    opened = pages[name]
    if "unedited" not in name:
        draw(opened.page)
    answer = press_skip(opened.page)
    assert answer.status == 201, answer.text()
    stored = annotation(quick, answer.json()["id"])
    assert (stored["task"], stored["was_cancelled"]) == (opened.task_id, True)
    assert stored["parent_prediction"] == opened.prediction is not None


def test_update_saves(quick: Stack, pages: dict[str, Open]) -> None:
    opened = pages["update"]
    draw(opened.page)
    _, done = shown(opened.page)
    answer = press_update(opened.page)
    assert answer.status == 200, answer.text()
    stored = annotation(quick, answer.json()["id"])
    assert values(stored["result"]) == values(done)
    assert stored["parent_prediction"] == opened.prediction


def test_a_draft_is_saved_returned_to_and_submitted(
    quick: Stack, project: int, pages: dict[str, Open]
) -> None:
    opened = pages["draft"]
    page = opened.page
    second = draw_until_saved_as_draft(page)
    assert label_all_tasks(page, project)["id"] == opened.task_id, "an opened task comes back"
    page.wait_for_function("() => window.Htx.annotationStore.selected.regions.length > 1")
    _, returned = shown(page)
    assert {opened.draft, second} <= {region["value"]["text"] for region in returned}
    answer = press_submit(page)
    assert answer.status == 201, answer.text()
    assert values(annotation(quick, answer.json()["id"])["result"]) == values(returned)
    assert quick.raw("GET", f"api/tasks/{opened.task_id}/drafts") == []


@pytest.mark.parametrize("name", [*IN_QUICK_VIEW, "as displayed"])
def test_what_was_opened_out_of_turn_is_saved(quick: Stack, pages: dict[str, Open], name: str) -> None:
    stored = submitted(quick, pages[name], edit="unedited" not in name)
    assert stored["parent_prediction"] == pages[name].prediction


def test_quick_view_offers_the_suggestion_of_now(page: Page, quick: Stack, project: int) -> None:
    version = quick.client.project(project).model_version
    for task_id in quick.queue(project)[:3]:
        open_task(page, project, task_id)
        prediction, _ = shown(page)
        offered = quick.raw("GET", f"api/predictions/{prediction}/")
        assert (offered["task"], offered["model_version"]) == (task_id, version)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("pace", PACES.split(","))
def test_texts_in_a_row_at_a_persons_pace(page: Page, quick: Stack, pace: str) -> None:
    texts, seconds = map(float, pace.split("x"))
    project_id = connected(quick, f"Pace {pace}", texts=int(texts) + 30, budget=str(int(texts) + 20))
    done, refused = [], []
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
            stored = annotation(quick, answer.json()["id"])
            done.append((stored, Open(page, stored["task"], prediction, seen)))
        shows(page, following.value)
    assert refused == []
    quick.settle(project_id)
    assert len(quick.tools.store.demonstrations(project_id)) == texts
    assert_noted_is_what_was_seen(quick, project_id, *done)


def test_the_simulated_person_sends_what_the_page_sends(page: Page, quick: Stack, project: int) -> None:
    task = label_all_tasks(page, project)
    draw_until_saved_as_draft(page)
    _, done = shown(page)
    sent = press_submit(page).request.post_data_json
    opened = OpenPage.showing(task, task["predictions"])
    opened.draft_id = sent["draft_id"]
    ours = opened.submission([{**region} for region in done], sent["lead_time"])
    assert sent.pop("started_at")[:10] == ours.pop("started_at")[:10]
    assert opened.draft_id > 0
    assert ours == sent


def test_a_second_annotator_gets_the_suggestions_too(quick: Stack) -> None:
    project_id = connected(quick, "Two a task", budget="8", maximum_annotations=2)
    second = sign_up(quick.label_studio, "second@example.com").client
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
    # Label Studio asks about no task that has a place; the empty ones are filled as they come to the front.
    retrieved = suggested(quick, project_id)
    assert len(retrieved) >= 13
    for _ in range(3):
        served = quick.client.next_task(project_id)
        assert served is not None
        quick.annotate(served[0])
        quick.wait_for(lambda done=served[0]: done not in quick.queue(project_id))
        quick.settle(project_id)
        assert suggested(quick, project_id) >= retrieved


def suggested(quick: Stack, project_id: int) -> set[int]:
    """The tasks with a suggestion that is not empty."""
    found = quick.raw("GET", "api/predictions/", params={"project": project_id})
    return {each["task"] for each in found if each["result"]}
