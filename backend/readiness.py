"""Whether the service can do its work now, part by part."""

from __future__ import annotations

from collections.abc import Callable

import anyio
from anyio import CapacityLimiter, to_thread
from pydantic import BaseModel
from redis.exceptions import RedisError

from .errors import LabelStudioError
from .usecases.tools import Tools

ANSWER_WITHIN = 1.5
"""Seconds; who asks is answered within 2."""
LABEL_STUDIO_SECONDS = 1.2
OK = "ok"
SILENT = "does not answer in time"

# A check that hangs keeps its thread until its own time limit; so many may, then the next ones wait.
_threads = CapacityLimiter(12)


class Readiness(BaseModel):
    """Of each part "ok", or what is wrong with it.

    A project that does not go on is named, but takes the service away from nobody else's.
    """

    status: str
    redis: str
    worker: str
    label_studio: str
    projects: str

    @property
    def ready(self) -> bool:
        return self.status == "ready"


async def readiness(tools: Tools) -> Readiness:
    """All parts, looked at side by side."""
    checks = {"redis": _redis, "worker": _worker, "label_studio": _label_studio, "projects": _projects}
    found = dict.fromkeys(checks, SILENT)

    async def look(name: str, check: Callable[[Tools], str]) -> None:
        found[name] = await to_thread.run_sync(check, tools, abandon_on_cancel=True, limiter=_threads)

    with anyio.move_on_after(ANSWER_WITHIN):
        async with anyio.create_task_group() as group:
            for name, check in checks.items():
                group.start_soon(look, name, check)
    ready = all(state == OK for name, state in found.items() if name != "projects")
    return Readiness(status="ready" if ready else "not ready", **found)


def _redis(tools: Tools) -> str:
    try:
        tools.store.redis.ping()
    except RedisError as error:
        return f"does not answer ({type(error).__name__})"
    return OK


def _worker(tools: Tools) -> str:
    try:
        alive = tools.store.workers_alive()
    except RedisError:
        return "unknown, since Redis does not answer"
    return OK if alive else "none is running; start one: allabel worker"


def _label_studio(tools: Tools) -> str:
    try:
        tools.label_studio.reachable(LABEL_STUDIO_SECONDS)
    except LabelStudioError as error:
        return str(error)
    return OK


def _projects(tools: Tools) -> str:
    try:
        known = tools.store.projects()
        stopped = [str(number) for number in known if tools.store.fact(number, "problem")]
    except RedisError:
        return "unknown, since Redis does not answer"
    numbers = ", ".join(stopped[:10]) + (" ..." if len(stopped) > 10 else "")
    return f"{len(stopped)} of {len(known)} do not go on: {numbers}; see allabel status" if stopped else OK
