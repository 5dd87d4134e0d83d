"""How much of what is left the model is asked about once a project is being finished."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from allabel_core.tagging import Figures

from ..ports import Suggestion
from .calibration import present, stored_calibrations
from .learned import Learned, current_suggester
from .tools import Tools

UNASKED = "unasked "
"""How the recipe begins of a suggestion that is made without asking the model, since that would not pay."""

SAMPLE_TEXTS = 300


def stored_figures(tools: Tools, project_id: int) -> Figures | None:
    """What each source is worth here, None until a model has answered enough texts that were annotated."""
    _, known = current_suggester(tools, project_id)
    figures = known.figures if known is not None else None
    return figures if figures is not None and figures.by_share else None


def share_to_ask(tools: Tools, project_id: int) -> float:
    """The share that a person has chosen, otherwise the smallest that costs less than half a point of F1."""
    if chosen := tools.store.fact(project_id, "finish_ask"):
        return float(chosen)
    figures = stored_figures(tools, project_id)
    return figures.share_worth_asking() if figures else 1.0


def unasked_recipe(tools: Tools, project_id: int, task_ids: Sequence[int]) -> str:
    """The recipe of texts among these that the model is not asked about.

    From how many expected errors on it is asked is settled once for each order to finish.
    """
    store = tools.store
    if settled := store.fact(project_id, "asking_from"):
        return UNASKED + settled
    learned = Learned(tools, project_id)
    share = share_to_ask(tools, project_id)
    asking_from = 0.0
    if share <= 0:
        asking_from = math.inf
    elif share < 1 and learned.judges and task_ids:
        sample = task_ids[:: max(1, len(task_ids) // SAMPLE_TEXTS)]
        texts = store.some_texts(project_id, sample)
        errors = [learned.expected_errors(text) for text in texts.values()]
        asking_from = float(np.quantile(errors, 1 - share)) if errors else 0.0
    store.set_facts(project_id, asking_from=asking_from)
    return f"{UNASKED}{asking_from}"


def leave_unasked(tools: Tools, project_id: int, texts: Mapping[int, str]) -> list[int]:
    """Of these tasks, those that asking about would not pay; they keep what is known of them."""
    store = tools.store
    settled = store.fact(project_id, "asking_from") or "0"
    asking_from = float(settled)
    if not asking_from or not store.fact(project_id, "finishing"):
        return []
    learned, calibrations = Learned(tools, project_id), stored_calibrations(tools, project_id)
    min_confidence = store.settings(project_id).min_confidence
    found = store.suggestions(project_id, list(texts))
    left = []
    for task_id, text in texts.items():
        if asking_from < math.inf and learned.expected_errors(text) >= asking_from:
            continue
        made = found.get(task_id, Suggestion(task_id, [], "", []))
        made = replace(made, recipe=UNASKED + settled, problem=None)
        left.append(present(learned.join(made, text), calibrations, min_confidence))
    store.save_suggestions(project_id, left)
    return [made.task_id for made in left]
