"""Coverage: the texts that together resemble the whole pool (greedy facility location).

Chooses D to make F(D) = sum over queries q of max over d in D of r[q, d] as large as a greedy choice
can; benefits r are explained in ``benefits.py``. F is monotone and submodular, so each prefix of the
queue reaches at least 1 - 1/e (63%) of what as many texts can reach at best beyond the annotated
ones (Nemhauser, Wolsey and Fisher, 1978), whatever the budget turns out to be.

Where the graph is cut off after each query's L best candidates, the greedy maximises
G(D) = sum over q of max(floor[q], max over d in D of r[q, d]) instead, floor[q] being the L-th
benefit. Cut-off benefits are at most the floor, so the graph gives G exactly, and
F(D) <= G(D) <= F(D) + sum over q of max(0, floor[q] - max over d in D of r[q, d]).
``coverage_bound`` computes both sides.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from allabel_core.selection.benefits import BenefitGraph, benefit_graph, in_units
from allabel_core.selection.datatypes import Pick, SelectionRequest
from allabel_core.selection.reasons import with_nearest
from allabel_core.similarity.base import Similarity
from allabel_core.types import BoolArray, FloatArray, Reason

STAGE = "coverage"


class _Step(NamedTuple):
    """One choice: the text, what it added in units, how many other texts it serves better."""

    text: int
    gain: int
    serves: int


def coverage(
    similarity: Similarity, request: SelectionRequest, *, graph_size: int | None = None
) -> list[Pick]:
    """Strategy ``coverage``: always the text that raises the pool's coverage most.

    With ``request.costs`` it is chosen once by gain per cost and once by gain alone, each time among
    what is still affordable, and the better of both is taken: at least (1 - 1/e) / 2 of the best
    (Leskovec et al., 2007). That choice between two is made anew in each request, so with costs the
    queue is not prefix stable.

    :param graph_size: how many candidates are kept for each text; see ``benefit_graph``.
    """
    candidates = _may_cover(len(similarity), request.eligible, request.annotated)
    graph = benefit_graph(similarity, candidates=candidates, graph_size=graph_size)
    steps = _lazy_greedy(graph, request, by_cost=request.costs is not None)
    if request.costs is not None:
        plain = _lazy_greedy(graph, request, by_cost=False)
        steps = max(steps, plain, key=lambda those: sum(step.gain for step in those))
    reasons = [_reason(step, graph.unit, request.costs) for step in steps]
    order = [step.text for step in steps]
    return with_nearest(similarity, order, reasons, annotated=request.annotated, stage=STAGE)


def covered_share(similarity: Similarity, chosen: Sequence[int]) -> FloatArray:
    """(n,): how well each text is covered by the chosen ones, 0 to 1: max over d in chosen of r[q, d].

    Exact, without a graph. 0 for texts that are no queries (S[q, q] <= 0).
    """
    n = len(similarity)
    is_chosen = np.zeros(n, dtype=np.bool_)
    is_chosen[list(chosen)] = True
    own = similarity.self_similarity()
    if not is_chosen.any():
        return np.zeros(n)
    unit = 10**similarity.decimals
    best = in_units(similarity.neighbours(1, candidates=is_chosen).similarities, own, unit)[:, 0]
    return np.where(is_chosen & (own > 0), 1.0, best / unit)


@dataclass(frozen=True, slots=True)
class CoverageBound:
    """How good a selection is, in texts' worth of coverage; ``queries`` is the most there could be.

    ``value``: F of the selection. ``on_graph``: its G, what the greedy saw; ``truncation`` = G - F is
    what cutting the graph off has blurred. ``best_possible``: no selection that adds as many texts to
    ``annotated`` has an F above it; ``value / best_possible`` therefore certifies the selection.
    """

    value: float
    on_graph: float
    best_possible: float
    queries: int

    @property
    def truncation(self) -> float:
        return self.on_graph - self.value


def coverage_bound(
    similarity: Similarity,
    chosen: Sequence[int],
    *,
    annotated: Sequence[int] = (),
    eligible: BoolArray | None = None,
    graph_size: int | None = None,
) -> CoverageBound:
    """Certify ``chosen``, which includes ``annotated``, against every selection of as many texts.

    With covered c[q] = max(floor[q], max over d in chosen of r[q, d]), any other selection D' has
    F(D') <= sum of c + the sum of the largest gains above c, one for each text it may add.
    """
    candidates = _may_cover(len(similarity), eligible, (*annotated, *chosen))
    graph = benefit_graph(similarity, candidates=candidates, graph_size=graph_size)
    covered = graph.floor.copy()
    for index in chosen:
        graph.add(index, covered)
    added = len(set(chosen) - set(annotated))
    gains = np.sort(graph.gains(covered))[::-1][:added]
    queries = int(graph.counted.sum())
    on_graph = int(covered.sum())
    return CoverageBound(
        value=float(covered_share(similarity, chosen).sum()),
        on_graph=on_graph / graph.unit,
        best_possible=min(float(queries), (on_graph + int(gains.sum())) / graph.unit),
        queries=queries,
    )


def _may_cover(n: int, eligible: BoolArray | None, chosen: Sequence[int]) -> BoolArray:
    candidates = np.ones(n, dtype=np.bool_) if eligible is None else eligible.copy()
    candidates[list(chosen)] = True
    return candidates


def _lazy_greedy(graph: BenefitGraph, request: SelectionRequest, *, by_cost: bool) -> list[_Step]:
    """Greedy choice; a gain is looked at again only when it has come to the top (Minoux, 1978).

    Gains never grow, so a text whose fresh gain is still at the top beats every other; of equal ones
    the heap yields the lower index.
    """
    n = len(graph)
    costs = np.ones(n) if request.costs is None else request.costs
    divisors = costs if by_cost else np.ones(n)
    available = np.ones(n, dtype=np.bool_) if request.eligible is None else request.eligible.copy()
    available[list(request.annotated)] = False
    covered = graph.floor.copy()
    for index in request.annotated:
        graph.add(index, covered)
    left = request.budget - float(costs[list(request.annotated)].sum())

    priorities: FloatArray = graph.gains(covered) / divisors
    heap = [(-float(priorities[index]), index) for index in np.flatnonzero(available).tolist()]
    heapq.heapify(heap)
    steps: list[_Step] = []
    while heap and left > 0:
        priority, index = heapq.heappop(heap)
        if costs[index] > left:
            continue
        gain = graph.gain(index, covered)
        fresh = -gain / float(divisors[index])
        if fresh != priority:
            heapq.heappush(heap, (fresh, index))
            continue
        steps.append(_Step(index, gain, graph.add(index, covered)))
        left -= float(costs[index])
    return steps


def _reason(step: _Step, unit: int, costs: FloatArray | None) -> Reason:
    gain = step.gain / unit
    if step.gain == 0:
        words = "everything that it could serve is served as well already"
    else:
        texts = f"{step.serves} other {'text' if step.serves == 1 else 'texts'}"
        others = texts if step.serves else "itself alone"
        words = f"the best example so far for {others}"
    if costs is not None:
        words += f", for {costs[step.text]:g} to read"
    return Reason(words=words, score=gain, serves=step.serves)
