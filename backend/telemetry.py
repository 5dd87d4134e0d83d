"""Requests and jobs as they are watched: timed, counted, and logged with what they are about."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .logs import about
from .usecases.meter import Meter

logger = logging.getLogger(__name__)

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class RequestFigures:
    """ASGI middleware: every request in the figures, by its route; those that went wrong in the log."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        except Exception as error:
            self._meter.count("errors", "backend", type(error).__name__)
            raise
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = _route(scope)
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._meter.count("http_requests", method, route, str(status))
        self._meter.observe("http_request_seconds", seconds, route)
        with about(**subject_of(Request(scope))):
            level = logging.INFO if status >= 400 else logging.DEBUG
            logger.log(level, "%s %s: %d in %.1f ms", method, route, status, 1000 * seconds)


def _route(scope: Scope) -> str:
    """The path with the names of its parameters; what is no route of ours is "other".

    Nobody must be able to fill the memory with names that he makes up.
    """
    if "route" not in scope:
        return "other"
    segments = scope["path"].split("/")
    for name, value in scope.get("path_params", {}).items():
        if str(value) not in segments:
            return "other"
        segments[segments.index(str(value))] = f"{{{name}}}"
    return "/".join(segments)


def subject_of(request: Request) -> dict[str, object]:
    """The project that a request is about, once a route has noted it or it stands in the path."""
    project = getattr(request.state, "project", request.path_params.get("project_id"))
    return {} if project is None else {"project": project}


@contextmanager
def watched_job(meter: Meter, kind: str, project_id: int, job_id: str | None) -> Iterator[None]:
    """Around a worker's job."""
    started = time.monotonic()
    outcome = "failed"
    with about(project=project_id, job=job_id):
        try:
            yield
            outcome = "done"
        except BaseException as error:
            meter.count("errors", "backend", type(error).__name__)
            raise
        finally:
            seconds = time.monotonic() - started
            meter.count("jobs", kind, outcome)
            meter.observe("job_seconds", seconds, kind)
            logger.info("project %d: %s %s after %.2f s", project_id, kind, outcome, seconds)
