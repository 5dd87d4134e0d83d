"""An OpenAI-compatible server that can do as much as a test says, and fails as a test says.

It runs on a loopback port in a thread of its own; ``python scripted_llm.py PORT SECONDS`` runs it
until its standard input ends, each answer taking so many seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(frozen=True)
class Reaction:
    """What happens to one request. ``ending``: "whole" reply, or "hang" or "cut" in the middle of it."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    ending: Literal["whole", "hang", "cut"] = "whole"


@dataclass(frozen=True)
class Abilities:
    """``silent``: what it cannot do it ignores, as some servers do, instead of answering 400."""

    chat: bool = True
    completion: bool = True
    json_schema: bool = True
    json_object: bool = True
    logprobs: bool = True
    seed: bool = True
    temperature: bool = True
    limit_name: str = "max_tokens"
    silent: bool = False


def error(status: int, code: str = "", message: str = "no", **headers: str) -> Reaction:
    said = {"error": {"message": message, "code": code, "type": "invalid_request_error"}}
    return Reaction(
        status, json.dumps(said).encode(), {name.replace("_", "-"): v for name, v in headers.items()}
    )


def reply(text: str, *, finish: str = "stop", form: str = "chat", **fields: Any) -> Reaction:
    """A well-formed reply; ``fields`` go into the choice, ``usage`` beside it."""
    usage = fields.pop("usage", {"prompt_tokens": 100, "completion_tokens": 10})
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish} | fields
    if form == "chat":
        choice["message"] = {"role": "assistant", "content": text} | choice.pop("message", {})
    else:
        choice["text"] = text
    body = {"id": "1", "object": "x", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return Reaction(body=json.dumps(body).encode())


class ScriptedLlm:
    """``faults`` are spent first, one a request; then it answers as ``abilities`` allow, with ``say``, or
    wholly as ``react`` says.

    ``answered``: the requests that got a whole answer of theirs, hence cost money.
    """

    def __init__(
        self,
        abilities: Abilities = Abilities(),
        *,
        delay: float = 0.0,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.abilities = abilities
        self.delay = delay
        self.say: Callable[[Request], str] | None = None
        self.react: Callable[[Request], Reaction] | None = None
        self.faults: deque[Reaction] = deque()
        self.requests: list[Request] = []
        self.answered: list[Request] = []
        self.remember_requests = True
        self.connections = 0
        self.most_at_once = 0
        self._at_once = 0
        self._host = host
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> ScriptedLlm:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connection, self._host, self._port)
        self._port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._exchange(reader, writer):
                pass
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(head[0].split(" ")[1], headers, json.loads(content or b"{}"))
        if self.remember_requests:
            self.requests.append(request)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            react = self.react or self._answer
            reaction = self.faults.popleft() if self.faults else react(request)
            await asyncio.sleep(reaction.delay + self.delay)
        finally:
            self._at_once -= 1
        if reader.at_eof():
            return False
        if self.remember_requests and reaction.status == 200 and reaction.ending == "whole":
            self.answered.append(request)
        lines = [f"HTTP/1.1 {reaction.status} X", f"content-length: {len(reaction.body)}"]
        lines += ["content-type: application/json", *(f"{n}: {v}" for n, v in reaction.headers.items())]
        whole = ("\r\n".join(lines) + "\r\n\r\n").encode() + reaction.body
        writer.write(whole if reaction.ending == "whole" else whole[: len(whole) - len(reaction.body) // 2])
        await writer.drain()
        if reaction.ending == "hang":
            await asyncio.sleep(3600)
        return reaction.ending == "whole"

    def _answer(self, request: Request) -> Reaction:
        can, body = self.abilities, request.body
        form = "chat" if request.path.split("?")[0].endswith("/chat/completions") else "completion"
        if not getattr(can, form):
            return error(404, message="unknown path")
        wanted = body.get("response_format", {}).get("type", "text")
        asked = {
            "json_schema": wanted == "json_schema",
            "json_object": wanted == "json_object",
            "logprobs": bool(body.get("logprobs")),
            "seed": "seed" in body,
            "temperature": "temperature" in body,
        }
        if "max_tokens" in body and can.limit_name != "max_tokens":
            return error(400, "unsupported_parameter", "use the other limit")
        if not can.silent and any(is_asked and not getattr(can, name) for name, is_asked in asked.items()):
            return error(400, "unsupported_parameter", "cannot do this")
        text = "Hello!" if self.say is None else self.say(request)
        if wanted == "json_schema" and can.json_schema:
            properties = body["response_format"]["json_schema"]["schema"]["properties"]
            text = '{"probe": true}' if "probe" in properties else text
        elif wanted == "json_object" and can.json_object:
            text = text if text.startswith("{") else '{"hello": 1}'
        fields: dict[str, Any] = {}
        if body.get("logprobs") and can.logprobs:
            fields["logprobs"] = {"content": [{"token": text, "logprob": -0.5}]}
        return reply(text, form=form, **fields)


if __name__ == "__main__":
    with ScriptedLlm(delay=float(sys.argv[2]), port=int(sys.argv[1])) as server:
        server.remember_requests = False
        print(server.url, flush=True)
        sys.stdin.read()
