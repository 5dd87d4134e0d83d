"""The whole loop on a real Label Studio, Redis, RQ worker and language model."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from allabel_core import select
from backend.errors import LabelStudioRejectedError
from backend.usecases.memory import DESCRIPTION_MARK, SECRET_HEADER
from stack import ROOT, SAMPLES, Stack, log_of

SETTINGS = {"budget": "16", "window": 12, "k": 2, "strategy": "allabel"}


@pytest.fixture(scope="module")
def project(stack: Stack) -> int:
    """A connected project that the tests of this module use one after the other."""
    project_id = stack.project("Loop", SAMPLES[:80])
    stack.connect(project_id, **SETTINGS)
    return project_id


def expected(stack: Stack, project_id: int, annotated: list[int]) -> list[int]:
    texts = stack.tools.store.texts(project_id)
    ids = list(texts)
    order = select(list(texts.values()), 16, k=2, annotated=[ids.index(task) for task in annotated]).order
    return [ids[index] for index in order[len(annotated) :]]


def test_connecting_sets_the_project_up(stack: Stack, project: int) -> None:
    found = stack.client.project(project)
    version = stack.tools.store.fact(project, "version")
    assert found.sampling == "Uncertainty sampling"
    assert found.model_version == version
    # A place for every task of the budget, the window with suggestions.
    assert stack.client.versions(project) == {version: 16}
    assert f"{DESCRIPTION_MARK}0 of 16 annotations done." in found.description
    [backend] = stack.client.backends(project)
    assert backend.version == version
    assert not backend.error
    [hook] = stack.client.webhooks(project)
    assert hook.url == f"{stack.backend.base_url}/webhook"
    assert hook.headers[SECRET_HEADER] == stack.tools.webhook_secret
    tabs = stack.raw("GET", "api/dm/views/", params={"project": project})
    assert [tab["data"]["title"] for tab in tabs].count("ALLabel queue") == 1


def test_connecting_again_changes_nothing(stack: Stack, project: int) -> None:
    before = (stack.client.project(project), stack.client.webhooks(project), stack.client.versions(project))
    stack.connect(project, **SETTINGS)
    after = (stack.client.project(project), stack.client.webhooks(project), stack.client.versions(project))
    assert after == before


def test_label_studio_serves_the_queue_in_order_while_it_is_annotated(stack: Stack, project: int) -> None:
    queue = stack.queue(project)
    assert queue == expected(stack, project, [])
    rankings = int(stack.tools.store.fact(project, "rankings") or 0)
    served = []
    for _ in range(10):
        found = stack.client.next_task(project)
        assert found is not None
        task_id, predictions = found
        served.append(task_id)
        assert [p["model_version"] for p in predictions] == [stack.client.project(project).model_version]
        stack.annotate(task_id)
    assert served == queue[:10]
    stack.settle(project)
    assert int(stack.tools.store.fact(project, "rankings") or 0) > rankings
    assert stack.queue(project) == expected(stack, project, served) == queue[10:]


def test_annotations_are_demonstrations_at_once(stack: Stack, project: int) -> None:
    store = stack.tools.store
    annotated = [shown.task_id for shown in store.demonstrations(project)]
    assert len(annotated) == 10
    front = store.suggestions(project, stack.queue(project))
    assert front
    for suggestion in front.values():
        assert len(suggestion.demonstrations) == 2
        assert set(suggestion.demonstrations) <= set(annotated)


def test_suggestions_stand_at_their_words(stack: Stack, project: int) -> None:
    tasks = stack.raw("GET", "api/tasks/", params={"project": project, "fields": "all", "page_size": 100})
    regions = [
        (task["data"]["text"], region["value"])
        for task in tasks["tasks"]
        for prediction in task["predictions"]
        for region in prediction["result"]
    ]
    assert regions
    for text, value in regions:
        assert text[value["start"] : value["end"]] == value["text"]


def test_new_tasks_enter_the_ranking(stack: Stack, project: int) -> None:
    stack.add_tasks(project, SAMPLES[80:90])
    stack.wait_for(lambda: len(stack.tools.store.texts(project)) == 90)
    stack.settle(project)
    annotated = [shown.task_id for shown in stack.tools.store.demonstrations(project)]
    assert stack.queue(project) == expected(stack, project, annotated)


def test_a_deleted_task_leaves_queue_and_store(stack: Stack, project: int) -> None:
    gone = stack.queue(project)[0]
    stack.raw("DELETE", f"api/tasks/{gone}/")
    stack.wait_for(lambda: gone not in stack.tools.store.texts(project))
    stack.settle(project)
    assert gone not in stack.queue(project)


def test_a_hundred_events_in_a_second_are_one_or_two_rankings_never_none(stack: Stack, project: int) -> None:
    rankings = int(stack.tools.store.fact(project, "rankings") or 0)
    event = {"action": "ANNOTATION_UPDATED", "project": {"id": project}}
    headers = {SECRET_HEADER: stack.tools.webhook_secret}
    with (
        httpx.Client(base_url=stack.backend.base_url, headers=headers) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = list(pool.map(lambda _: client.post("/webhook", json=event).status_code, range(100)))
    assert answers == [202] * 100
    stack.settle(project)
    assert 1 <= int(stack.tools.store.fact(project, "rankings") or 0) - rankings <= 2


def test_two_projects_do_not_mix(stack: Stack, project: int) -> None:
    other = stack.project("Beside", SAMPLES[90:115])
    stack.connect(other, budget="5", window=5, k=2)
    assert set(stack.queue(other)) <= set(stack.tools.store.texts(other))
    assert not set(stack.tools.store.texts(other)) & set(stack.tools.store.texts(project))
    assert stack.tools.store.demonstrations(other) == []
    task_id = stack.queue(other)[0]
    before = stack.queue(project)
    stack.annotate(task_id)
    stack.wait_for(lambda: stack.tools.store.demonstrations(other))
    stack.settle(other)
    assert stack.queue(project) == before


def test_lost_webhooks_are_made_good(stack: Stack, project: int) -> None:
    hook = stack.raw("GET", "api/webhooks/", params={"project": project})[0]
    stack.raw("PATCH", f"api/webhooks/{hook['id']}/", json={"is_active": False, "url": hook["url"]})
    task_id = stack.queue(project)[0]
    stack.annotate(task_id)
    stack.wait_for(
        lambda: task_id in [shown.task_id for shown in stack.tools.store.demonstrations(project)], seconds=90
    )
    stack.settle(project)
    stack.raw("PATCH", f"api/webhooks/{hook['id']}/", json={"is_active": True, "url": hook["url"]})


def test_start_training_ranks_while_there_is_budget_then_finishes(stack: Stack) -> None:
    project_id = stack.project("Finish", SAMPLES[115:135])
    stack.connect(project_id, budget="3", window=5, k=2)
    [backend] = stack.raw("GET", "api/ml/", params={"project": project_id})
    rankings = int(stack.tools.store.fact(project_id, "rankings") or 0)
    stack.raw("POST", f"api/ml/{backend['id']}/train")
    stack.wait_for(lambda: int(stack.tools.store.fact(project_id, "rankings") or 0) > rankings)

    annotated = stack.queue(project_id)
    assert len(annotated) == 3
    for task_id in annotated:
        stack.annotate(task_id)
    stack.wait_for(lambda: stack.tools.store.fact(project_id, "state") == "budget_used")
    stack.wait_for(lambda: "The budget is used up" in stack.client.project(project_id).description)

    stack.raw("POST", f"api/ml/{backend['id']}/train")
    stack.wait_for(lambda: stack.tools.store.fact(project_id, "state") == "finished", seconds=240)
    rest = set(stack.tools.store.texts(project_id)) - set(annotated)
    version = stack.client.project(project_id).model_version
    labelled = [
        each.task_id for each in stack.client.predictions(project_id) if each.model_version == version
    ]
    assert len(labelled) == len(set(labelled))
    assert rest <= set(labelled)


def test_predict_for_a_task_outside_the_window_comes_from_the_worker(stack: Stack, project: int) -> None:
    outside = next(
        task_id
        for task_id in stack.tools.store.texts(project)
        if task_id not in stack.queue(project)
        and task_id not in stack.tools.store.board(project)
        and task_id not in [shown.task_id for shown in stack.tools.store.demonstrations(project)]
    )
    task = stack.raw("GET", f"api/tasks/{outside}/")
    [prediction] = task["predictions"]
    assert prediction["model_version"] == stack.client.project(project).model_version
    assert prediction["score"] == 1.0


def allabel(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backend.cli", *arguments]
    environment = {**os.environ, **stack.environment}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)


def test_the_command_line_connects_and_finishes(stack: Stack) -> None:
    project_id = stack.project("From the terminal", SAMPLES[40:46])
    connected = allabel(stack, "connect", str(project_id), "--budget", "2", "--window", "2", "--k", "1")
    assert connected.returncode == 0, connected.stderr
    assert set(stack.client.versions(project_id).values()) == {2}
    finished = allabel(stack, "finish", str(project_id))
    assert finished.returncode == 0, finished.stderr
    assert set(stack.client.versions(project_id).values()) == {6}
    unknown = allabel(stack, "finish", "99999")
    assert unknown.returncode == 1
    assert "allabel connect 99999" in unknown.stderr


def test_the_command_line_agrees(stack: Stack, project: int) -> None:
    run = partial(allabel, stack)
    status = run("status", str(project), "--json")
    assert status.returncode == 0, status.stderr
    assert f'{{"id": {project}, ' in status.stdout
    doctor = run("doctor", str(project))
    assert doctor.returncode == 0, doctor.stdout
    assert doctor.stdout.count("ok") >= 8
    rerank = run("rerank", str(project))
    assert rerank.returncode == 0, rerank.stderr


def test_an_unusable_label_config_is_told_on_connecting(stack: Stack) -> None:
    choices = '<Choices name="c" toName="i"><Choice value="x"/></Choices>'
    project_id = stack.client.create_project("Images", f'<View><Image name="i" value="$i"/>{choices}</View>')
    with pytest.raises(LabelStudioRejectedError, match="incompatible with the current labeling config"):
        stack.connect(project_id)
    assert "<Labels" in log_of(stack)
    assert project_id not in stack.tools.store.projects()


def test_neither_texts_nor_secrets_are_logged(stack: Stack, project: int) -> None:
    logged = log_of(stack)
    assert f"project {project}: published" in logged
    for secret in (stack.label_studio.token, stack.tools.webhook_secret):
        assert secret not in logged
    assert not [document.text for document in SAMPLES if document.text in logged]


def test_the_webhook_answers_within_label_studios_limit(stack: Stack, project: int) -> None:
    event = {"action": "ANNOTATION_CREATED", "project": {"id": project}}
    headers = {SECRET_HEADER: stack.tools.webhook_secret}
    for _ in range(20):
        started = time.monotonic()
        answer = httpx.post(f"{stack.backend.base_url}/webhook", json=event, headers=headers)
        assert answer.status_code == 202
        assert time.monotonic() - started < 1.0
    stack.settle(project)
