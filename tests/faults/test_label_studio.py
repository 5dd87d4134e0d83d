"""Label Studio down, slow, failing, restarted; its token revoked; projects and tasks that go or change."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from figures import assert_nothing_lost, converge
from proxies import Call, DroppedError, Reply
from rig import Rig, asked_text
from scripted_llm import Request

BAD_SECONDS = 20.0


def shown(rig: Rig, project_id: int) -> dict[str, str]:
    """State, problem and remedy as the project's page tells them."""
    found: dict[str, str] = httpx.get(f"{rig.to_web.url}/api/projects/{project_id}").json()
    return found


def wait_until_degraded(rig: Rig, project_id: int, *words: str) -> None:
    """The state says what is wrong, in these words, and what to do."""

    def told() -> bool:
        now = shown(rig, project_id)
        return now["state"] == "degraded" and bool(now["remedy"]) and all(w in now["problem"] for w in words)

    rig.wait_for(told, seconds=90, why=f"{words}")


def test_down(rig: Rig, project: int) -> None:
    def refuse(_: Call) -> None:
        raise DroppedError

    rig.to_label_studio.before = refuse
    rig.annotate_next(project, 2)
    wait_until_degraded(rig, project, "does not answer")
    rig.annotate_next(project)
    rig.to_label_studio.heal()
    assert_nothing_lost(converge(rig, project, "Label Studio down"))


def test_slow(rig: Rig, project: int) -> None:
    def wait(_: Call) -> None:
        time.sleep(5)

    rig.to_label_studio.before = wait
    since = time.monotonic()
    rig.annotate_next(project, 2)
    figures = converge(rig, project, "Label Studio slow (5 s a call)", since=since, within=300)
    assert_nothing_lost(figures)


@pytest.mark.parametrize("status", [500, 502, 429])
def test_failing(rig: Rig, project: int, status: int) -> None:
    headers = {"retry-after": "2"} if status == 429 else {}
    rig.to_label_studio.before = lambda _: Reply(status, b'{"detail": "no"}', headers)
    rig.annotate_next(project, 2)
    wait_until_degraded(rig, project, str(status))
    rig.annotate_next(project)
    rig.to_label_studio.heal()
    assert_nothing_lost(converge(rig, project, f"Label Studio answers {status}"))


def test_failing_now_and_then(rig: Rig, project: int) -> None:
    def every_third(_: Call) -> Reply | None:
        return Reply(500) if len(rig.to_label_studio.calls) % 3 == 0 else None

    rig.to_label_studio.before = every_third
    since = time.monotonic()
    rig.annotate_next(project, 3)
    assert_nothing_lost(converge(rig, project, "Label Studio answers 500 to every third call", since=since))


def test_restarted(rig: Rig, project: int) -> None:
    rig.annotate_next(project, 2)
    rig.label_studio.stop()
    time.sleep(5)
    rig.label_studio.start()
    since = time.monotonic()
    rig.annotate_next(project)
    assert_nothing_lost(converge(rig, project, "Label Studio restarted", since=since))


def test_token_revoked(rig: Rig, project: int) -> None:
    rig.to_label_studio.before = lambda _: Reply(401, b'{"detail": "Invalid token."}')
    rig.annotate_next(project, 2)
    wait_until_degraded(rig, project, "LABEL_STUDIO_API_KEY")
    assert "restart" in shown(rig, project)["remedy"]
    rig.to_label_studio.heal()
    assert_nothing_lost(converge(rig, project, "Token refused, then accepted again"))


def test_project_deleted(rig: Rig) -> None:
    project_id = rig.project("To be deleted")
    rig.annotate_next(project_id)
    rig.raw("DELETE", f"api/projects/{project_id}/")
    del rig.submitted[project_id]
    rig.wait_for(lambda: not rig.store.knows(project_id), seconds=60)
    time.sleep(2)
    left = list(rig.store.redis.scan_iter(f"allabel:project:{project_id}:*"))
    assert left == []
    assert httpx.get(f"{rig.to_web.url}/health").status_code == 200


def test_every_project_hidden_for_a_moment(rig: Rig, project: int) -> None:
    """As by a reverse proxy that does not know where Label Studio is."""
    rig.to_label_studio.before = lambda _: Reply(404, b"<html>not found</html>")
    rig.annotate_next(project)
    time.sleep(BAD_SECONDS)
    assert rig.store.knows(project)
    rig.to_label_studio.heal()
    assert_nothing_lost(converge(rig, project, "404 to every call"))


def test_label_config_changed_under_way(rig: Rig, project: int) -> None:
    config = rig.client.project(project).label_config
    renamed = config.replace('value="Equipment"', 'value="Trouble"')
    rig.model.delay = 1.0
    rig.annotate_next(project, 1)
    rig.wait_for(lambda: rig.store.wanted(project))
    rig.raw("PATCH", f"api/projects/{project}/", json={"label_config": renamed})
    rig.model.delay = 0.05
    assert_nothing_lost(converge(rig, project, "Label config changed while the model is asked"))
    asked = json.dumps(rig.model.answered[-1].body)
    assert "Trouble" in asked
    # The instructions to annotators name it still; the labels asked for do not.
    assert "- Equipment" not in asked


def test_task_deleted_while_it_is_predicted(rig: Rig, project: int) -> None:
    asked: list[str] = []

    def note(request: Request) -> str:
        asked.append(asked_text(request))
        return rig.gold_answer(request)

    rig.model.say, rig.model.delay = note, 2.0
    try:
        rig.annotate_next(project, 1)
        before = len(rig.model.requests)
        rig.wait_for(lambda: len(rig.model.requests) > before)
        text = asked_text(rig.model.requests[-1])
        gone = next(task for task, known in rig.store.texts(project).items() if known == text)
        rig.raw("DELETE", f"api/tasks/{gone}/")
    finally:
        rig.model.say, rig.model.delay = rig.gold_answer, 0.05
    assert_nothing_lost(converge(rig, project, "Task deleted while the model is asked about it"))
    assert gone not in rig.store.texts(project)


def test_token_revoked_and_replaced(rig: Rig, project: int) -> None:
    """The last one here: from now on everything uses the new token."""
    rig.wait_for(lambda: rig.store.fact(project, "state") == "ready")
    rig.use_token(rig.raw("POST", "api/current-user/reset-token/")["token"])
    rig.annotate_next(project, 2)
    wait_until_degraded(rig, project, "LABEL_STUDIO_API_KEY")
    rig.kill_web()
    rig.kill_worker()
    since = time.monotonic()
    rig.annotate_next(project)
    assert_nothing_lost(converge(rig, project, "Token revoked, restarted with a new one", since=since))
