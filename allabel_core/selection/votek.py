"""Vote-k and fast vote-k (Su et al., 2022, arXiv 2209.01975).

Each text votes for its ``graph_size`` most similar ones. A vote weighs discount**-c, c being how many
of the voter's favourites are chosen already; chosen texts do not vote. The unchosen text with the most
votes is chosen next.

Published as a loop over all texts at each step, O(M^2 N k) in all. Here a choice changes only the
votes of those who voted for it, so the totals are kept and corrected. Votes are counted in units of
10**-9 **[choice]**, whole numbers, so that ties do not depend on the order of additions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from scipy import sparse

from allabel_core.selection.coverage import covered_share
from allabel_core.selection.datatypes import Pick, SelectionRequest
from allabel_core.selection.reasons import with_nearest
from allabel_core.similarity.base import Similarity
from allabel_core.types import BoolArray, FloatArray, IntArray, Reason

STAGE = "votek"
GRAPH_SIZE = 150
DISCOUNT = 10.0
_UNIT = 10**9

Confidence: TypeAlias = Callable[[Sequence[int]], FloatArray]
"""From the first texts chosen, once annotated, to (n,): how sure a model shown them is about each text."""


def fast_votek(
    similarity: Similarity,
    request: SelectionRequest,
    *,
    graph_size: int = GRAPH_SIZE,
    discount: float = DISCOUNT,
) -> list[Pick]:
    """Strategy ``fast-votek``: the whole budget by votes."""
    ballot = _Ballot(similarity, request, graph_size, discount)
    order: list[int] = []
    while len(request.annotated) + len(order) < request.budget and ballot.available.any():
        order.append(ballot.choose_among(ballot.available))
    reasons = [ballot.reasons[index] for index in order]
    return with_nearest(similarity, order, reasons, annotated=request.annotated, stage=STAGE)


def votek(
    similarity: Similarity,
    request: SelectionRequest,
    *,
    graph_size: int = GRAPH_SIZE,
    discount: float = DISCOUNT,
    confidence: Confidence | None = None,
) -> list[Pick]:
    """Strategy ``votek``: a tenth of the budget M by votes, the rest spread over a model's confidence.

    With M // 10 texts chosen, at least 1, the others are sorted by confidence and cut into M groups of
    equal size; the text with the most votes of each group is chosen, least confident group first,
    until the budget is reached. The most confident groups get nothing.

    :param confidence: for a model's own judgement. The default **[choice]** needs no model: how well a
        text is covered by the first tenth, since models are surer the more similar the demonstrations.
    """
    n = len(similarity)
    budget = min(request.budget, n)
    ballot = _Ballot(similarity, request, graph_size, discount)
    order: list[int] = []
    first_end = max(1, budget // 10)
    while len(request.annotated) + len(order) < min(first_end, budget) and ballot.available.any():
        order.append(ballot.choose_among(ballot.available))
    first = [*request.annotated, *order][:first_end]
    later = [*request.annotated, *order][first_end:]
    sure = covered_share(similarity, first) if confidence is None else confidence(first)
    grouped = ballot.available.copy()
    grouped[later] = True
    texts = np.flatnonzero(grouped)
    groups = np.array_split(texts[np.argsort(sure[texts], kind="stable")], max(budget, 1))
    for group in groups[len(later) : budget - len(first)]:
        among = np.zeros(n, dtype=np.bool_)
        among[group] = True
        among &= ballot.available
        if among.any():
            order.append(ballot.choose_among(among))
    reasons = [ballot.reasons[index] for index in order]
    return with_nearest(similarity, order, reasons, annotated=request.annotated, stage=STAGE)


class _Ballot:
    """The votes as they stand. ``available``: (n,) mask of the texts that may still be chosen."""

    def __init__(
        self, similarity: Similarity, request: SelectionRequest, graph_size: int, discount: float
    ) -> None:
        n = len(similarity)
        size = min(graph_size, max(n - 1, 0))
        self._favourites: IntArray = (
            similarity.neighbours(size).indices if size else np.zeros((n, 0), dtype=np.int64)
        )
        # Column u of the vote matrix lists the texts that vote for u.
        ones = np.ones(n * size, dtype=np.bool_)
        votes = sparse.csr_array(
            (ones, self._favourites.ravel(), np.arange(n + 1) * size), shape=(n, n)
        ).tocsc()
        self._voters, self._starts = votes.indices.astype(np.int64), votes.indptr
        self._chosen_favourites: IntArray = np.zeros(n, dtype=np.int64)
        self._weights: IntArray = np.full(n, _UNIT, dtype=np.int64)
        self._discount = discount
        self.totals: IntArray = np.diff(self._starts).astype(np.int64) * _UNIT
        self.reasons: dict[int, Reason] = {}
        self.available: BoolArray = (
            np.ones(n, dtype=np.bool_) if request.eligible is None else request.eligible.copy()
        )
        for index in request.annotated:
            self._choose(index)

    def choose_among(self, texts: BoolArray) -> int:
        """Choose the text of the mask with the most votes, of equal ones the first."""
        index = int(np.argmax(np.where(texts, self.totals, -1)))
        voters = self._voters_of(index)
        voting = int(np.count_nonzero(self._weights[voters]))
        votes = float(self.totals[index] / _UNIT)
        words = f"{votes:.3g} votes from {voting} texts that it resembles"
        self.reasons[index] = Reason(words=words, score=votes, serves=voting)
        self._choose(index)
        return index

    def _choose(self, index: int) -> None:
        self.available[index] = False
        self._reweigh(np.array([index]), np.zeros(1, dtype=np.int64))
        voters = self._voters_of(index)
        self._chosen_favourites[voters] += 1
        voting = voters[self._weights[voters] > 0]
        weights = np.round(_UNIT * self._discount ** -self._chosen_favourites[voting].astype(np.float64))
        self._reweigh(voting, weights.astype(np.int64))

    def _reweigh(self, voters: IntArray, weights: IntArray) -> None:
        lost = self._weights[voters] - weights
        favourites = self._favourites[voters]
        np.subtract.at(self.totals, favourites.ravel(), np.repeat(lost, favourites.shape[1]))
        self._weights[voters] = weights

    def _voters_of(self, index: int) -> IntArray:
        voters: IntArray = self._voters[self._starts[index] : self._starts[index + 1]]
        return voters
