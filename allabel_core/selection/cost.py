"""Budgets that are not a number of texts: what is spent is what a human has to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from allabel_core.selection.datatypes import Pick, SelectionRequest, Strategy
from allabel_core.similarity.base import Similarity
from allabel_core.similarity.tokenize import Tokenizer, tokenize
from allabel_core.types import FloatArray


def reading_costs(texts: Sequence[str], tokenizer: Tokenizer = tokenize) -> FloatArray:
    """(n,): tokens to read in each text, at least 1: opening a text costs something too."""
    return np.array([max(1, len(tokenizer(text))) for text in texts], dtype=np.float64)


def as_many_as_affordable(strategy: Strategy) -> Strategy:
    """``strategy``, which counts texts, made to keep to ``SelectionRequest.costs``.

    It is asked for as many texts as the budget pays for, found by bisection: the answer is
    affordable, and a queue of one text more is not (or there is none).
    """

    def affordable(similarity: Similarity, request: SelectionRequest) -> Sequence[Pick]:
        if request.costs is None:
            return strategy(similarity, request)
        costs = request.costs
        left = request.budget - float(costs[list(request.annotated)].sum())
        at_most = int(np.searchsorted(np.cumsum(np.sort(costs)), request.budget, side="right"))
        fits: Sequence[Pick] = ()
        low, high = len(request.annotated), max(at_most, len(request.annotated)) + 1
        while high - low > 1:
            count = (low + high) // 2
            picks = strategy(similarity, replace(request, budget=count, costs=None))
            if sum(costs[pick.index] for pick in picks) <= left:
                low, fits = count, picks
            else:
                high = count
        return fits

    return affordable
