"""Who may see the pages and press their buttons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from fastapi import Request, Response

from ..security import BasicAuth, same_secret
from .rendering import render
from .sessions import Session, Sessions

if TYPE_CHECKING:
    from ..adapters.store import Store

ATTEMPTS: Final = 5
ATTEMPT_SECONDS: Final = 60.0
"""So many passwords may be tried in so long a time, then an address has to wait."""

MAX_FIELDS: Final = 10


class SignInNeededError(Exception):
    """The visitor has to sign in first."""


class ForeignFormError(Exception):
    """A form that does not come from one of this visitor's own pages."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A request for a page by someone who may see it. ``fresh``: the browser has no such session yet."""

    request: Request
    sessions: Sessions
    session: Session
    fresh: bool

    def page(self, template: str, status: int = 200, **context: Any) -> Response:
        response = render(
            self.request,
            template,
            status,
            session=self.session,
            form_token=self.sessions.form_token(self.session),
            **context,
        )
        return self.remember(response) if self.fresh else response

    def remember(self, response: Response, session: Session | None = None) -> Response:
        """The same with the session, or another in its place, as a cookie."""
        secure = self.request.url.scheme == "https"
        self.sessions.write(response, session or self.session, secure=secure)
        return response


class Access:
    """Dependencies of routes. Basic auth is accepted as well as a session, for scripts."""

    def __init__(self, sessions: Sessions, auth: BasicAuth) -> None:
        self._sessions = sessions
        self._auth = auth

    def anyone(self, request: Request) -> Visit:
        """For the pages that nobody has to sign in for."""
        session = self._sessions.read(request)
        return Visit(request, self._sessions, session or self._sessions.start(), fresh=session is None)

    def visitor(self, request: Request) -> Visit:
        """:raises SignInNeededError: for all other pages."""
        visit = self.anyone(request)
        if visit.session.user or self._auth.admits(request):
            return visit
        raise SignInNeededError

    async def form(self, request: Request) -> dict[str, str]:
        """The fields of a form of our own.

        :raises ForeignFormError: the browser says that it is another site's, or the token is wrong.
        """
        session = self._sessions.read(request)
        fields = _fields(await request.body())
        own = request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
        if not own or session is None:
            raise ForeignFormError
        if not same_secret(fields.get("token", ""), self._sessions.form_token(session)):
            raise ForeignFormError
        return fields


def _fields(body: bytes) -> dict[str, str]:
    """No fields at all where there are more than any form of ours has."""
    try:
        return dict(parse_qsl(body.decode("latin-1"), max_num_fields=MAX_FIELDS))
    except ValueError:
        return {}


class Throttle:
    """Limits guesses of the password, by the address that they come from."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @staticmethod
    def _name(request: Request) -> str:
        return f"sign-in:{request.client.host if request.client else ''}"

    def admits(self, request: Request) -> bool:
        """Counts a try; False where there have been too many."""
        return self._store.count_try(self._name(request), ATTEMPT_SECONDS) <= ATTEMPTS

    def forget(self, request: Request) -> None:
        """The password was right."""
        self._store.forget_tries(self._name(request))
