"""Neighbour lists carried over to a pool in which some texts are new or gone.

Every new text changes the weight of every term and the average length, hence every similarity, but
only a little. For a text d outside a list, and any ``growth`` R >= 1,

    S'[q, d] <= R S[q, d] + sum over terms t of q of count(q, t) max(0, r w'(t) - R w(t)) (k1 + 1)

where w are term weights and r = max(1, average length' / average length), since an impact is
weight x frequency factor, the factor is at most k1 + 1, and grows at most r-fold. Listed texts are
scored again; those above this bound are certain, the others drop off the list.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from allabel_core.similarity.accelerate import in_threads
from allabel_core.similarity.bm25_index import Bm25Index
from allabel_core.similarity.remembering import WIDTH, Lists
from allabel_core.similarity.topk import no_neighbours
from allabel_core.types import FloatArray, IntArray

_RESCORED = 8
# Each gives a bound; the lowest counts.
_GROWTHS = (1.0005, 1.001, 1.002, 1.004, 1.01)
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
    bounds = [growth * unlisted + _slack(old, new, k1, growth, kernels)[kept] for growth in _GROWTHS]
    left_out[kept] = np.min(bounds, axis=0) + 4 * 10.0**-decimals
    found = no_neighbours(n, WIDTH)
    lists_as_arrays = (left_out, found.indices, found.similarities, found.unrounded)
    queries = np.repeat(np.arange(n), _RESCORED)
    kernels.insert_sorted(queries, listed.ravel(), scores.ravel(), 10.0**decimals, *lists_as_arrays)
    places, queries = np.nonzero(new_columns > left_out)
    values = new_columns[places, queries]
    kernels.insert_sorted(queries, added[places], values, 10.0**decimals, *lists_as_arrays)
    return Lists(found, left_out)


def _slack(old: Bm25Index, new: Bm25Index, k1: float, growth: float, kernels: Any) -> FloatArray:
    """(n,): the sum in the bound above, for every text of the new pool as a query."""
    before = np.zeros(len(new.term_weights))
    before[: len(old.term_weights)] = old.term_weights
    stretch = max(1.0, new.average_length / old.average_length)
    excess = np.maximum(0.0, stretch * new.term_weights - growth * before) * (k1 + 1)
    # A term that no old text has adds nothing to the similarity of two old texts.
    excess[len(old.term_weights) :] = 0.0
    slack = np.zeros(len(new))
    kernels.row_sums(new.starts, new.terms, new.counts, excess, slack)
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
