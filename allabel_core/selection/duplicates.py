"""Near-identical texts: at most one of a group is worth a human's time."""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np

from allabel_core.errors import InvalidInputError
from allabel_core.types import BoolArray, IntArray

# Of 1 to 5 the one that is fastest on 10,000 texts of 100 tokens.
_SHARED = 3


def near_duplicate_leaders(
    tokens: Iterable[Sequence[str]], threshold: float, *, annotated: Sequence[int] = ()
) -> IntArray:
    """(n,): for each text the text that stands for it, itself where nothing earlier is near-identical.

    Texts are gone through in order, the annotated ones first. A text is *near-identical* to another if
    their sets of tokens have a Jaccard index of at least ``threshold``; two texts without a token are
    identical. Its leader is the first such text that leads itself, so two leaders are never
    near-identical, unless both are annotated.

    Exact: near-identical sets share several of their few rarest tokens (prefix filtering: Chaudhuri,
    Ganti and Kaushik, 2006; with more than one token: Wang, Li and Feng, 2012), hence only leaders that
    share as many are compared.

    :param tokens: of each of the n texts, gone through once.
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
    leader_of_same: dict[bytes, int] = {}
    for index, members in enumerate(sets):
        if index in already:
            continue
        leader = leader_of_same.get(members.tobytes())
        if leader is None:
            leader = found.leader_of(members)
        if leader is None:
            found.add(index, members)
            leader = index
        leader_of_same[members.tobytes()] = leader
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
        self._members: list[IntArray] = []
        self._shared_at_least: list[int] = []
        self._places_by_token: dict[int, list[int]] = defaultdict(list)
        self._place_of_empty: int | None = None

    def add(self, index: int, members: IntArray) -> None:
        place = len(self._order)
        prefix, shared_at_least = self._prefix(members)
        self._order.append(index)
        self._members.append(members)
        self._shared_at_least.append(shared_at_least)
        if not len(members) and self._place_of_empty is None:
            self._place_of_empty = place
        for token in prefix:
            self._places_by_token[token].append(place)

    def leader_of(self, members: IntArray) -> int | None:
        if not len(members):
            return None if self._place_of_empty is None else self._order[self._place_of_empty]
        prefix, shared_at_least = self._prefix(members)
        shared = Counter(chain.from_iterable(self._places_by_token.get(token, ()) for token in prefix))
        for place, count in sorted(shared.items()):
            enough = count >= shared_at_least or count >= self._shared_at_least[place]
            if enough and self._near_identical(members, self._members[place]):
                return self._order[place]
        return None

    def _prefix(self, members: IntArray) -> tuple[list[int], int]:
        """The rarest tokens, and how many of them a near-identical set has among its own rarest."""
        # The tiny allowance keeps a product such as 0.7 * 10 from being rounded up to 8.
        in_common = math.ceil(self._threshold * len(members) - 1e-9)
        shared_at_least = min(_SHARED, in_common)
        return members[: len(members) - in_common + shared_at_least].tolist(), shared_at_least

    def _near_identical(self, members: IntArray, other: IntArray) -> bool:
        shorter, longer = sorted((len(members), len(other)))
        if shorter < self._threshold * longer:
            return False
        shared = len(np.intersect1d(members, other, assume_unique=True))
        return shared >= self._threshold * (shorter + longer - shared)


def _rarest_first(tokens: Iterable[Sequence[str]]) -> list[IntArray]:
    """Each text's set of tokens as numbers, ascending; the rarest token of the pool is number 0."""
    numbers: dict[str, int] = {}
    in_all = array("q")
    lengths = []
    for of_text in tokens:
        in_all.extend(numbers.setdefault(token, len(numbers)) for token in of_text)
        lengths.append(len(of_text))
    n = len(lengths)
    width = max(len(numbers), 1)
    # One number for each (text, token) orders and dedupes all of them at once.
    distinct = np.unique(np.repeat(np.arange(n), lengths) * width + np.asarray(in_all, dtype=np.int64))
    texts_with = np.bincount(distinct % width, minlength=width)
    rank = np.empty(width, dtype=np.int64)
    rank[np.argsort(texts_with, kind="stable")] = np.arange(width)
    ranked = np.sort(distinct // width * width + rank[distinct % width])
    ends = np.cumsum(np.bincount(ranked // width, minlength=n))
    return np.split(ranked % width, ends[:-1]) if n else []
