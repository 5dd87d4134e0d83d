"""How well each text covers each other, on a sparse graph, in whole numbers.

The *benefit* r[q, d] of demonstration d for query q is S[q, d] / S[q, q] kept within 0 and 1, and
r[q, q] = 1. It is held as a whole number of units, 10**-decimals of 1, so that sums of benefits are
exact and ties do not depend on the order of additions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from allabel_core.similarity.base import Similarity
from allabel_core.types import BoolArray, FloatArray, IntArray

EXACT_UP_TO = 2_000
"""Pools of at most so many texts get the whole graph by default: it takes about 50 MB."""
GRAPH_SIZE = 64


@dataclass(frozen=True, slots=True)
class BenefitGraph:
    """What each text does for the queries that have it among their best candidates.

    Text d serves the queries ``queries[starts[d]:starts[d + 1]]`` with the ``benefits`` at the same
    places, always above the query's ``floor``: (n,) the benefit below which its list was cut off, 0
    where nothing was cut off. ``unit`` units are 1. ``counted``: (n,) texts with S[q, q] > 0. The
    others (empty; or only words whose BM25 weight is not positive) say nothing that a demonstration
    could resemble; they are no queries, here or in the value of a selection.
    """

    starts: IntArray
    queries: IntArray
    benefits: IntArray
    floor: IntArray
    counted: BoolArray
    unit: int

    def __len__(self) -> int:
        return len(self.floor)

    def gain(self, d: int, covered: IntArray) -> int:
        """By how much adding text d raises the sum of ``covered``."""
        served = slice(self.starts[d], self.starts[d + 1])
        return int(np.maximum(self.benefits[served] - covered[self.queries[served]], 0).sum())

    def gains(self, covered: IntArray) -> IntArray:
        """(n,): ``gain`` of every text."""
        raised = np.maximum(self.benefits - covered[self.queries], 0)
        sums = np.concatenate([[0], np.cumsum(raised)])
        of_texts: IntArray = sums[self.starts[1:]] - sums[self.starts[:-1]]
        return of_texts

    def add(self, d: int, covered: IntArray) -> int:
        """Raise ``covered`` by text d, in place; how many texts other than d it served better."""
        served = slice(self.starts[d], self.starts[d + 1])
        queries, benefits = self.queries[served], self.benefits[served]
        better = benefits > covered[queries]
        covered[queries[better]] = benefits[better]
        return int(np.count_nonzero(queries[better] != d))


def benefit_graph(
    similarity: Similarity, *, candidates: BoolArray, graph_size: int | None = None
) -> BenefitGraph:
    """Each query's ``graph_size`` best candidates and, for a candidate, the query itself.

    :param candidates: mask (n,) of the texts that may be demonstrations.
    :param graph_size: all candidates by default in pools of at most ``EXACT_UP_TO`` texts, and
        ``GRAPH_SIZE`` above.
    """
    n = len(similarity)
    if graph_size is None:
        graph_size = n if n <= EXACT_UP_TO else GRAPH_SIZE
    graph_size = min(graph_size, max(n - 1, 0))
    unit = 10**similarity.decimals
    own = similarity.self_similarity()
    found = similarity.neighbours(graph_size, candidates=candidates) if graph_size else None
    indices = np.zeros((n, 0), dtype=np.int64) if found is None else found.indices
    similarities = np.zeros((n, 0)) if found is None else found.similarities
    benefits = in_units(similarities, own, unit)
    others = int(candidates.sum()) - candidates
    cut_off = (others > graph_size) & (graph_size > 0)
    floor = np.where(cut_off, benefits[:, -1], 0) if graph_size else np.zeros(n, dtype=np.int64)

    kept = benefits > floor[:, None]
    selves = np.flatnonzero(candidates & (own > 0) & (floor < unit))
    rows = np.concatenate([np.repeat(np.arange(n), kept.sum(axis=1)), selves])
    columns = np.concatenate([indices[kept], selves])
    values = np.concatenate([benefits[kept], np.full(len(selves), unit)])
    by_text = sparse.coo_array((values, (rows, columns)), shape=(n, n)).tocsc()
    return BenefitGraph(
        starts=by_text.indptr.astype(np.int64),
        queries=by_text.indices.astype(np.int64),
        benefits=by_text.data,
        floor=floor,
        counted=own > 0,
        unit=unit,
    )


def in_units(similarities: FloatArray, own: FloatArray, unit: int) -> IntArray:
    """(q, k): benefits of (q, k) similarities for queries whose self-similarities are (q,) ``own``."""
    useful = (own > 0)[:, None] & (similarities > 0)
    share = np.divide(similarities, own[:, None], out=np.zeros(similarities.shape), where=useful)
    units: IntArray = np.round(np.minimum(share, 1.0) * unit).astype(np.int64)
    return units
