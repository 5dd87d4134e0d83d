"""People who annotate through Label Studio's API, many at once, as their browsers would."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from backend.adapters.label_studio_person import OpenPage

PASSWORD = "annotator-of-the-bench"
REQUEST_SECONDS = 100.0
WAIT_SECONDS = 0.2
"""Of who was told that there is no task, or was refused, before the next attempt."""

Front = Callable[[], Sequence[int]]


@dataclass
class Work:
    """What they did.

    ``submitted``: annotations, by id, and their tasks, in order. ``asked``: requests for a task, and
    ``served``, those that got one; ``in_order``: those that got the first of the queue that nobody had
    opened; ``twice``: those that got what somebody else had open. ``refused``: submissions that were
    not saved, ``failed``: other answers that were none; both by status.
    """

    submitted: dict[int, int] = field(default_factory=dict)
    asked: int = 0
    served: int = 0
    in_order: int = 0
    twice: int = 0
    next_ms: list[float] = field(default_factory=list)
    submit_ms: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    taken: set[int] = field(default_factory=set)


def sign_up(label_studio_url: str, count: int) -> list[str]:
    """New members of the organisation; their tokens."""
    run = int(time.time())
    return [_new_member(label_studio_url, f"annotator-{run}-{number}@example.com") for number in range(count)]


def _new_member(url: str, email: str) -> str:
    with httpx.Client(base_url=url, timeout=REQUEST_SECONDS) as browser:
        page = browser.get("/user/signup/").text
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found, "Label Studio's page for signing up has changed"
        form = {"csrfmiddlewaretoken": found[1], "email": email, "password": PASSWORD}
        answer = browser.post("/user/signup/", data=form, headers={"Referer": url})
        assert answer.status_code == 302, answer.status_code
        return str(browser.get("/api/current-user/token").json()["token"])


@dataclass(frozen=True)
class Annotators:
    """One person for each token. ``pauses``: seconds over a text, at least and at most."""

    label_studio_url: str
    tokens: Sequence[str]
    pauses: tuple[float, float] = (0.0, 0.0)

    async def annotate(self, project_id: int, seconds: float, front: Front = tuple) -> Work:
        """Everyone takes the next task, accepts what is suggested, submits, and so on.

        ``front``: the first tasks of the queue as it stands.
        """
        work, end = Work(), time.monotonic() + seconds
        people = [_Person(self, project_id, end, work, front, number) for number in range(len(self.tokens))]
        await asyncio.gather(*(person.work_until_the_end() for person in people))
        return work


@dataclass(frozen=True)
class _Person:
    team: Annotators
    project_id: int
    end: float
    work: Work
    front: Front
    number: int

    async def work_until_the_end(self) -> None:
        headers = {"Authorization": f"Token {self.team.tokens[self.number]}"}
        pace = random.Random(self.number)
        async with httpx.AsyncClient(
            base_url=self.team.label_studio_url, headers=headers, timeout=REQUEST_SECONDS
        ) as browser:
            # Not all of them sit down at the same moment.
            await asyncio.sleep(pace.uniform(0, self.team.pauses[1]) / 2)
            while time.monotonic() < self.end:
                task = await self._next_task(browser)
                if task is not None:
                    await asyncio.sleep(pace.uniform(*self.team.pauses))
                    await self._submit(browser, task)

    async def _next_task(self, browser: httpx.AsyncClient) -> dict[str, Any] | None:
        before = self._first_free()
        query = {"id": "next_task", "project": self.project_id}
        body = {"project": str(self.project_id)}
        self.work.asked += 1
        answer = await self._timed(
            browser.post("/api/dm/actions", params=query, json=body), self.work.next_ms
        )
        if answer is None or not answer.is_success:
            if answer is not None:
                self.work.failed[f"next task {answer.status_code}"] += 1
            await asyncio.sleep(WAIT_SECONDS)
            return None
        task: dict[str, Any] = answer.json()
        self.work.served += 1
        self.work.in_order += task["id"] in (before, self._first_free())
        self.work.twice += task["id"] in self.work.taken
        self.work.taken.add(task["id"])
        return task

    def _first_free(self) -> int | None:
        return next((task_id for task_id in self.front() if task_id not in self.work.taken), None)

    async def _submit(self, browser: httpx.AsyncClient, task: dict[str, Any]) -> None:
        shown = task["predictions"][0]["result"] if task["predictions"] else []
        lead_time = sum(self.team.pauses) / 2
        body = OpenPage.showing(task, task["predictions"]).submission(shown, lead_time)
        path = f"/api/tasks/{task['id']}/annotations"
        sent = browser.post(path, params={"project": self.project_id}, json=body)
        answer = await self._timed(sent, self.work.submit_ms)
        if answer is not None and answer.is_success:
            self.work.submitted[answer.json()["id"]] = task["id"]
        elif answer is not None:
            self.work.refused[str(answer.status_code)] += 1
            await asyncio.sleep(WAIT_SECONDS)

    async def _timed(self, sent: Any, took: list[float]) -> httpx.Response | None:
        started = time.perf_counter()
        try:
            answer: httpx.Response = await sent
        except httpx.TransportError as error:
            self.work.failed[type(error).__name__] += 1
            return None
        took.append(1000 * (time.perf_counter() - started))
        return answer
