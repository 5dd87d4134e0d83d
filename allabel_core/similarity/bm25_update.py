"""Neighbour lists carried over to a pool in which some texts are new or gone.

Every new text changes the weight of every term and the average length, hence every similarity, but
only a little. For a text d outside a list, and ``growth`` R,

    S'[q, d] <= R S[q, d] + sum over terms t of q of count(q, t) max(0, r w'(t) - R w(t)) (k1 + 1)

where w are term weights and r = max(1, average length' / average length), since an impact is
weight x frequency factor, the factor is at most k1 + 1, and grows at most r-fold. Listed texts are
scored again; those above this bound are certain, the others drop off the list.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from allabel_core.similarity.accelerate import in_threads
from allabel_core.similarity.base import Neighbours
from allabel_core.similarity.bm25_index import Bm25Index
from allabel_core.similarity.remembering import WIDTH, Lists
from allabel_core.similarity.topk import no_neighbours, rounded
from allabel_core.types import FloatArray, IntArray

_RESCORED = 8
_GROWTH = 1.01
_QUERIES_AT_ONCE = 1_000


def carried_lists(
    old: Bm25Index,
    new: Bm25Index,
    lists: Lists,
    *,
    origin: IntArray,
    new_columns: FloatArray,
    k1: float,
    decimals: int,
    kernels: Any,
    threads: int,
) -> Lists:
    """Lists of the texts that both pools have; those of new texts are left empty, with bound infinity.

    :param origin: (n,) index in the old pool of each text of the new one, -1 for new texts.
    :param new_columns: (new texts, n) unrounded S'[:, d] of each new text d, ascending.
    """
    n = len(origin)
    kept, added = np.flatnonzero(origin >= 0), np.flatnonzero(origin < 0)
    place = np.full(len(old) + 1, -1, dtype=np.int64)
    place[origin[kept]] = kept
    listed = np.full((n, _RESCORED), -1, dtype=np.int64)
    listed[kept] = place[lists.neighbours.indices[origin[kept], :_RESCORED]]
    scores = _rescored(new, listed, kernels, threads)

    left_out = np.full(n, np.inf)
    unlisted = lists.neighbours.similarities[origin[kept], _RESCORED]
    unlisted = np.where(np.isneginf(unlisted), lists.left_out[origin[kept]], unlisted)
    slack = _slack(old, new, k1)[kept]
    left_out[kept] = _GROWTH * unlisted + slack + 4 * 10.0**-decimals
    return _merged(listed, scores, added, new_columns, left_out, decimals)


def _slack(old: Bm25Index, new: Bm25Index, k1: float) -> FloatArray:
    """(n,): the sum in the bound above, for every text of the new pool as a query."""
    before = np.zeros(len(new.term_weights))
    before[: len(old.term_weights)] = old.term_weights
    stretch = max(1.0, new.average_length / old.average_length)
    excess = np.maximum(0.0, stretch * new.term_weights - _GROWTH * before) * (k1 + 1)
    # A term that no old text has adds nothing to the similarity of two old texts.
    excess[np.bincount(old.terms, minlength=len(excess)) == 0] = 0.0
    sums = np.concatenate([[0.0], np.cumsum(new.counts * excess[new.terms])])
    slack: FloatArray = sums[new.starts[1:]] - sums[new.starts[:-1]]
    return slack


def _rescored(new: Bm25Index, listed: IntArray, kernels: Any, threads: int) -> FloatArray:
    scores = np.empty(listed.shape)
    rows = (new.starts, new.terms, new.counts, new.impacts, len(new.term_weights))

    def score(part: slice) -> None:
        queries = np.arange(part.start, min(part.stop, len(listed)))
        kernels.score_pairs(*rows, queries, listed[part], scores[part])

    starts = range(0, len(listed), _QUERIES_AT_ONCE)
    in_threads(score, [slice(start, start + _QUERIES_AT_ONCE) for start in starts], threads)
    return scores


def _merged(
    listed: IntArray,
    scores: FloatArray,
    added: IntArray,
    new_columns: FloatArray,
    left_out: FloatArray,
    decimals: int,
) -> Lists:
    """Listed and new texts that are certainly more similar than what is left out, most similar first."""
    queries, places = np.nonzero((listed >= 0) & (scores > left_out[:, None]))
    new_places, new_queries = np.nonzero(new_columns > left_out)
    documents = np.concatenate([listed[queries, places], added[new_places]])
    unrounded = np.concatenate([scores[queries, places], new_columns[new_places, new_queries]])
    queries = np.concatenate([queries, new_queries])
    other = queries != documents
    queries, documents, unrounded = queries[other], documents[other], unrounded[other]
    compared = rounded(unrounded, decimals)
    order = np.lexsort((documents, -compared, queries))
    queries, documents = queries[order], documents[order]
    first = np.searchsorted(queries, np.arange(len(listed)))
    rank = np.arange(len(queries)) - first[queries]
    # Texts beyond the width are left out too, and the bound must say so.
    beyond = rank == WIDTH
    left_out[queries[beyond]] = compared[order][beyond]
    fits = rank < WIDTH
    found: Neighbours = no_neighbours(len(listed), WIDTH)
    found.indices[queries[fits], rank[fits]] = documents[fits]
    found.similarities[queries[fits], rank[fits]] = compared[order][fits]
    found.unrounded[queries[fits], rank[fits]] = unrounded[order][fits]
    return Lists(found, left_out)
