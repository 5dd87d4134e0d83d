"""The core-set alone, for the whole budget: farthest-first traversal, begun cold or warm."""

from __future__ import annotations

import numpy as np

from allabel_core.selection.datatypes import Pick, SelectionRequest
from allabel_core.selection.diversity import pick_diverse
from allabel_core.selection.random_order import shuffled_available
from allabel_core.similarity.base import Similarity
from allabel_core.types import Reason

STAGE = "coreset"


def coreset_cold(similarity: Similarity, request: SelectionRequest) -> list[Pick]:
    """Strategy ``coreset``: the first text, where none is annotated, is drawn at random by ``seed``."""
    shuffled = shuffled_available(len(similarity), request)
    if request.annotated or request.budget < 1 or not len(shuffled):
        return coreset_warm(similarity, request)
    first = int(shuffled[0])
    drawn = Pick(first, STAGE, Reason(words="drawn at random to begin with", score=0.0))
    return [drawn, *_farthest_first(similarity, request, request.budget - 1, chosen=(first,))]


def coreset_warm(similarity: Similarity, request: SelectionRequest) -> list[Pick]:
    """Strategy ``coreset-warm``: the first text is the one least like all others (spec, "Stage 1")."""
    count = request.budget - len(request.annotated)
    return _farthest_first(similarity, request, count, chosen=request.annotated)


def _farthest_first(
    similarity: Similarity, request: SelectionRequest, count: int, *, chosen: tuple[int, ...]
) -> list[Pick]:
    eligible = np.ones(len(similarity), dtype=np.bool_) if request.eligible is None else request.eligible
    picks = pick_diverse(similarity, count, chosen=chosen, eligible=eligible)
    return [Pick(pick.index, STAGE, pick.reason) for pick in picks]
