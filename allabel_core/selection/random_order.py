"""Texts in random order: the baseline that every strategy has to beat."""

from __future__ import annotations

import numpy as np

from allabel_core.selection.datatypes import Pick, SelectionRequest
from allabel_core.selection.reasons import with_nearest
from allabel_core.similarity.base import Similarity
from allabel_core.types import IntArray, Reason

STAGE = "random"


def random_order(similarity: Similarity, request: SelectionRequest) -> list[Pick]:
    """Strategy ``random``: one shuffle of the whole pool by ``seed``, the annotated texts left out."""
    order = shuffled_available(len(similarity), request)[: max(0, request.budget - len(request.annotated))]
    reasons = [Reason(words="drawn at random", score=0.0)] * len(order)
    return with_nearest(similarity, order.tolist(), reasons, annotated=request.annotated, stage=STAGE)


def shuffled_available(n: int, request: SelectionRequest) -> IntArray:
    """The texts that may be picked, shuffled; which of them are left does not change their order."""
    available = np.ones(n, dtype=np.bool_) if request.eligible is None else request.eligible.copy()
    available[list(request.annotated)] = False
    order = np.random.default_rng(request.seed).permutation(n)
    return order[available[order]]
