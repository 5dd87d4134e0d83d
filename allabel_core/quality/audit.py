"""The blind audit: which texts are annotated without a suggestion, and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

SMALLEST_BUDGET = 20
"""Below it there is no audit: one or two texts measure nothing, and the budget is needed."""


def audit_size(budget: int, share: float) -> int:
    """How many of the budget's texts are audited: ``share`` of them, rounded."""
    return int(budget * share + 0.5) if budget >= SMALLEST_BUDGET else 0


def draw_audit(texts: Iterable[int], size: int, seed: int, kept: Iterable[int] = ()) -> list[int]:
    """``size`` of the numbers, drawn at random, or ``kept`` if those are more.

    Each number has its place in the lottery by itself, so that the draw hardly changes when numbers
    come and go; a generator's shuffle would.

    :param kept: numbers drawn before that stay.
    :returns: in the order of the lottery.
    """
    stay = set(kept)
    others = sorted(set(texts) - stay, key=lambda number: _lot(seed, number))
    drawn = stay | set(others[: max(0, size - len(stay))])
    return sorted(drawn, key=lambda number: _lot(seed, number))


def _lot(seed: int, number: int) -> bytes:
    return blake2b(f"{seed}:{number}".encode(), digest_size=16).digest()


def mixed_in(order: Sequence[int], audit: Sequence[int], first: int = 0) -> list[int]:
    """Both in one sequence, each in its own order, the audit spread evenly over it from ``first`` on.

    The j-th of m audited texts stands at place f + floor((j + 1/2) * (n - f) / m) of all n, counted
    from 0, where f is ``first`` or, in a short sequence, n - m.
    """
    total = len(order) + len(audit)
    first = min(first, len(order))
    places = {first + int((j + 0.5) * (total - first) / len(audit)): number for j, number in enumerate(audit)}
    rest = iter(order)
    return [places[place] if place in places else next(rest) for place in range(total)]
