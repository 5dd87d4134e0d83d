"""The names that this backend may be called by."""

from __future__ import annotations

from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import refuse
from .problems import unknown_name
from .settings import Settings


class KnownNames:
    """ASGI middleware that takes requests under the configured names alone.

    So a stranger's page, whose name leads to this machine, cannot speak for the person who looks at it.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._names = settings.names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        passed = False

        async def passing(scope: Scope, receive: Receive, _: Send) -> None:
            nonlocal passed
            passed = True
            await self._app(scope, receive, send)

        async def in_our_words(_: Message) -> None:
            """Starlette's own answer says neither which names there are nor what to do."""

        checked = TrustedHostMiddleware(passing, allowed_hosts=self._names, www_redirect=False)
        await checked(scope, receive, in_our_words)
        if not passed:
            await refuse(unknown_name(), scope, receive, send)
