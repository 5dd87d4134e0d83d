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


class Remembering:
    """The same answers as ``inner``, of which lists of neighbours and recent columns are kept."""

    def __init__(self, inner: Rememberable, lists: Lists | None = None) -> None:
        self.inner = inner
        self.decimals = inner.decimals
        self.known_lists = lists
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
        queries = np.arange(n) if queries is None else queries
        candidates = np.ones(n, dtype=np.bool_) if candidates is None else candidates
        few = int(candidates.sum())
        if k == 1 and few <= self._columns_to_keep():
            return self._nearest_by_columns(queries, np.flatnonzero(candidates))
        if 2 * few < n or 2 * k > WIDTH:
            return self.inner.neighbours(k, queries=queries, candidates=candidates)
        found, complete = self._from_lists(k, queries, candidates)
        missing = np.flatnonzero(~complete)
        if len(missing):
            asked = self.inner.neighbours(k, queries=queries[missing], candidates=candidates)
            for whole, piece in zip(found, asked, strict=True):
                whole[missing] = piece
        return found

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

    def _nearest_by_columns(self, queries: IntArray, documents: IntArray) -> Neighbours:
        nearest = no_neighbours(len(self), 1)
        best = nearest.similarities[:, 0]
        for d in documents.tolist():
            similarities, unrounded = self._column(d)
            closer = np.flatnonzero(similarities > best)
            closer = closer[closer != d]
            nearest.indices[closer, 0] = d
            best[closer] = similarities[closer]
            nearest.unrounded[closer, 0] = unrounded[closer]
        return Neighbours(nearest.indices[queries], nearest.similarities[queries], nearest.unrounded[queries])

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
