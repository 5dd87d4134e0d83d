"""Who is signed in: a signed cookie, and the token by which a form shows that it is one of our own."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from fastapi import Request, Response
from itsdangerous import BadData, URLSafeTimedSerializer

from ..security import same_secret
from ..usecases.tools import Tools

COOKIE: Final = "allabel_session"
SESSION_SECONDS: Final = 12 * 3600
BROWSER_COOKIE: Final = "allabel_browser"
BROWSER_SECONDS: Final = 180 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Session:
    """One browser's visit. ``user`` is empty until somebody has signed in."""

    id: str
    user: str = ""


class Sessions:
    """Cookies signed with a random key that Redis keeps, and there a record of every session signed in.

    A session ends with its record: by signing out, after ``SESSION_SECONDS``, and where the password has
    changed since. ``credentials`` are None where nobody has to sign in.
    """

    def __init__(self, tools: Tools, credentials: tuple[str, str] | None) -> None:
        self.credentials = credentials
        self._tools = tools

    def read(self, request: Request) -> Session | None:
        """The session of the request's cookie; None where it has none, or a forged or ended one."""
        try:
            value = self._signer("session").loads(request.cookies.get(COOKIE, ""), max_age=SESSION_SECONDS)
        except BadData:
            return None
        session = Session(*value)
        if session.user and not same_secret(
            self._tools.store.signed_in_with(_name(session)), self._password_mark()
        ):
            return None
        return session

    @staticmethod
    def start() -> Session:
        """A new session, with an identity that nobody can have known before."""
        return Session(secrets.token_urlsafe(18))

    def sign_in(self, user: str) -> Session:
        session = Session(secrets.token_urlsafe(18), user)
        self._tools.store.sign_in(_name(session), self._password_mark(), SESSION_SECONDS)
        return session

    def sign_out(self, session: Session) -> None:
        """Its cookie is worth nothing from now on, whoever has it."""
        self._tools.store.sign_out(_name(session))

    def write(self, response: Response, session: Session, *, secure: bool) -> None:
        """Hand the session to the browser; ``secure``: the page came by https."""
        value = str(self._signer("session").dumps([session.id, session.user]))
        _set_cookie(response, COOKIE, value, SESSION_SECONDS, secure=secure)

    def known_browser(self, request: Request) -> str:
        """Identifies a browser that somebody has signed in with before; empty for all others."""
        try:
            cookie = request.cookies.get(BROWSER_COOKIE, "")
            return str(self._signer("browser").loads(cookie, max_age=BROWSER_SECONDS))
        except BadData:
            return ""

    def remember_browser(self, request: Request, response: Response, *, secure: bool) -> None:
        name = self.known_browser(request) or secrets.token_urlsafe(12)
        value = str(self._signer("browser").dumps(name))
        _set_cookie(response, BROWSER_COOKIE, value, BROWSER_SECONDS, secure=secure)

    def is_password(self, user: str, password: str) -> bool:
        return same_secret(f"{user}\0{password}", "\0".join(self.credentials or ()))

    def form_token(self, session: Session) -> str:
        """Stands in every form of the session's pages; another site cannot know it."""
        return self._digest(f"form {session.id}")

    def _password_mark(self) -> str:
        return self._digest("\0".join(("password", *(self.credentials or ()))))

    def _digest(self, text: str) -> str:
        return hmac.new(self._tools.own_key.encode(), text.encode(), sha256).hexdigest()

    def _signer(self, what: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self._tools.own_key, salt=f"allabel {what}")


def _name(session: Session) -> str:
    """Redis is not told what the cookie says."""
    return sha256(session.id.encode()).hexdigest()


def _set_cookie(response: Response, name: str, value: str, seconds: int, *, secure: bool) -> None:
    # Not strict: links from Label Studio to a page would ask to sign in again.
    response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="lax", secure=secure)
