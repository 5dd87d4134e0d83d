"""The most similar of the texts before each, for the reasons of picks."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from allabel_core.similarity.base import Similarity
from allabel_core.types import FloatArray, IntArray

_ROWS_AT_ONCE = 256


@runtime_checkable
class FindsNearest(Similarity, Protocol):
    """A similarity that finds the nearest sooner than from blocks."""

    def nearest_before(self, texts: IntArray, first: int) -> tuple[IntArray, FloatArray]:
        """See the function."""


def nearest_before(similarity: Similarity, texts: IntArray, first: int) -> tuple[IntArray, FloatArray]:
    """(len(texts) - first,) twice: which of all texts before it is most similar to each of ``texts[first:]``,
    the first of several, -1 where none is before it; and how similar."""
    if isinstance(similarity, FindsNearest):
        return similarity.nearest_before(texts, first)
    return nearest_by_blocks(similarity, texts, first)


def nearest_by_blocks(similarity: Similarity, texts: IntArray, first: int) -> tuple[IntArray, FloatArray]:
    """The same for any similarity."""
    nearest = np.full(len(texts) - first, -1, dtype=np.int64)
    similarities = np.full(len(texts) - first, -np.inf)
    for start in range(first, len(texts), _ROWS_AT_ONCE):
        rows = np.arange(start, min(start + _ROWS_AT_ONCE, len(texts)))
        before = texts[: rows[-1] + 1]
        block = similarity.block(texts[rows], before)
        block[np.arange(len(before)) >= rows[:, None]] = -np.inf
        best = np.argmax(block, axis=1)
        highest = block[np.arange(len(rows)), best]
        similarities[rows - first] = highest
        nearest[rows - first] = np.where(np.isneginf(highest), -1, before[best])
    return nearest, similarities
