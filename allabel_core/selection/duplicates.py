"""Near-identical texts: at most one of a group is worth a human's time."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from allabel_core.errors import InvalidInputError
from allabel_core.types import BoolArray, IntArray


def near_duplicate_leaders(
    tokens: Sequence[Sequence[str]], threshold: float, *, annotated: Sequence[int] = ()
) -> IntArray:
    """(n,): for each text the text that stands for it, itself where nothing earlier is near-identical.

    Texts are gone through in order, the annotated ones first. A text is *near-identical* to another if
    their sets of tokens have a Jaccard index of at least ``threshold``; two texts without a token are
    identical. Its leader is the first such text that leads itself, so two leaders are never
    near-identical, unless both are annotated.

    Exact: near-identical sets share one of their few rarest tokens (prefix filtering: Chaudhuri, Ganti
    and Kaushik, 2006), hence only leaders that share one are compared.

    :param tokens: of each of the n texts.
    :param threshold: above 0, at most 1.
    :raises InvalidInputError: if the threshold is outside that range.
    """
    if not 0 < threshold <= 1:
        raise InvalidInputError(f"the near-identity threshold must be above 0 and at most 1: {threshold}")
    sets = _rarest_first(tokens)
    leaders = np.arange(len(sets), dtype=np.int64)
    found = _Leaders(threshold)
    for index in annotated:
        found.add(index, sets[index])
    already = set(annotated)
    leader_of_same: dict[tuple[int, ...], int] = {}
    for index, members in enumerate(sets):
        if index in already:
            continue
        leader = leader_of_same.get(members)
        if leader is None:
            leader = found.leader_of(members)
        if leader is None:
            found.add(index, members)
            leader = index
        leader_of_same[members] = leader
        leaders[index] = leader
    return leaders


def worth_asking(leaders: IntArray) -> BoolArray:
    """(n,): True for the texts that stand for themselves; a ``SelectionRequest.eligible``."""
    own: BoolArray = leaders == np.arange(len(leaders))
    return own


class _Leaders:
    """The texts that stand for themselves, found again by their rarest tokens."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._order: list[int] = []
        self._members: list[tuple[int, ...]] = []
        self._places_by_token: dict[int, list[int]] = defaultdict(list)
        self._place_of_empty: int | None = None

    def add(self, index: int, members: tuple[int, ...]) -> None:
        place = len(self._order)
        self._order.append(index)
        self._members.append(members)
        if not members and self._place_of_empty is None:
            self._place_of_empty = place
        for token in members[: self._prefix_length(len(members))]:
            self._places_by_token[token].append(place)

    def leader_of(self, members: tuple[int, ...]) -> int | None:
        if not members:
            return None if self._place_of_empty is None else self._order[self._place_of_empty]
        prefix = members[: self._prefix_length(len(members))]
        places = {place for token in prefix for place in self._places_by_token.get(token, ())}
        own = set(members)
        for place in sorted(places):
            if self._near_identical(own, self._members[place]):
                return self._order[place]
        return None

    def _prefix_length(self, size: int) -> int:
        # A partner shares at least threshold * size tokens, so it lacks fewer than this many.
        # The tiny allowance keeps a product such as 0.7 * 10 from being rounded up to 8.
        return size - math.ceil(self._threshold * size - 1e-9) + 1

    def _near_identical(self, own: set[int], other: tuple[int, ...]) -> bool:
        shorter, longer = sorted((len(own), len(other)))
        if shorter < self._threshold * longer:
            return False
        shared = sum(token in own for token in other)
        return shared >= self._threshold * (shorter + longer - shared)


def _rarest_first(tokens: Sequence[Sequence[str]]) -> list[tuple[int, ...]]:
    """Each text's set of tokens as numbers, ascending, the rarest token of the pool being number 0."""
    texts_with = Counter(token for of_text in tokens for token in set(of_text))
    rank = {token: place for place, token in enumerate(sorted(texts_with, key=lambda t: (texts_with[t], t)))}
    return [tuple(sorted(rank[token] for token in set(of_text))) for of_text in tokens]
