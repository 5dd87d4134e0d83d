"""Cosine similarity of embeddings (spec, "Words")."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from allabel_core.errors import InvalidInputError
from allabel_core.similarity.base import Floor, Neighbours
from allabel_core.similarity.remembering import Lists, first_listed
from allabel_core.similarity.topk import best_of_rows, no_neighbours, rounded
from allabel_core.types import BoolArray, FloatArray, IntArray

_BLOCK_VALUES = 4_000_000


class Embeddings:
    """S[q, d] = cosine of the vectors of q and d. A zero vector is similar to nothing, at 0.

    :param vectors: (n, dimensions), any length each.
    :raises InvalidInputError: if ``vectors`` is no finite matrix.
    """

    def __init__(self, vectors: npt.ArrayLike, *, decimals: int = 6) -> None:
        self.decimals = decimals
        matrix = np.asarray(vectors, dtype=np.float64)
        if matrix.ndim != 2 or not np.isfinite(matrix).all():
            raise InvalidInputError("vectors must be a finite matrix, one row a text")
        self._unit = _normalised(matrix)

    def __len__(self) -> int:
        return len(self._unit)

    def scores(self, vector: npt.ArrayLike) -> FloatArray:
        """(n,): cosine of every text to a vector that need not be in the pool, rounded."""
        unit = _normalised(np.asarray(vector, dtype=np.float64)[None, :])[0]
        return rounded(self._unit @ unit, self.decimals)

    def mean_to_others(self) -> FloatArray:
        n = len(self)
        if n < 2:
            return np.zeros(n)
        totals = self._unit @ self._unit.sum(axis=0)
        return rounded((totals - self._unrounded_self_similarity()) / (n - 1), self.decimals)

    def column(self, d: int) -> FloatArray:
        return rounded(self._unit @ self._unit[d], self.decimals)

    def first_listed(
        self, lists: Lists, k: int, queries: IntArray, candidates: BoolArray
    ) -> tuple[Neighbours, BoolArray]:
        return first_listed(lists, k, queries, candidates)

    def lazily_closest(self, floor: Floor) -> None:
        """Nothing quicker than columns."""

    @cached_property
    def _unit32(self) -> npt.NDArray[np.float32]:
        return self._unit.astype(np.float32)

    @property
    def rough_error(self) -> float:
        """How far ``rough_column`` can be from ``column``: float32 sums of products of unit vectors
        (each rounding at most 2**-24 of a total of at most 1, doubled to be safe), and rounding."""
        return (self._unit.shape[1] + 8) * 2.0**-23 + 10.0**-self.decimals

    def rough_column(self, d: int) -> npt.NDArray[np.float32]:
        """(n,): S[:, d] in float32, sooner."""
        column: npt.NDArray[np.float32] = self._unit32 @ self._unit32[d]
        return column

    def block(self, queries: IntArray, documents: IntArray | None = None) -> FloatArray:
        return rounded(self._rows(queries, documents), self.decimals)

    def self_similarity(self) -> FloatArray:
        return rounded(self._unrounded_self_similarity(), self.decimals)

    def neighbours(
        self, k: int, *, queries: IntArray | None = None, candidates: BoolArray | None = None
    ) -> Neighbours:
        queries = np.arange(len(self)) if queries is None else queries
        documents = np.arange(len(self)) if candidates is None else np.flatnonzero(candidates)
        found = no_neighbours(len(queries), k)
        step = max(1, _BLOCK_VALUES // max(1, len(documents)))
        for start in range(0, len(queries), step):
            part = queries[start : start + step]
            rows = self._rows(part, documents)
            best = best_of_rows(rows, k, queries=part, documents=documents, decimals=self.decimals)
            for whole, piece in zip(found, best, strict=True):
                whole[start : start + step] = piece
        return found

    def _rows(self, queries: IntArray, documents: IntArray | None) -> FloatArray:
        rows: FloatArray = (
            self._unit[queries] @ (self._unit if documents is None else self._unit[documents]).T
        )
        return rows

    def _unrounded_self_similarity(self) -> FloatArray:
        squares: FloatArray = np.einsum("ij,ij->i", self._unit, self._unit)
        return squares


def _normalised(matrix: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: FloatArray = np.divide(matrix, lengths, out=np.zeros_like(matrix), where=lengths > 0)
    return unit
