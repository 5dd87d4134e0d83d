"""Who may see the pages and press their buttons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import Depends, Request, Response

from ..gate import caller_of
from ..security import same_secret
from .rendering import render
from .sessions import Session, Sessions

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
        self.sessions.write(response, session or self.session, secure=self._by_https)
        return response

    def signed_in(self, response: Response, user: str) -> Response:
        """The same with a new session, so that nothing that was known of the old one is of use."""
        self.sessions.remember_browser(self.request, response, secure=self._by_https)
        return self.remember(response, self.sessions.sign_in(user))

    @property
    def _by_https(self) -> bool:
        return self.request.url.scheme == "https"


async def _body(request: Request) -> bytes:
    return await request.body()


class Access:
    """Dependencies of routes. Basic auth is accepted as well as a session, for scripts."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def anyone(self, request: Request) -> Visit:
        """For the pages that nobody has to sign in for."""
        session = self._sessions.read(request)
        return Visit(request, self._sessions, session or self._sessions.start(), fresh=session is None)

    def visitor(self, request: Request) -> Visit:
        """:raises SignInNeededError: for all other pages."""
        visit = self.anyone(request)
        if visit.session.user or caller_of(request).owner:
            return visit
        raise SignInNeededError

    def form(self, request: Request, body: bytes = Depends(_body)) -> dict[str, str]:
        """The fields of a form of our own.

        :raises ForeignFormError: the browser says that it is another site's, or the token is wrong.
        """
        session = self._sessions.read(request)
        fields = _fields(body)
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
