"""Which occurrence each mention means, given that a model names them in reading order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple


class Place(NamedTuple):
    """A stretch of the text that a mention may mean. ``quality``: in (0, 1]; ``method``: how it was found."""

    start: int
    end: int
    quality: float
    method: str


# Half a second's work; reached only where a long text repeats a few words that are named often.
MAX_CANDIDATES = 500_000


class _Link(NamedTuple):
    mention: int
    place: Place
    before: _Link | None


def longest_chain(candidates: Sequence[Sequence[Place]]) -> list[Place | None]:
    """Places for as many mentions as possible, disjoint and in the mentions' order, leftmost first.

    ``candidates``: for each mention, in the order in which the model named them, where its words occur.
    A mention that does not fit into the chain gets None. Time: n log n in the number of candidates;
    beyond ``MAX_CANDIDATES`` each mention takes the first place after the one before it, in linear time.
    """
    if sum(map(len, candidates)) > MAX_CANDIDATES:
        return _first_after_the_last(candidates)
    # ends[i]: the lowest end of any chain of i + 1 mentions so far; links[i]: that chain's last link.
    ends: list[int] = []
    links: list[_Link] = []
    for mention, places in enumerate(candidates):
        better: dict[int, _Link] = {}
        for place in places:
            length = bisect_right(ends, place.start)
            rival = (
                better[length].place.end if length in better else ends[length] if length < len(ends) else None
            )
            if rival is None or place.end < rival:
                better[length] = _Link(mention, place, links[length - 1] if length else None)
        # Only now, since a mention must not follow itself.
        for length, link in better.items():
            if length == len(ends):
                ends.append(link.place.end)
                links.append(link)
            else:
                ends[length], links[length] = link.place.end, link
    chosen: list[Place | None] = [None] * len(candidates)
    last = links[-1] if links else None
    while last is not None:
        chosen[last.mention] = last.place
        last = last.before
    return chosen


def _first_after_the_last(candidates: Sequence[Sequence[Place]]) -> list[Place | None]:
    chosen: list[Place | None] = []
    end = 0
    for places in candidates:
        i = bisect_left(places, end, key=lambda place: place.start)
        chosen.append(places[i] if i < len(places) else None)
        end = places[i].end if i < len(places) else end
    return chosen
