"""`allabel serve`, with the time that each answer took at ``GET /timings``, for the load benchmark.

``/timings?reset=1`` begins anew.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn
from fastapi import FastAPI

from backend.app import create_app
from backend.settings import read_settings

Message = MutableMapping[str, Any]


class Timed:
    """An ASGI application around another: milliseconds from a request's arrival to its last byte."""

    def __init__(self, inner: FastAPI) -> None:
        self._inner = inner
        self._took: defaultdict[str, list[float]] = defaultdict(list)
        self._failed: defaultdict[str, int] = defaultdict(int)

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        path = str(scope.get("path", ""))
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
        elif path == "/timings":
            await self._tell(send)
            if scope["query_string"] == b"reset=1":
                self._took.clear()
                self._failed.clear()
        else:
            await self._time(path, scope, receive, send)

    async def _time(
        self,
        path: str,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        started = time.perf_counter()

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 500:
                self._failed[path] += 1
            await send(message)

        await self._inner(scope, receive, watch)
        self._took[path].append(1000 * (time.perf_counter() - started))

    async def _tell(self, send: Callable[[Message], Awaitable[None]]) -> None:
        told = {"took": self._took, "failed": self._failed, "cpu_seconds": time.process_time()}
        body = json.dumps(told).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def main() -> None:
    settings = read_settings()
    web = Timed(create_app(settings))
    uvicorn.run(web, host=settings.host, port=settings.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
