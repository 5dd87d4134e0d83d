"""Every query's most similar texts by BM25: float32 to find candidates, float64 to rank them.

Scores of the frequent terms come from a dense product, those of the rest from postings in tiles
that fit the cache. The best ``k + SPARE`` by float32 are scored again in float64; where the k-th of
them does not beat, by the float32 error bound, everything that was left out, the row is scored
exactly instead. Why: docs/decisions/0003-fast-similarity.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from allabel_core.similarity.accelerate import in_threads
from allabel_core.similarity.base import Neighbours
from allabel_core.similarity.bm25_index import Bm25Index, Postings
from allabel_core.similarity.counts import Int32Array
from allabel_core.similarity.topk import no_neighbours, rounded
from allabel_core.types import BoolArray, FloatArray, IntArray

SPARE = 5
_TILE = 8_192
_QUERIES_AT_ONCE = 128
_FREQUENT = 0.15
_MOST_FREQUENT = 256

Float32Array: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tiles:
    """Documents in tiles, ready to be searched.

    ``column``: (terms,) row of each frequent term in ``dense``, -1 for the rare ones; the rest as in
    the kernel ``fill_tiles``. ``longest``: terms of the longest text.
    """

    documents: IntArray
    column: Int32Array
    dense: Float32Array
    pointers: Int32Array
    offsets: npt.NDArray[np.uint16]
    weights: Float32Array
    longest: int


def build_tiles(index: Bm25Index, documents: IntArray, kernels: Any) -> Tiles:
    """Sort the documents' rare terms into tiles of postings, the frequent ones into a dense matrix."""
    n_terms = len(index.term_weights)
    frequency = np.zeros(n_terms, dtype=np.int64)
    kernels.count_texts(index.starts, index.terms, documents, frequency)
    # So frequent that multiplying by their zeros is cheaper than following their postings.
    frequent = np.flatnonzero(frequency > _FREQUENT * len(documents))
    frequent = frequent[np.argsort(-frequency[frequent], kind="stable")[:_MOST_FREQUENT]]
    column = np.full(n_terms, -1, dtype=np.int32)
    column[frequent] = np.arange(len(frequent))
    pointers = np.zeros((-(-len(documents) // _TILE), n_terms + 1), dtype=np.int32)
    kernels.count_postings(index.starts, index.terms, documents, column, _TILE, pointers)
    size = int(pointers[-1, -1])
    offsets, weights = np.empty(size, dtype=np.uint16), np.empty(size, dtype=np.float32)
    dense = np.zeros((len(frequent), len(documents)), dtype=np.float32)
    kernels.fill_tiles(
        index.starts, index.terms, index.impacts, documents, column, _TILE, pointers, offsets, weights, dense
    )
    longest = int(np.diff(index.starts).max(initial=0))
    return Tiles(documents, column, dense, pointers, offsets, weights, longest)


def compiled_neighbours(
    index: Bm25Index,
    k: int,
    *,
    queries: IntArray,
    candidates: BoolArray,
    decimals: int,
    kernels: Any,
    threads: int,
    exact: Callable[[IntArray], Neighbours],
) -> Neighbours:
    """See ``Similarity.neighbours``; exact, needs term weights that are not negative.

    :param exact: what answers the same for queries that float32 leaves in doubt.
    """
    documents = np.flatnonzero(candidates)
    if not len(queries) or not len(documents):
        return no_neighbours(len(queries), k)
    tiles = build_tiles(index, documents, kernels)

    def solve(part: IntArray) -> Neighbours:
        best, found = _candidates(index, tiles, part, k + SPARE, kernels)
        result, certain = _rescored(index, tiles, part, best, found, k, decimals, kernels)
        doubtful = np.flatnonzero(~certain)
        if len(doubtful):
            for whole, piece in zip(result, exact(part[doubtful]), strict=True):
                whole[doubtful] = piece
        return result

    # For a small corpus as many scores at once as for a tile, if that leaves each thread a part.
    step = _QUERIES_AT_ONCE * max(1, _TILE // max(len(documents), _MOST_FREQUENT))
    step = max(_QUERIES_AT_ONCE, min(step, -(-len(queries) // threads)))
    parts = [queries[i : i + step] for i in range(0, len(queries), step)]
    solved = in_threads(solve, parts, threads)
    return Neighbours(*(np.concatenate(pieces) for pieces in zip(*solved, strict=True)))


def exact_neighbours(
    index: Bm25Index,
    postings: Postings,
    k: int,
    *,
    queries: IntArray,
    candidates: BoolArray,
    decimals: int,
    kernels: Any,
) -> Neighbours:
    """The same in float64 throughout: every term of every query along its postings."""
    found = no_neighbours(len(queries), k)
    kernels.exact_rows(
        index.starts,
        index.terms,
        index.counts,
        postings.pointers,
        postings.documents,
        postings.impacts,
        queries,
        candidates,
        10.0**decimals,
        found.indices,
        found.unrounded,
    )
    found.similarities[:] = np.where(found.indices >= 0, rounded(found.unrounded, decimals), -np.inf)
    return found


def _candidates(
    index: Bm25Index, tiles: Tiles, queries: IntArray, width: int, kernels: Any
) -> tuple[Float32Array, IntArray]:
    """(queries, width) twice: the highest float32 scores, ascending, and their documents (-1: none)."""
    rows = (index.starts, index.terms, index.counts, queries)
    best = np.full((len(queries), width), -np.inf, dtype=np.float32)
    found = np.full((len(queries), width), -1, dtype=np.int64)
    counts = np.zeros((len(queries), len(tiles.dense)), dtype=np.float32)
    kernels.frequent_counts(*rows, tiles.column, counts)
    for tile, pointers in enumerate(tiles.pointers):
        first = tile * _TILE
        sums = counts @ tiles.dense[:, first : first + _TILE]
        postings = (pointers, tiles.offsets, tiles.weights, tiles.documents)
        kernels.scan_tile(sums, *rows, *postings, first, best, found)
    return best, found


def _rescored(
    index: Bm25Index,
    tiles: Tiles,
    queries: IntArray,
    best: Float32Array,
    found: IntArray,
    k: int,
    decimals: int,
    kernels: Any,
) -> tuple[Neighbours, BoolArray]:
    """The k best candidates by float64, and for which queries they are certain to be the k best of all."""
    documents = np.sort(found, axis=1)
    exact: FloatArray = np.empty(documents.shape)
    kernels.score_pairs(*index.scored, queries, documents, exact)
    compared = np.where(documents >= 0, rounded(exact, decimals), -np.inf)
    # Stable on ascending documents: the lower index first among equals.
    order = np.argsort(-compared, axis=1, kind="stable")[:, :k]
    result = Neighbours(
        np.take_along_axis(documents, order, axis=1),
        np.take_along_axis(compared, order, axis=1),
        np.take_along_axis(np.where(documents >= 0, exact, 0.0), order, axis=1),
    )
    left_out = best[:, 0].astype(np.float64)
    error = (tiles.longest + 8) * 2.0**-23 * np.abs(left_out) + 2 * 10.0**-decimals
    complete = np.isneginf(left_out)
    with np.errstate(invalid="ignore"):
        certain = complete | (result.similarities[:, -1] > left_out + error)
    return result, certain
