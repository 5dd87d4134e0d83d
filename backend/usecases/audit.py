"""The blind audit of a project: tasks drawn at random, annotated without a suggestion, then compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from allabel_core.quality.audit import audit_size, draw_audit, mixed_in
from allabel_core.selection.cost import reading_costs
from allabel_core.similarity.tokenize import as_tokenizer

from ..ports import ProjectSettings, QueueEntry, Suggestion
from .corpus import Corpus
from .ranking import reading_budget
from .tools import Tools

STAGE = "audit"
FIRST_WITH_SUGGESTIONS = 10
"""So many tasks of a project are served with suggestions before the first without."""

WORDS = "drawn at random from all texts, to be annotated without a suggestion: how good are suggestions?"


def draw(
    tools: Tools, project_id: int, settings: ProjectSettings, texts: Mapping[int, str], corpus: Corpus
) -> list[int]:
    """The tasks of the audit, in their order, stored; those already annotated stay in it.

    Texts that the strategy would have chosen are drawn as likely as others, for it is to be a fair
    sample of all. Once the project is being finished, the model labels what is left of it.
    """
    store = tools.store
    annotated = {shown.task_id for shown in corpus.demonstrations}
    kept = [task_id for task_id in store.audit(project_id) if task_id in annotated]
    budget = _tasks_in_budget(settings, texts)
    size = min(audit_size(budget, settings.audit), len(kept) + max(0, budget - len(annotated)))
    if store.fact(project_id, "finishing"):
        size = len(kept)
    drawn = draw_audit(texts.keys() - corpus.done, size, project_id, kept)
    store.save_audit(project_id, drawn)
    return drawn


def _tasks_in_budget(settings: ProjectSettings, texts: Mapping[int, str]) -> int:
    budget = reading_budget(settings, texts.values())
    if settings.budget_unit == "texts":
        return budget
    costs = reading_costs(list(texts.values()), as_tokenizer(settings.tokenizer))
    return int(budget * len(costs) / max(1, costs.sum()))


def budget_without(settings: ProjectSettings, texts: Mapping[int, str], audit: Sequence[int]) -> int:
    """What the audit leaves of the budget, in the project's unit."""
    budget = reading_budget(settings, texts.values())
    if settings.budget_unit == "texts":
        return max(0, budget - len(audit))
    audited = [texts[task_id] for task_id in audit if task_id in texts]
    return max(0, budget - int(reading_costs(audited, as_tokenizer(settings.tokenizer)).sum()))


def with_audit(
    queue: Sequence[QueueEntry], annotated: Sequence[int], audit: Sequence[int], found: int = 0
) -> list[QueueEntry]:
    """The strategy's queue with the audit spread over it, behind the first few tasks.

    Places are counted from the first annotation on, so that annotating the queue's front changes
    nothing behind it.

    :param annotated: the tasks annotated so far.
    :param found: how many of them had been annotated before the project was first ranked.
    """
    chosen = [task_id for task_id in annotated if task_id not in set(audit)]
    entries = {entry.task_id: entry for entry in queue}
    entries |= {task_id: QueueEntry(task_id, STAGE, WORDS, 0.0) for task_id in audit}
    first = found + FIRST_WITH_SUGGESTIONS
    order = mixed_in([*chosen, *(entry.task_id for entry in queue)], audit, first)
    done = set(annotated)
    return [entries[task_id] for task_id in order if task_id not in done]


def blind_tasks(tools: Tools, project_id: int) -> set[int]:
    """Tasks whose annotators must not see a suggestion."""
    store = tools.store
    if store.fact(project_id, "finishing"):
        return set()
    return set(store.audit(project_id)) - store.done(project_id)


def blinded(suggestion: Suggestion) -> Suggestion:
    """The suggestion as Label Studio gets it: nothing to see; what the model said stays with us."""
    return replace(suggestion, result=[])
