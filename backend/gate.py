"""Who may come in: decided by a request's headers, before any of its body is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from anyio import to_thread
from fastapi import Request
from fastapi.openapi.models import HTTPBase
from fastapi.security.base import SecurityBase
from redis.exceptions import RedisError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .limits import refuse
from .problems import no_redis, problem, too_many_tries, unauthorised
from .security import UnauthorisedError, given_credentials, same_secret
from .settings import Settings
from .throttle import ATTEMPT_SECONDS, Guess, Throttle, TooManyTriesError
from .usecases.memory import SECRET_HEADER
from .usecases.tokens import project_of
from .usecases.tools import Tools

OPEN: Final = ("/health", "/login", "/logout")
LABEL_STUDIO: Final = ("/setup", "/predict", "/versions", "/webhook")


@dataclass(frozen=True, slots=True)
class Caller:
    """``owner``: has the password of BASIC_AUTH_USER, or none is asked for. ``project``: has the token of
    this project. ``webhook``: has the webhook's secret.
    """

    owner: bool = False
    project: int | None = None
    webhook: bool = False

    def acts_for(self, project_id: int) -> bool:
        """Whether it may do with this project what the connection in Label Studio may."""
        return self.owner or self.project == project_id


NOBODY: Final = Caller()


def caller_of(request: Request) -> Caller:
    """Who the gate took it to be; nobody where the request came by another way."""
    found = getattr(request.state, "caller", NOBODY)
    return found if isinstance(found, Caller) else NOBODY


class OwnersAlone(SecurityBase):
    """A dependency of routes. Raises ``UnauthorisedError`` for everybody else."""

    def __init__(self) -> None:
        self.model = HTTPBase(scheme="basic")
        self.scheme_name = "basic"

    async def __call__(self, request: Request) -> None:
        if not caller_of(request).owner:
            raise UnauthorisedError


class Connections(OwnersAlone):
    """The same, and the connections of projects in Label Studio; which project is the route's to look at."""

    async def __call__(self, request: Request) -> None:
        caller = caller_of(request)
        if not caller.owner and caller.project is None:
            raise UnauthorisedError


class Gate:
    """ASGI middleware. What is not named here is for owners alone; pages ask people to sign in themselves."""

    def __init__(self, app: ASGIApp, settings: Settings, tools: Tools) -> None:
        self._app = app
        self._credentials = settings.basic_auth
        self._tools = tools
        self._throttle = Throttle(tools)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path in OPEN or path.startswith("/static/"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            caller = await to_thread.run_sync(self._identify, headers, (scope.get("client") or ("",))[0])
        except TooManyTriesError:
            await refuse(too_many_tries(int(ATTEMPT_SECONDS)), scope, receive, send)
            return
        except RedisError as error:
            await refuse(no_redis(error), scope, receive, send)
            return
        if path in LABEL_STUDIO and _is_by_a_page(headers):
            complaint = "This address is for Label Studio's server, not for a page in a browser."
            await refuse(problem(403, complaint), scope, receive, send)
        elif not _may_enter(path, caller):
            await refuse(unauthorised(), scope, receive, send)
        else:
            scope.setdefault("state", {})["caller"] = caller
            await self._app(scope, receive, send)

    def _identify(self, headers: Headers, address: str) -> Caller:
        secret = headers.get(SECRET_HEADER, "")
        webhook = bool(secret) and same_secret(secret, self._tools.webhook_secret)
        if self._credentials is None:
            return Caller(owner=True, webhook=webhook)
        given = given_credentials(headers)
        if given is None:
            return Caller(webhook=webhook)
        user, _, password = given.partition(":")
        if (project := project_of(self._tools, user, password)) is not None:
            return Caller(project=project, webhook=webhook)
        right = same_secret(given, ":".join(self._credentials))
        return Caller(
            owner=self._throttle.judge(Guess(address, user, password), right=right), webhook=webhook
        )


def _may_enter(path: str, caller: Caller) -> bool:
    if path == "/" or path == "/projects" or path.startswith("/projects/") or caller.owner:
        return True
    if path == "/webhook" and caller.webhook:
        return True
    return path in LABEL_STUDIO and caller.project is not None


def _is_by_a_page(headers: Headers) -> bool:
    """Browsers say of every page's requests where they come from; Label Studio's server sends neither."""
    return "origin" in headers or "sec-fetch-site" in headers
