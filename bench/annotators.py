"""People who annotate through Label Studio's API, many at once, as their browsers would."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

PASSWORD = "annotator-of-the-bench"
REQUEST_SECONDS = 100.0


@dataclass
class Work:
    """What they did. ``submitted``: task ids, in order. ``refused``: answers that were none, by status."""

    submitted: list[int] = field(default_factory=list)
    next_ms: list[float] = field(default_factory=list)
    submit_ms: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


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
    """One person for each token."""

    label_studio_url: str
    tokens: Sequence[str]

    async def annotate(self, project_id: int, seconds: float) -> Work:
        """Everyone takes the next task, accepts what is suggested, submits, and so on; no pauses."""
        work, end = Work(), time.monotonic() + seconds
        await asyncio.gather(*(self._annotate(token, project_id, end, work) for token in self.tokens))
        return work

    async def _annotate(self, token: str, project_id: int, end: float, work: Work) -> None:
        headers = {"Authorization": f"Token {token}"}
        async with httpx.AsyncClient(
            base_url=self.label_studio_url, headers=headers, timeout=REQUEST_SECONDS
        ) as browser:
            while time.monotonic() < end:
                task = await _timed(
                    browser, "GET", f"/api/projects/{project_id}/next/", None, work.next_ms, work
                )
                if task is None or time.monotonic() > end:
                    continue
                result = task["predictions"][0]["result"] if task["predictions"] else []
                body = {"result": result, "lead_time": 1.0}
                path = f"/api/tasks/{task['id']}/annotations/"
                if await _timed(browser, "POST", path, body, work.submit_ms, work):
                    work.submitted.append(task["id"])


async def _timed(
    browser: httpx.AsyncClient, method: str, path: str, body: Any, took: list[float], work: Work
) -> dict[str, Any] | None:
    started = time.perf_counter()
    try:
        answer = await browser.request(method, path, json=body)
    except httpx.TransportError as error:
        work.refused[type(error).__name__] += 1
        return None
    took.append(1000 * (time.perf_counter() - started))
    if answer.is_success:
        found: dict[str, Any] = answer.json()
        return found
    work.refused[f"{method} {answer.status_code}"] += 1
    await asyncio.sleep(0.2)
    return None
