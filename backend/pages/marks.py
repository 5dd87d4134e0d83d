"""A text cut into pieces where its marked spans begin and end, for showing them in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..usecases.figures import MarkedSpan, SpanChange


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the text; ``change`` is the span that covers it, where one does.

    ``ends``: the span ends here, so its label is due. Of spans that overlap, the later one covers.
    """

    text: str
    change: SpanChange | MarkedSpan | None = None
    ends: bool = False


def pieces(text: str, changes: Sequence[SpanChange | MarkedSpan]) -> list[Piece]:
    """The whole text in order, cut at the bounds of all spans."""
    bounds = sorted({0, len(text), *(b for change in changes for b in (change.start, change.end))})
    found = []
    for start, end in pairwise(bounds):
        covering = [change for change in changes if change.start <= start and end <= change.end]
        change = max(covering, key=lambda each: each.start, default=None)
        found.append(Piece(text[start:end], change, change is not None and end == change.end))
    return found
