"""Raise a project's budget there and then, from a page or the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable

from allabel_core.errors import InvalidInputError
from allabel_core.selection.cost import reading_costs
from allabel_core.similarity.tokenize import as_tokenizer

from ..ports import ProjectSettings
from .connect import change_settings
from .finish import cancel_finishing
from .tools import Tools


def raise_budget(tools: Tools, project_id: int, by: int) -> int:
    """Let people annotate ``by`` more tasks than the budget, or than they have annotated; the new budget.

    Label Studio keeps it with the connection. Where the model is labelling the rest, it leaves off.

    :returns: in tasks, at most as many as there are.
    :raises InvalidInputError: every task is annotated or in the budget already.
    :raises LabelStudioError: Label Studio does not take it in.
    """
    store = tools.store
    facts = store.facts(project_id)
    tasks = int(facts.get("tasks", 0))
    before = max(int(facts.get("budget", 0)), int(facts.get("annotated", 0)))
    budget = min(tasks, before + by)
    if budget <= before:
        raise InvalidInputError(f"All {tasks} texts are annotated or in the budget already.")
    settings = store.settings(project_id)
    wanted = str(budget)
    if settings.budget_unit == "tokens":
        wanted = str(_tokens_of(store.texts(project_id).values(), settings, budget / tasks))
    change_settings(tools, project_id, {"budget": wanted})
    cancel_finishing(tools, project_id)
    return budget


def _tokens_of(texts: Iterable[str], settings: ProjectSettings, share: float) -> int:
    costs = reading_costs(list(texts), as_tokenizer(settings.tokenizer))
    return math.ceil(share * float(costs.sum()))
