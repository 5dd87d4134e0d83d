"""What a request may be at most, checked before anything reads it: size, time to arrive, nesting."""

from __future__ import annotations

import anyio
from pydantic_core import from_json
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import problem

MAX_BODY_BYTES = 64 * 2**20
MAX_JSON_DEPTH = 200
"""Set by the parser. It also refuses what Python's lets pass, such as half of a surrogate pair."""
BODY_SECONDS = 30.0


class RequestLimits:
    """ASGI middleware that reads the whole body first, declared or chunked.

    Answers 413 where it is too large, 408 where it takes too long, 422 where it is JSON that cannot
    be used.
    """

    def __init__(
        self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES, body_seconds: float = BODY_SECONDS
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if "content-length" not in headers and "transfer-encoding" not in headers:
            await self._app(scope, receive, send)
            return
        try:
            with anyio.fail_after(self._body_seconds):
                body = await self._read(headers, receive)
        except TimeoutError:
            answer = problem(408, f"The request's body did not arrive within {self._body_seconds:.0f} s.")
            await answer(scope, receive, send)
            return
        except _TooLargeError:
            answer = problem(
                413, f"The request is larger than {self._max_bytes / 2**20:g} MiB; send fewer tasks at once."
            )
            await answer(scope, receive, send)
            return
        if body is None:
            return
        if complaint := _unusable(headers, body):
            await problem(422, complaint)(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, headers: Headers, receive: Receive) -> bytes | None:
        """The body, None where the client went away first."""
        declared = headers.get("content-length", "0")
        if not declared.isdigit() or int(declared) > self._max_bytes:
            raise _TooLargeError
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size > self._max_bytes:
                raise _TooLargeError
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)


class _TooLargeError(Exception):
    pass


def _unusable(headers: Headers, body: bytes) -> str:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if not body or not (kind == "application/json" or kind.endswith("+json")):
        return ""
    try:
        from_json(body)
    except ValueError as error:
        return f"The body is not JSON, or nested deeper than {MAX_JSON_DEPTH} levels: {error}"
    return ""


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body as one message; what the client does afterwards still comes from it."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay
