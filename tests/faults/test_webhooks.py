"""Webhooks lost, doubled, late and out of order, a thousand in a second; an annotation nobody counted."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import httpx

from backend.usecases.memory import SPENT_HEADER
from figures import assert_nothing_lost, converge
from proxies import Call, DroppedError, Reply
from rig import Rig


def is_webhook(call: Call) -> bool:
    return call.path == "/webhook"


def test_all_lost(rig: Rig, project: int) -> None:
    def lose(call: Call) -> None:
        if is_webhook(call):
            raise DroppedError

    rig.to_web.before = lose
    since = time.monotonic()
    rig.annotate_next(project, 3)
    assert_nothing_lost(converge(rig, project, "all webhooks lost", since=since))


def test_webhook_deleted(rig: Rig, project: int) -> None:
    [hook] = rig.raw("GET", "api/webhooks/", params={"project": project})
    rig.raw("DELETE", f"api/webhooks/{hook['id']}/")
    since = time.monotonic()
    rig.annotate_next(project, 2)
    assert_nothing_lost(converge(rig, project, "webhook deleted by somebody", since=since))
    rig.wait_for(lambda: rig.raw("GET", "api/webhooks/", params={"project": project}), seconds=60)
    [again] = rig.raw("GET", "api/webhooks/", params={"project": project})
    for each in (again, hook):
        each["headers"].pop(SPENT_HEADER)
    assert again["headers"] == hook["headers"]


def test_each_three_times(rig: Rig, project: int) -> None:
    rig.to_web.copies = lambda call: 3 if is_webhook(call) else 1
    since = time.monotonic()
    rig.annotate_next(project, 3)
    assert_nothing_lost(converge(rig, project, "each webhook three times", since=since))


def test_out_of_order(rig: Rig, project: int) -> None:
    """Of any four the first comes last: Label Studio does not wait, so a later one overtakes it."""
    number = count()

    def delay(call: Call) -> Reply | None:
        if is_webhook(call):
            time.sleep(2.0 * (3 - next(number) % 4))
        return None

    rig.to_web.before = delay
    since = time.monotonic()
    rig.annotate_next(project, 4)
    assert_nothing_lost(converge(rig, project, "webhooks late and out of order", since=since))


def test_a_thousand_in_a_second(rig: Rig, project: int) -> None:
    """As fast as this machine sends them; all are taken, and the queue is ranked a few times at most."""
    event = {"action": "ANNOTATION_UPDATED", "project": {"id": project}}
    rankings = int(rig.store.fact(project, "rankings") or 0)
    rig.annotate_next(project)
    since = time.monotonic()
    limits = httpx.Limits(max_connections=16)
    with (
        httpx.Client(headers=rig.webhook(project), limits=limits, timeout=30) as client,
        ThreadPoolExecutor(16) as pool,
    ):
        address = f"http://127.0.0.1:{rig.webs[0].port}/webhook"
        answers = list(pool.map(lambda _: client.post(address, json=event).status_code, range(1000)))
    assert answers == [202] * 1000
    took = time.monotonic() - since
    assert_nothing_lost(converge(rig, project, f"1,000 webhooks in {took:.1f} s"))
    assert int(rig.store.fact(project, "rankings") or 0) - rankings <= 2 + took / 3


def test_annotation_that_label_studio_does_not_count(rig: Rig, project: int) -> None:
    """While somebody deletes a project, Label Studio's own counters stand still."""
    others = [rig.client.create_project(f"Large {i}", "<View/>") for i in range(3)]
    for other in others:
        rig.client.import_tasks(other, [{"text": str(i)} for i in range(1000)])
    since = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        for other in others:
            pool.submit(rig.raw, "DELETE", f"api/projects/{other}/")
        time.sleep(0.2)
        rig.annotate_next(project, 3)
    assert_nothing_lost(converge(rig, project, "annotated while projects are deleted", since=since))
