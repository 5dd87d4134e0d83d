"""A similarity that remembers what it was asked, for pools that are ranked again and again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from allabel_core.similarity.base import Neighbours, Similarity
from allabel_core.similarity.topk import no_neighbours, rounded
from allabel_core.types import BoolArray, FloatArray, IntArray

WIDTH = 16
# With more new candidates than this, columns take longer than asking afresh.
_MOST_ADDED = 64
_COLUMN_BYTES = 128_000_000


class Rememberable(Similarity, Protocol):
    """A similarity that also gives its columns before rounding."""

    def unrounded_column(self, d: int) -> FloatArray:
        """(n,): S[:, d]."""


@dataclass(frozen=True, slots=True)
class Lists:
    """For every text the beginning of the list of all others, most similar first.

    ``neighbours``: (n, width). ``left_out``: (n,) no text outside the list is more similar (rounded)
    than this; one that is as similar has a higher index than every listed text that is.
    """

    neighbours: Neighbours
    left_out: FloatArray


@dataclass(frozen=True, slots=True)
class _Nearest:
    """``neighbours``: (n, 1) every text's most similar one of ``candidates``, a mask (n,)."""

    candidates: BoolArray
    neighbours: Neighbours


@dataclass(frozen=True, slots=True)
class _Long:
    """``neighbours``: (n, k) the answer for every text among ``candidates``, a mask (n,)."""

    candidates: BoolArray
    neighbours: Neighbours


class Remembering:
    """The same answers as ``inner``, of which lists of neighbours, recent columns, the last long lists and
    what was nearest in the last corpus asked about are kept. Answers must not be changed in place."""

    def __init__(self, inner: Rememberable, lists: Lists | None = None) -> None:
        self.inner = inner
        self.decimals = inner.decimals
        self.known_lists = lists
        self._nearest: _Nearest | None = None
        self._long: _Long | None = None
        self._columns: OrderedDict[int, tuple[FloatArray, FloatArray]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.inner)

    @cached_property
    def _means(self) -> FloatArray:
        return self.inner.mean_to_others()

    def mean_to_others(self) -> FloatArray:
        return self._means.copy()

    def column(self, d: int) -> FloatArray:
        return self._column(d)[0].copy()

    def block(self, queries: IntArray, documents: IntArray | None = None) -> FloatArray:
        return self.inner.block(queries, documents)

    def self_similarity(self) -> FloatArray:
        return self.inner.self_similarity()

    @property
    def lists(self) -> Lists:
        """Made when first needed."""
        if self.known_lists is None:
            found = self.inner.neighbours(WIDTH)
            self.known_lists = Lists(found, found.similarities[:, -1])
        return self.known_lists

    def neighbours(
        self, k: int, *, queries: IntArray | None = None, candidates: BoolArray | None = None
    ) -> Neighbours:
        n = len(self)
        candidates = np.ones(n, dtype=np.bool_) if candidates is None else candidates
        few = int(candidates.sum())
        if queries is None and 2 * k > WIDTH:
            return self._long_lists(k, candidates)
        queries = np.arange(n) if queries is None else queries
        if k == 1 and 2 * few < n:
            indices, similarities, unrounded = self._nearest_of(candidates)
            return Neighbours(indices[queries], similarities[queries], unrounded[queries])
        if 2 * few < n or 2 * k > WIDTH:
            return self.inner.neighbours(k, queries=queries, candidates=candidates)
        found, complete = self._from_lists(k, queries, candidates)
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

    def _from_lists(self, k: int, queries: IntArray, candidates: BoolArray) -> tuple[Neighbours, BoolArray]:
        """The first k listed candidates, and for which queries that many are listed."""
        indices, similarities, unrounded = self.lists.neighbours
        listed = Neighbours(indices[queries], similarities[queries], unrounded[queries])
        allowed = (listed.indices >= 0) & candidates[listed.indices]
        place = np.cumsum(allowed, axis=1) - 1
        rows, columns = np.nonzero(allowed & (place < k))
        found = no_neighbours(len(queries), k)
        for whole, part in zip(found, listed, strict=True):
            whole[rows, place[rows, columns]] = part[rows, columns]
        everything = np.isneginf(self.lists.left_out[queries])
        return found, (place[:, -1] >= k - 1) | everything

    def _nearest_of(self, candidates: BoolArray) -> Neighbours:
        """Every text's most similar candidate; kept, and corrected where the candidates differ a little."""
        known = self._nearest
        if known is None or int((candidates & ~known.candidates).sum()) > _MOST_ADDED:
            nearest = self._nearest_afresh(np.arange(len(self)), candidates)
        else:
            before = known.neighbours
            nearest = Neighbours(before.indices.copy(), before.similarities.copy(), before.unrounded.copy())
            for d in np.flatnonzero(candidates & ~known.candidates).tolist():
                self._take_closer(nearest, d)
            found = nearest.indices[:, 0]
            gone = np.flatnonzero((found < 0) | ~candidates[found])
            _put(nearest, gone, self._nearest_afresh(gone, candidates))
        self._nearest = _Nearest(candidates.copy(), nearest)
        return nearest

    def _nearest_afresh(self, queries: IntArray, candidates: BoolArray) -> Neighbours:
        if self.known_lists is None:
            return self.inner.neighbours(1, queries=queries, candidates=candidates)
        found, complete = self._from_lists(1, queries, candidates)
        missing = np.flatnonzero(~complete)
        _put(found, missing, self.inner.neighbours(1, queries=queries[missing], candidates=candidates))
        return found

    def _take_closer(self, nearest: Neighbours, d: int) -> None:
        """Put text d where it is nearer than what stands there, or as near with a lower index."""
        similarities, unrounded = self._column(d)
        best = nearest.similarities[:, 0]
        closer = (similarities > best) | ((similarities == best) & (d < nearest.indices[:, 0]))
        closer[d] = False
        nearest.indices[closer, 0] = d
        nearest.similarities[closer, 0] = similarities[closer]
        nearest.unrounded[closer, 0] = unrounded[closer]

    def _columns_to_keep(self) -> int:
        return _COLUMN_BYTES // max(1, 16 * len(self))

    def _column(self, d: int) -> tuple[FloatArray, FloatArray]:
        known = self._columns.get(d)
        if known is None:
            unrounded = self.inner.unrounded_column(d)
            known = self._columns[d] = rounded(unrounded, self.decimals), unrounded
            if len(self._columns) > self._columns_to_keep():
                self._columns.popitem(last=False)
        else:
            self._columns.move_to_end(d)
        return known


def _put(whole: Neighbours, rows: IntArray, pieces: Neighbours) -> None:
    for part, piece in zip(whole, pieces, strict=True):
        part[rows] = piece
