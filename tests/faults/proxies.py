"""Proxies of our own, to break what runs between two real parts: late, refused, cut, held, doubled."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from typing import Any

LOOPBACK = "127.0.0.1"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Gate:
    """Whatever matches stops here until it is opened; ``reached``: something stands before it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()

    def stop(self) -> None:
        self.reached.set()
        self._opened.wait(600)

    def open(self) -> None:
        self._opened.set()


@dataclass(frozen=True)
class Call:
    """One request as the proxy saw it; ``path`` with its query."""

    method: str
    path: str
    body: bytes = field(repr=False)
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


class DroppedError(Exception):
    """Raised by a hook: the connection is closed without an answer."""


Before = Callable[[Call], "Reply | None"]


class HttpProxy:
    """HTTP between a client and its targets (host, port), taken in turn; a thread per connection.

    ``before`` sees each request first and may answer in place of the target, wait, or raise
    ``DroppedError``; ``after`` sees it once the target has answered and the client does not know yet.
    ``copies``: how often a request is sent to the target.
    """

    def __init__(self, *targets: tuple[str, int]) -> None:
        self._targets = cycle(targets)
        self.calls: list[Call] = []
        self.before: Before = lambda call: None
        self.after: Callable[[Call], None] = lambda call: None
        self.copies: Callable[[Call], int] = lambda call: 1
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                with contextlib.suppress(OSError):
                    super().handle_one_request()
                    return
                self.close_connection = True

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                call = Call(self.command, self.path, body)
                proxy.calls.append(call)
                try:
                    reply = proxy.before(call) or proxy._forward(call, self.headers)
                    proxy.after(call)
                except (DroppedError, OSError, http.client.HTTPException):
                    self.close_connection = True
                    return
                self.send_response_only(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _pass  # noqa: N815

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def heal(self) -> None:
        self.before, self.after, self.copies = (lambda call: None), (lambda call: None), (lambda call: 1)

    def _forward(self, call: Call, headers: Any) -> Reply:
        for _ in range(self.copies(call)):
            reply = self._exchange(call, headers)
        return reply

    def _exchange(self, call: Call, headers: Any) -> Reply:
        connection = http.client.HTTPConnection(*next(self._targets), timeout=120)
        try:
            passed = {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}
            connection.request(call.method, call.path, body=call.body, headers=passed)
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP}
            return Reply(answer.status, answer.read(), kept)
        finally:
            connection.close()

    @contextmanager
    def holding(self, matches: Callable[[Call], bool], *, done: bool) -> Iterator[Gate]:
        """The first matching request stops: before the target sees it or, ``done``, once it did its work."""
        gate = Gate()
        first = threading.Lock()

        def hook(call: Call) -> None:
            if matches(call) and first.acquire(blocking=False):
                gate.stop()
                raise DroppedError

        if done:
            self.after = hook
        else:
            self.before = hook
        try:
            yield gate
        finally:
            self.heal()
            gate.open()


class TcpProxy:
    """Bytes between a client and ``target``; ``delay``: seconds before each chunk of a client is passed on.

    ``down``: connections are refused and existing ones reset. ``silent``: they stay open and nothing
    passes, as where packets are dropped.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.delay = 0.0
        self.silent = False
        self._watched: tuple[bytes, Gate] | None = None
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server((LOOPBACK, port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def go_down(self) -> None:
        # Closing alone would leave the kernel accepting while the thread waits in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pair in list(self._pairs):
            self._end(pair)

    def come_up(self) -> None:
        self._listener = self._listen(self.port)

    close = go_down

    @contextmanager
    def holding(self, words: bytes) -> Iterator[Gate]:
        """The first chunk of a client that holds these bytes stops here, and is lost."""
        gate = Gate()
        self._watched = (words, gate)
        try:
            yield gate
        finally:
            self._watched = None
            gate.open()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            pair = (client, server)
            self._pairs.add(pair)
            for source, sink, sent in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(pair, source, sink, sent), daemon=True).start()

    def _pump(
        self,
        pair: tuple[socket.socket, socket.socket],
        source: socket.socket,
        sink: socket.socket,
        sent: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                if sent and (watched := self._watched) and watched[0] in chunk:
                    self._watched = None
                    watched[1].stop()
                    break
                if sent and self.delay:
                    time.sleep(self.delay)
                while self.silent:
                    time.sleep(0.05)
                sink.sendall(chunk)
        self._end(pair)

    def _end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        self._pairs.discard(pair)
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
