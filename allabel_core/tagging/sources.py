"""What is suggested for a text, and who says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from allabel_core.types import Span

Source: TypeAlias = Literal["model", "tagger", "lexicon", "dictionary"]


class ModelSpan(NamedTuple):
    """A span of a language model's answer. ``score``: its own confidence in [0, 1]. ``linked``: it is an end
    of a relation, and therefore stays.
    """

    span: Span
    score: float
    linked: bool = False


@dataclass(frozen=True, slots=True)
class SuggestedSpan:
    """A span with the probability that people would keep it just so.

    ``sources``: who proposes just this span. ``marked`` of ``seen``: how often people marked its words so,
    both 0 where nobody did.
    """

    span: Span
    confidence: float
    sources: tuple[Source, ...]
    marked: int = 0
    seen: int = 0

    def because(self) -> str:
        """Such as "model and tagger; lexicon: marked 7 of 7 times"."""
        names = [source for source in self.sources if source != "lexicon"]
        parts = [" and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))] if names else []
        if self.marked:
            times = "time" if self.seen == 1 else "times"
            parts.append(f"lexicon: marked {self.marked} of {self.seen} {times}")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class TextSuggestion:
    """Spans in reading order; those that are not the model's never overlap.

    ``expected_errors``: spans expected to be wrong or missing. ``doubt``: tokens that the tagger is expected
    to get wrong.
    """

    spans: tuple[SuggestedSpan, ...]
    expected_errors: float
    doubt: float


ModelSpans: TypeAlias = Sequence[ModelSpan]
