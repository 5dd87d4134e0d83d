"""A similarity that remembers what it was asked, for pools that are ranked again and again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from allabel_core.similarity.base import FindsFarthest, Floor, Neighbours, Similarity
from allabel_core.similarity.nearest import nearest_before
from allabel_core.similarity.topk import no_neighbours
from allabel_core.types import BoolArray, FloatArray, IntArray

WIDTH = 16
MOST_UNKNOWN = 1
"""So many columns are worth computing to bound others in rankings to come, where most are bounded already."""
_COLUMN_BYTES = 128_000_000


class Rememberable(Similarity, Protocol):
    """A similarity that can be asked again with few scores."""

    def first_listed(
        self, lists: Lists, k: int, queries: IntArray, candidates: BoolArray
    ) -> tuple[Neighbours, BoolArray]:
        """The first k listed candidates, and for which queries no other belongs among them; what is
        found out of stale similarities is put in ``lists``."""

    def lazily_closest(self, floor: Floor) -> FindsFarthest | None:
        """With nothing chosen yet; None where ``ClosestChosen`` is as quick."""


@dataclass(frozen=True, slots=True)
class Lists:
    """For every text the beginning of the list of all others, most similar first.

    ``neighbours``: (n, width). ``left_out``: (n,) no text outside the list is more similar (rounded)
    than this; one that is as similar has a higher index than every listed text that is. ``stale``:
    (n, width) the similarity is only a bound from above. ``loose``: (n,) so is ``left_out``.
    """

    neighbours: Neighbours
    left_out: FloatArray
    stale: BoolArray
    loose: BoolArray

    @classmethod
    def fresh(cls, neighbours: Neighbours) -> Lists:
        stale = np.zeros(neighbours.indices.shape, dtype=np.bool_)
        return cls(neighbours, neighbours.similarities[:, -1].copy(), stale, stale[:, -1].copy())

    def renew(self, rows: IntArray, neighbours: Neighbours) -> None:
        """Put (len(rows), width) ``neighbours`` just computed in place of ``rows``."""
        _put(self.neighbours, rows, neighbours)
        self.left_out[rows] = neighbours.similarities[:, -1]
        self.stale[rows] = False
        self.loose[rows] = False


def first_listed(
    lists: Lists, k: int, queries: IntArray, candidates: BoolArray
) -> tuple[Neighbours, BoolArray]:
    """See ``Rememberable``; for lists without stale similarities."""
    indices, similarities, unrounded = lists.neighbours
    listed = Neighbours(indices[queries], similarities[queries], unrounded[queries])
    allowed = (listed.indices >= 0) & candidates[listed.indices]
    place = np.cumsum(allowed, axis=1) - 1
    rows, columns = np.nonzero(allowed & (place < k))
    found = no_neighbours(len(queries), k)
    for whole, part in zip(found, listed, strict=True):
        whole[rows, place[rows, columns]] = part[rows, columns]
    everything = np.isneginf(lists.left_out[queries])
    return found, (place[:, -1] >= k - 1) | everything


@dataclass(frozen=True, slots=True)
class Floors:
    """Of some texts d numbers that S[:, d] are not below: ``scale`` x ``columns[d]`` - ``drop`` (n,).

    A column may be shorter than n: nothing is known of the last texts.
    """

    columns: dict[int, FloatArray]
    scale: float
    drop: FloatArray

    def get(self, d: int) -> FloatArray:
        column = self.columns[d]
        return self.scale * column - self.drop[: len(column)]

    def put(self, d: int, floor: FloatArray) -> None:
        self.columns[d] = (floor + self.drop) / self.scale


@dataclass(slots=True)
class Memory:
    """What rankings of one pool leave for those of the next, somewhat different one.

    ``nearest``: (n,) the text most similar to each in the last corpus looked at, -1 for none;
    ``at_least``: (n,) so similar it is at least.
    """

    lists: Lists | None
    nearest: IntArray
    at_least: FloatArray
    floors: Floors

    @classmethod
    def empty(cls, n: int) -> Memory:
        floors = Floors({}, 1.0, np.zeros(n))
        return cls(None, np.full(n, -1, dtype=np.int64), np.full(n, -np.inf), floors)


@dataclass(frozen=True, slots=True)
class _Long:
    """``neighbours``: (n, k) the answer for every text among ``candidates``, a mask (n,)."""

    candidates: BoolArray
    neighbours: Neighbours


class Remembering:
    """The same answers as ``inner``, of which lists of neighbours, recent columns, the last long lists and
    what was nearest in the last corpus asked about are kept. Answers must not be changed in place.

    :param memory: of the pool before, brought up to date.
    """

    def __init__(self, inner: Rememberable, memory: Memory | None = None) -> None:
        self.inner = inner
        self.decimals = inner.decimals
        self.memory = Memory.empty(len(inner)) if memory is None else memory
        # Floors that are not asked for in this pool either are not kept for the next.
        self._floors = self.memory.floors
        self.memory.floors = replace(self._floors, columns={})
        self._unknown_columns = MOST_UNKNOWN if self._floors.columns else self._columns_to_keep
        self._long: _Long | None = None
        self._columns: OrderedDict[int, FloatArray] = OrderedDict()

    def __len__(self) -> int:
        return len(self.inner)

    @cached_property
    def _means(self) -> FloatArray:
        return self.inner.mean_to_others()

    def mean_to_others(self) -> FloatArray:
        return self._means.copy()

    def column(self, d: int) -> FloatArray:
        return self._column(d).copy()

    def _column(self, d: int) -> FloatArray:
        known = self._columns.get(d)
        if known is None:
            known = self._columns[d] = self.inner.column(d)
            if len(self._columns) > self._columns_to_keep:
                self._columns.popitem(last=False)
        else:
            self._columns.move_to_end(d)
        return known

    @property
    def _columns_to_keep(self) -> int:
        return _COLUMN_BYTES // max(1, 8 * len(self))

    def block(self, queries: IntArray, documents: IntArray | None = None) -> FloatArray:
        return self.inner.block(queries, documents)

    def nearest_before(self, texts: IntArray, first: int) -> tuple[IntArray, FloatArray]:
        return nearest_before(self.inner, texts, first)

    def self_similarity(self) -> FloatArray:
        return self.inner.self_similarity()

    @property
    def lists(self) -> Lists:
        """Made when first needed."""
        if self.memory.lists is None:
            self.memory.lists = Lists.fresh(self.inner.neighbours(WIDTH))
        return self.memory.lists

    def closest_chosen(self) -> FindsFarthest | None:
        return self.inner.lazily_closest(self._floor)

    def _floor(self, d: int) -> FloatArray | None:
        kept = self.memory.floors
        if d not in self._columns:
            if d in self._floors.columns:
                kept.columns[d] = self._floors.columns[d]
                return kept.get(d)
            if self._unknown_columns == 0:
                return None
            self._unknown_columns -= 1
        floor = self._column(d)
        if len(kept.columns) < self._columns_to_keep:
            kept.put(d, floor)
        return floor

    def worst_served(self, count: int, queries: IntArray, candidates: BoolArray) -> IntArray:
        """The ``count`` queries whose most similar candidate is least similar, worst first, ties by the
        earlier query.

        One candidate, the nearest of the last time or one that is listed, bounds the best from below.
        Those with the lowest bounds are looked up, then all whose bounds the values found do not rule out.
        """
        count = min(count, len(queries))
        nearest, at_least = self.memory.nearest, self.memory.at_least
        guessed = nearest[queries]
        unknown = queries[(guessed < 0) | ~candidates[guessed]]
        listed = no_neighbours(len(unknown), 1)
        if self.memory.lists is not None:
            listed, _ = self.inner.first_listed(self.memory.lists, 1, unknown, candidates)
        nearest[unknown], at_least[unknown] = listed.indices[:, 0], listed.similarities[:, 0]
        best = at_least[queries]
        asked = _lowest(best, count + int(np.count_nonzero(np.isneginf(best))))
        bound = np.ones(len(queries), dtype=np.bool_)
        while len(asked):
            found = self.inner.neighbours(1, queries=queries[asked], candidates=candidates)
            nearest[queries[asked]] = found.indices[:, 0]
            best[asked] = at_least[queries[asked]] = found.similarities[:, 0]
            bound[asked] = False
            enough = np.sort(best[~bound])[:count].max(initial=-np.inf)
            asked = np.flatnonzero(bound & (best <= enough))
        return queries[_lowest(best, count)]

    def neighbours(
        self, k: int, *, queries: IntArray | None = None, candidates: BoolArray | None = None
    ) -> Neighbours:
        n = len(self)
        candidates = np.ones(n, dtype=np.bool_) if candidates is None else candidates
        few = int(candidates.sum())
        if queries is None and 2 * k > WIDTH:
            return self._long_lists(k, candidates)
        queries = np.arange(n) if queries is None else queries
        if 2 * few < n or 2 * k > WIDTH:
            return self.inner.neighbours(k, queries=queries, candidates=candidates)
        found, complete = self.inner.first_listed(self.lists, k, queries, candidates)
        loose = np.flatnonzero(~complete & self.lists.loose[queries])
        if len(loose):
            rows = np.unique(queries[loose])
            self.lists.renew(rows, self.inner.neighbours(WIDTH, queries=rows))
            again, complete[loose] = self.inner.first_listed(self.lists, k, queries[loose], candidates)
            _put(found, loose, again)
        missing = np.flatnonzero(~complete)
        if len(missing):
            _put(found, missing, self.inner.neighbours(k, queries=queries[missing], candidates=candidates))
        return found

    def _long_lists(self, k: int, candidates: BoolArray) -> Neighbours:
        """Every text's, as ``coverage`` asks for them in each ranking: kept for the same question."""
        known = self._long
        if (
            known is None
            or known.neighbours.indices.shape[1] != k
            or not np.array_equal(known.candidates, candidates)
        ):
            found = self.inner.neighbours(k, candidates=candidates)
            for part in found:
                part.flags.writeable = False
            known = self._long = _Long(candidates.copy(), found)
        return known.neighbours


def _lowest(values: FloatArray, count: int) -> IntArray:
    """Where the ``count`` lowest values are, lowest first, ties by the lower place."""
    if 0 < count < len(values):
        low = np.flatnonzero(values <= np.partition(values, count - 1)[count - 1])
        return low[np.argsort(values[low], kind="stable")[:count]]
    return np.argsort(values, kind="stable")[:count]


def _put(whole: Neighbours, rows: IntArray, pieces: Neighbours) -> None:
    for part, piece in zip(whole, pieces, strict=True):
        part[rows] = piece
