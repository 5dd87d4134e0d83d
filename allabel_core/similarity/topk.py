"""The k best of each row, ties by the lower index."""

from __future__ import annotations

import numpy as np

from allabel_core.similarity.base import Neighbours
from allabel_core.types import FloatArray, IntArray


def best_of_rows(
    rows: FloatArray, k: int, *, queries: IntArray, documents: IntArray, decimals: int
) -> Neighbours:
    """The k best documents of each row, by value rounded to ``decimals``.

    :param rows: (q, d) unrounded similarities of ``queries`` to ``documents``; overwritten.
    :param documents: ascending indices, so that the lower column is the lower index.
    """
    found = no_neighbours(len(queries), k)
    width = min(k, len(documents))
    if width == 0 or len(queries) == 0:
        return found
    place = np.searchsorted(documents, queries)
    itself = np.flatnonzero(documents[np.minimum(place, len(documents) - 1)] == queries)
    rows[itself, place[itself]] = -np.inf
    compared = rounded(rows, decimals)
    best = _stable_top(compared, width)
    values = np.take_along_axis(compared, best, axis=1)
    missing = np.isneginf(values)
    found.indices[:, :width] = np.where(missing, -1, documents[best])
    found.similarities[:, :width] = values
    found.unrounded[:, :width] = np.where(missing, 0.0, np.take_along_axis(rows, best, axis=1))
    return found


def rounded(values: FloatArray, decimals: int) -> FloatArray:
    """``values`` as they are compared."""
    compared: FloatArray = np.round(values, decimals)
    return compared


def no_neighbours(queries: int, k: int) -> Neighbours:
    """Padding alone, to be filled in."""
    return Neighbours(
        np.full((queries, k), -1, dtype=np.int64), np.full((queries, k), -np.inf), np.zeros((queries, k))
    )


def _stable_top(values: FloatArray, width: int) -> IntArray:
    """(q, width): columns of the largest values, descending, the lower column first among equals."""
    best = np.empty((len(values), width), dtype=np.int64)
    if width * 4 >= values.shape[1]:
        return np.argsort(-values, axis=1, kind="stable")[:, :width]
    work = values.copy()
    rows = np.arange(len(values))
    for place in range(width):
        # argmax returns the first, hence lowest, of equal columns.
        best[:, place] = work.argmax(axis=1)
        work[rows, best[:, place]] = -np.inf
    return best
