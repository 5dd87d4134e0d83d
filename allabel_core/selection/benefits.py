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
    unit = 10**similarity.decimals
    counted = similarity.self_similarity() > 0
    rows, columns, values, floor = _kept_benefits(similarity, candidates, min(graph_size, n - 1), unit)
    selves = np.flatnonzero(candidates & counted & (floor < unit))
    by_text = sparse.coo_array(
        (
            np.concatenate([values, np.full(len(selves), unit)]),
            (np.concatenate([rows, selves]), np.concatenate([columns, selves])),
        ),
        shape=(n, n),
    ).tocsc()
    return BenefitGraph(
        starts=by_text.indptr.astype(np.int64),
        queries=by_text.indices.astype(np.int64),
        benefits=by_text.data,
        floor=floor,
        counted=counted,
        unit=unit,
    )


def _kept_benefits(
    similarity: Similarity, candidates: BoolArray, size: int, unit: int
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Query, candidate and benefit of every edge above the query's floor; the floors (n,)."""
    n = len(similarity)
    if size < 1:
        none: IntArray = np.zeros(0, dtype=np.int64)
        return none, none, none, np.zeros(n, dtype=np.int64)
    found = similarity.neighbours(size, candidates=candidates)
    benefits = in_units(found.similarities, similarity.self_similarity(), unit)
    others = int(candidates.sum()) - candidates
    floor = np.where(others > size, benefits[:, -1], 0)
    rows, places = np.nonzero(benefits > floor[:, None])
    return rows, found.indices[rows, places], benefits[rows, places], floor


def in_units(similarities: FloatArray, own: FloatArray, unit: int) -> IntArray:
    """(q, k): benefits of (q, k) similarities for queries whose self-similarities are (q,) ``own``."""
    useful = (own > 0)[:, None] & (similarities > 0)
    share = np.divide(similarities, own[:, None], out=np.zeros(similarities.shape), where=useful)
    units: IntArray = np.round(np.minimum(share, 1.0) * unit).astype(np.int64)
    return units
