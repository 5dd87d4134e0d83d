"""The three stages in turn: diversity, similarity, uncertainty (spec, "The method, exactly")."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from allabel_core.selection.datatypes import Pick, SelectionRequest
from allabel_core.selection.diversity import pick_diverse
from allabel_core.selection.sumrank import pick_central
from allabel_core.selection.uncertainty import pick_for_weak_points
from allabel_core.similarity.base import Similarity


class Quotas(NamedTuple):
    """How many texts each stage chooses."""

    diversity: int
    similarity: int
    uncertainty: int


def stage_quotas(budget: int, ratio: tuple[int, int, int] = (1, 3, 1)) -> Quotas:
    """The budget shared out by ``ratio``; a stage with a part of 0 gets nothing."""
    whole = sum(ratio)
    diversity = min(budget, max(1, round(budget * ratio[0] / whole))) if ratio[0] else 0
    uncertainty = min(budget - diversity, round(budget * ratio[2] / whole))
    if ratio[1] == 0:
        uncertainty = budget - diversity if ratio[2] else 0
        diversity = budget - uncertainty
    return Quotas(diversity, budget - diversity - uncertainty, uncertainty)


def allabel(similarity: Similarity, request: SelectionRequest) -> list[Pick]:
    """Strategy ``allabel``. Annotated texts fill the stages in order; each picks what it still lacks."""
    n = len(similarity)
    quotas = stage_quotas(min(request.budget, n), request.stage_ratio)
    eligible = np.ones(n, dtype=np.bool_) if request.eligible is None else request.eligible
    chosen = list(request.annotated)
    picks: list[Pick] = []

    first_end = quotas.diversity
    picks += pick_diverse(similarity, first_end - len(chosen), chosen=chosen, eligible=eligible)
    chosen = [*request.annotated, *(pick.index for pick in picks)]
    core = chosen[:first_end]

    second_end = first_end + quotas.similarity
    picks += pick_central(
        similarity, second_end - len(chosen), k=request.k, core=core, chosen=chosen, eligible=eligible
    )
    chosen = [*request.annotated, *(pick.index for pick in picks)]
    earlier = chosen[:second_end]

    picks += pick_for_weak_points(
        similarity,
        second_end + quotas.uncertainty - len(chosen),
        quota=quotas.uncertainty,
        k=request.k,
        earlier=earlier,
        corpus=earlier if request.weak_against == "corpus" else core,
        chosen=chosen,
        eligible=eligible,
        weakness=request.weakness,
        combine_weakness=request.combine_weakness,
    )
    return picks
