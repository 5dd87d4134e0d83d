"""How often a password may be guessed: so often from an address, so often for an account."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .usecases.tools import Tools

if TYPE_CHECKING:
    from .adapters.store import Store

ATTEMPTS: Final = 5
"""Wrong passwords from one address, or from one browser that has been signed in before."""
ATTEMPTS_OF_ALL: Final = 50
"""Wrong passwords for one account, wherever they come from."""
ATTEMPT_SECONDS: Final = 60.0


class TooManyTriesError(Exception):
    """Wrong passwords have been tried so often that nobody's is looked at for a while."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A password that somebody has given. ``browser``: identifies one that has been signed in before.

    Its tries are counted for itself, so that nobody else's can lock it out. ``number``: sets tries with
    the same password apart; without it they count as one, as of a program whose password has changed.
    """

    address: str
    account: str
    password: str
    browser: str = ""
    number: str = ""


class Throttle:
    """Counts in Redis, for all web processes together."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    @property
    def _store(self) -> Store:
        return self._tools.store

    def judge(self, guess: Guess, *, right: bool) -> bool:
        """``right``, unless too many wrong ones have been tried.

        :raises TooManyTriesError: there were, whether this one is right or not.
        """
        limits = self._limits(guess)
        tried = self._store.tries(*limits)
        if any(count >= limit for count, limit in zip(tried, limits.values(), strict=True)):
            raise TooManyTriesError
        if not right:
            what = self._digest(f"{guess.account}\0{guess.password}\0{guess.number}")
            for name in limits:
                self._store.note_try(name, what, ATTEMPT_SECONDS)
        return right

    def forget(self, guess: Guess) -> None:
        """Somebody has signed in there: what was counted against this place is forgotten."""
        self._store.forget_tries(next(iter(self._limits(guess))))

    def _limits(self, guess: Guess) -> dict[str, int]:
        if guess.browser:
            return {f"browser:{guess.browser}": ATTEMPTS}
        return {
            f"address:{_network(guess.address)}": ATTEMPTS,
            f"account:{self._digest(guess.account)}": ATTEMPTS_OF_ALL,
        }

    def _digest(self, text: str) -> str:
        return hmac.digest(self._tools.own_key.encode(), text.encode(), "sha256")[:6].hex()


def _network(address: str) -> str:
    """Of IPv6 the network, since one customer has 2**64 addresses of it."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))
