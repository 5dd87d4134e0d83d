"""What each project's model calls cost, and the cap on it."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from ..ports import ModelFailure, Spending
from .llm_config import LlmConfig
from .llm_store import KeyValue

# Whole numbers of a billionth of the currency: sums of them are exact.
_NANO = 1_000_000_000
# Reservations count for one to two of these, so that those of a killed worker do not stay.
_RESERVATION_SECONDS = 1800
# Tokenisers differ, estimates err, and some models think before they answer; but not by this much.
_ODD_FACTOR, _ODD_TOKENS = 16, 65_536
_COUNTS = ("calls", "unanswered", "prompt_tokens", "completion_tokens", "cached_tokens")


@dataclass(frozen=True, slots=True)
class Reservation:
    """The most that a call under way may cost; ``key`` is where it is noted, "" without a cap."""

    key: str = ""
    tokens: int = 0
    nano_cost: int = 0


class Ledger:
    """Sums per project. With a cap, what is under way counts at its highest possible cost."""

    def __init__(self, store: KeyValue, config: LlmConfig) -> None:
        self._store = store
        self._config = config
        self._owner = secrets.token_hex(8)

    @property
    def capped(self) -> bool:
        return self._config.max_cost is not None or self._config.max_tokens is not None

    def spending(self, project_id: int) -> Spending:
        sums = self._store.sums(_account(project_id))
        counts = {name: sums.get(name, 0) for name in _COUNTS}
        cost, saved = (sums.get(name, 0) / _NANO for name in ("nano_cost", "nano_saved"))
        return Spending(**counts, cost=cost, saved=saved)

    def recall(self, project_id: int, noted: Spending) -> None:
        """The sums are at least these from now on."""
        known = self._store.sums(_account(project_id))
        was = {name: getattr(noted, name) for name in _COUNTS}
        was |= {"nano_cost": round(noted.cost * _NANO), "nano_saved": round(noted.saved * _NANO)}
        missing = {name: amount - known.get(name, 0) for name, amount in was.items()}
        if more := {name: amount for name, amount in missing.items() if amount > 0}:
            self._store.add(_account(project_id), more)

    def reserve(
        self, project_id: int, prompt_tokens: int, completion_tokens: int
    ) -> Reservation | ModelFailure:
        """Room below the cap for one call; a failure of kind ``budget`` where there is none."""
        period = int(time.time() // _RESERVATION_SECONDS)
        key, before = (f"reserved:{project_id}:{p}" for p in (period, period - 1))
        wanted = Reservation(
            key, prompt_tokens + completion_tokens, self._nano(prompt_tokens, completion_tokens, 0)
        )
        self._note(wanted, 1)
        taken = [self._store.sums(name) for name in (key, before)]
        spent = self.spending(project_id)
        tokens = spent.prompt_tokens + spent.completion_tokens + sum(sums.get("tokens", 0) for sums in taken)
        cost = spent.cost + sum(sums.get("nano_cost", 0) for sums in taken) / _NANO
        if (cap := self._exceeded(tokens, cost)) is None:
            return wanted
        self._note(wanted, -1)
        used = f"{spent.cost:.4f} and {spent.prompt_tokens + spent.completion_tokens} tokens"
        message = (
            f"Project {project_id} has spent {used}; one more call could exceed {cap}. Raise it to go on."
        )
        return ModelFailure("budget", message)

    def settle(
        self, project_id: int, *, prompt_tokens: int, completion_tokens: int, cached_tokens: int
    ) -> None:
        """Note a call that was answered."""
        cached_tokens = min(cached_tokens, prompt_tokens)
        amounts = {
            "calls": 1,
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "cached_tokens": cached_tokens,
            "nano_cost": self._nano(prompt_tokens, completion_tokens, cached_tokens),
        }
        amounts["nano_saved"] = self._nano(prompt_tokens, completion_tokens, 0) - amounts["nano_cost"]
        self._store.add(_account(project_id), amounts)

    def lose(self, project_id: int, prompt_tokens: int, completion_tokens: int) -> None:
        """Note a call whose answer never came, by estimate: it may have been charged for."""
        amounts = {
            "calls": 1,
            "unanswered": 1,
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "nano_cost": self._nano(prompt_tokens, completion_tokens, 0),
        }
        self._store.add(_account(project_id), amounts)

    def begin(self, project_id: int, question: str, prompt_tokens: int, completion_tokens: int) -> None:
        """Before a call. The caller alone may ask this question now, so whoever began it before has died."""
        key, seconds = _begun(question), 2 * _RESERVATION_SECONDS
        if not self._store.claim(key, self._owner, seconds=seconds):
            self.lose(project_id, prompt_tokens, completion_tokens)
            self._store.put(key, self._owner.encode(), seconds=seconds)

    def end(self, question: str) -> None:
        """After it, however it ended."""
        self._store.drop(_begun(question))

    def release(self, reservation: Reservation) -> None:
        if reservation.key:
            self._note(reservation, -1)

    def _note(self, reservation: Reservation, sign: int) -> None:
        amounts = {"tokens": sign * reservation.tokens, "nano_cost": sign * reservation.nano_cost}
        self._store.add(reservation.key, amounts, seconds=2 * _RESERVATION_SECONDS)

    def _nano(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int) -> int:
        prices = self._config.prices
        return round(prices.cost(prompt_tokens, completion_tokens, cached_tokens) * _NANO) if prices else 0

    def _exceeded(self, tokens: int, cost: float) -> str | None:
        """The cap that these would exceed, in words."""
        if self._config.max_cost is not None and cost > self._config.max_cost:
            return f"its cap of {self._config.max_cost:g} (MAX_COST)"
        if self._config.max_tokens is not None and tokens > self._config.max_tokens:
            return f"its cap of {self._config.max_tokens} tokens (MAX_TOKENS)"
        return None


def plausible(told: int | None, estimate: int, allowed: int = 0) -> int:
    """The tokens that a provider tells of, unless no call of that size can have used so many.

    :param allowed: how many the call might use, where that is more than the estimate: thoughts are not seen.
    """
    most = _ODD_FACTOR * max(estimate, allowed) + _ODD_TOKENS
    return told if told is not None and told <= most else estimate


def _begun(question: str) -> str:
    return f"begun:{question}"


def _account(project_id: int) -> str:
    return f"ledger:{project_id}"
