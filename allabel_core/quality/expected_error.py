"""How many errors a suggestion is expected to hold: from confidences, and from what was missed before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Outcome(NamedTuple):
    """A suggestion that a person has corrected: spans it had, and spans that the person had to add."""

    suggested: int
    missed: int


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """``missed_when_empty``: spans that a suggestion without any lacks on average; ``missed_per_span``:
    spans that another one lacks for each that it has."""

    missed_when_empty: float = 0.0
    missed_per_span: float = 0.0

    def missed(self, spans: int) -> float:
        return self.missed_per_span * spans if spans else self.missed_when_empty

    def expected_errors(self, confidences: Sequence[float]) -> float:
        """Spans expected to be wrong or missing; ``confidences``: that each span is right, in [0, 1]."""
        return sum(1 - confidence for confidence in confidences) + self.missed(len(confidences))

    def chance_right(self, confidences: Sequence[float]) -> float:
        """The chance that the whole answer is right: every span, and none missing (Poisson)."""
        return math.prod(confidences) * math.exp(-self.missed(len(confidences)))


def learn_errors(history: Sequence[Outcome]) -> ErrorModel:
    """From corrected suggestions; with one imagined suggestion of either kind that lacked one span of two."""
    empty = [outcome.missed for outcome in history if outcome.suggested == 0]
    others = [outcome for outcome in history if outcome.suggested > 0]
    missed, spans = sum(o.missed for o in others), sum(o.suggested for o in others)
    return ErrorModel((sum(empty) + 0.5) / (len(empty) + 1), (missed + 0.5) / (spans + 1))
