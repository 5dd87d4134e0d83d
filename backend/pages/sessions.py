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

COOKIE: Final = "allabel_session"
SESSION_SECONDS: Final = 12 * 3600


@dataclass(frozen=True, slots=True)
class Session:
    """One browser's visit. ``user`` is empty until somebody has signed in."""

    id: str
    user: str = ""


class Sessions:
    """Cookies signed with a key that changes with the password, so that a new one signs everybody out.

    ``secret`` is known to all web processes; ``credentials`` are None where nobody has to sign in.
    """

    def __init__(self, secret: str, credentials: tuple[str, str] | None) -> None:
        self.credentials = credentials
        self._key = sha256("\0".join((secret, *(credentials or ()))).encode()).digest()
        self._serializer = URLSafeTimedSerializer(self._key, salt="allabel session")

    def read(self, request: Request) -> Session | None:
        """The session of the request's cookie; None where it has none, or a forged or old one."""
        try:
            value = self._serializer.loads(request.cookies.get(COOKIE, ""), max_age=SESSION_SECONDS)
        except BadData:
            return None
        return Session(*value)

    @staticmethod
    def start(user: str = "") -> Session:
        """A new session, with an identity that nobody can have known before."""
        return Session(secrets.token_urlsafe(18), user)

    def write(self, response: Response, session: Session, *, secure: bool) -> None:
        """Hand the session to the browser; ``secure``: the page came by https."""
        value = self._serializer.dumps([session.id, session.user])
        response.set_cookie(
            COOKIE,
            str(value),
            max_age=SESSION_SECONDS,
            httponly=True,
            # Not strict: links from Label Studio to a page would ask to sign in again.
            samesite="lax",
            secure=secure,
        )

    def is_password(self, user: str, password: str) -> bool:
        return same_secret(f"{user}\0{password}", "\0".join(self.credentials or ()))

    def form_token(self, session: Session) -> str:
        """Stands in every form of the session's pages; another site cannot know it."""
        return hmac.new(self._key, f"form {session.id}".encode(), sha256).hexdigest()
