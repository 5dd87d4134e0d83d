"""What a request may be at most, checked before anything reads it: size, time to arrive, nesting, parts."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any, Final

import anyio
from anyio import CapacityLimiter, to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import problem

MAX_BODY_BYTES: Final = 64 * 2**20
LARGE: Final = ("/setup", "/predict", "/webhook")
"""What Label Studio sends texts, configs and long lists of tasks to. Everywhere else less will do."""
MAX_SMALL_BYTES: Final = 64 * 2**10
MAX_JSON_DEPTH: Final = 200
"""Set by the parser. It also refuses what Python's lets pass, such as half of a surrogate pair."""
MAX_JSON_PARTS: Final = 1_000_000
"""Words, objects, lists and their items: it is their number that parsing takes time and memory for."""
PARSED_AT_ONCE: Final = 2**20
"""Bytes; more is parsed in a thread."""
BODY_SECONDS: Final = 30.0
REFUSED_SECONDS: Final = 5.0

# An unclosed string is one part, to the end.
_PART = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{,]', re.DOTALL)


async def refuse(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request whose body nobody wants.

    Most clients read no answer before they have sent everything, so the body is let in and thrown away;
    the connection ends where that is more than a body may be, or takes long.
    """
    headers = Headers(scope=scope)
    if "content-length" in headers or "transfer-encoding" in headers:
        declared = headers.get("content-length", "0")
        allowed = declared.isdecimal() and int(declared) <= MAX_BODY_BYTES
        if not (allowed and await _thrown_away(receive)):
            answer.headers["Connection"] = "close"
    await answer(scope, receive, send)


async def _thrown_away(receive: Receive) -> bool:
    """Whether the body came to its end within bounds."""
    left = MAX_BODY_BYTES
    with anyio.move_on_after(REFUSED_SECONDS):
        while left >= 0:
            message = await receive()
            left -= len(message.get("body", b""))
            if not message.get("more_body", False):
                return True
    return False


class RequestLimits:
    """ASGI middleware that reads the whole body first, declared or chunked, and parses it where it is JSON.

    Answers 413 where it is too large, 408 where it takes too long, 422 where it is JSON that cannot
    be used.
    """

    def __init__(
        self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES, body_seconds: float = BODY_SECONDS
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._body_seconds = body_seconds
        # Large bodies wait for one another, not for the threads of everything else.
        self._large_bodies = CapacityLimiter(2)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if "content-length" not in headers and "transfer-encoding" not in headers:
            await self._app(scope, receive, send)
            return
        most = self._max_bytes if scope["path"] in LARGE else min(self._max_bytes, MAX_SMALL_BYTES)
        try:
            with anyio.fail_after(self._body_seconds):
                body = await _read(headers, receive, most)
        except TimeoutError:
            complaint = f"The request's body did not arrive within {self._body_seconds:.0f} s."
            await _cut(problem(408, complaint), scope, receive, send)
            return
        except _TooLargeError:
            complaint = f"The request is larger than {_size(most)}; send fewer tasks at once."
            await _cut(problem(413, complaint), scope, receive, send)
            return
        if body is None:
            return
        if _is_json(headers) and body:
            try:
                scope.setdefault("state", {})["json"] = await self._parsed(body)
            except ValueError as error:
                await problem(422, str(error))(scope, receive, send)
                return
        await self._app(scope, _replay(body, receive), send)

    async def _parsed(self, body: bytes) -> Any:
        """:raises ValueError: what is wrong with it, and what to do."""
        if len(body) <= PARSED_AT_ONCE:
            return _parse(body)
        return await to_thread.run_sync(_parse, body, limiter=self._large_bodies)


class ParsedRoute(APIRoute):
    """A route that takes the JSON as ``RequestLimits`` has parsed it."""

    def get_route_handler(self) -> Any:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            return await handle(_ParsedRequest(request.scope, request.receive))

        return answer


class _ParsedRequest(Request):
    async def json(self) -> Any:
        return self.state.json if hasattr(self.state, "json") else await super().json()


class _TooLargeError(Exception):
    pass


async def _read(headers: Headers, receive: Receive, most: int) -> bytes | None:
    """The body, None where the client went away first."""
    declared = headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > most:
        raise _TooLargeError
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > most:
            raise _TooLargeError
        if not message.get("more_body", False):
            return bytes(body)


async def _cut(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """The answer, and the end of the connection: what else would come on it is not read."""
    answer.headers["Connection"] = "close"
    await answer(scope, receive, send)


def _size(most: int) -> str:
    return f"{most / 2**20:g} MiB" if most >= 2**20 else f"{most / 2**10:g} KiB"


def _is_json(headers: Headers) -> bool:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _parse(body: bytes) -> Any:
    if len(body) > PARSED_AT_ONCE and _has_too_many_parts(body):
        raise ValueError(f"The body has more than {MAX_JSON_PARTS:,} parts; send fewer tasks at once.")
    try:
        return from_json(body)
    except ValueError as error:
        raise ValueError(
            f"The body is not JSON, or nested deeper than {MAX_JSON_DEPTH} levels: {error}"
        ) from None


def _has_too_many_parts(body: bytes) -> bool:
    # The parser lets no other thread run before it is done, so its work is bounded. This loop does.
    parts = _PART.finditer(body)
    for _ in range(MAX_JSON_PARTS // 2000):
        if len(list(islice(parts, 2000))) < 2000:
            return False
    return next(parts, None) is not None


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body as one message; what the client does afterwards still comes from it."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay
