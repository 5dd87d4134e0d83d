"""Secrets compared, credentials read, and the headers that every answer has. See SECURITY.md."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with it, browsers hide the origin of a form from the one that must check it.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer, unless its route sets the same header otherwise."""


class SecurityHeaders:
    """ASGI middleware that adds ``HEADERS``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    given.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class UnauthorisedError(Exception):
    """The request bears no credentials, or wrong ones."""


def is_loopback(host: str) -> bool:
    """Whether a server bound to it is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def same_secret(given: str, expected: str) -> bool:
    """Whether they are equal; the time it takes tells nothing of where they differ."""
    return hmac.compare_digest(given.encode(), expected.encode())


def given_credentials(headers: Headers) -> str | None:
    """``USER:PASSWORD`` of HTTP basic auth; None where the request has none."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        given = base64.b64decode(value, validate=True)
    except binascii.Error:
        return None
    try:
        return given.decode()
    except UnicodeDecodeError:
        # Label Studio's HTTP client writes it so.
        return given.decode("latin-1")
