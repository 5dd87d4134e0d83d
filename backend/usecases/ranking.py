"""The order of a project's queue, from its texts and annotations."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from allabel_core import Pool, select
from allabel_core.errors import InvalidInputError
from allabel_core.selection.cost import reading_costs
from allabel_core.similarity.distributed import distributed_library
from allabel_core.similarity.tokenize import as_tokenizer
from allabel_core.types import Selection

from ..ports import ProjectSettings, QueueEntry
from .encoder import Encoder

MOST_POOLS = 4
"""Projects whose index a worker keeps in memory; the one ranked longest ago leaves first."""


class Ranker:
    """Ranks one project after another in a worker process, each sooner the second time.

    :param scheduler: address of a Dask scheduler whose workers share the neighbour stage; empty for none.
    :param encoder: for the similarity "sbert"; the one that retrieval uses, so that one model serves both.
    :raises MissingExtraError: there is one, and Dask distributed is not installed.
    """

    def __init__(self, scheduler: str = "", encoder: Encoder | None = None) -> None:
        self._scheduler = scheduler or None
        self._encoder = encoder or Encoder()
        if scheduler:
            distributed_library()
        self._pools: OrderedDict[tuple[int, str, str], Pool] = OrderedDict()

    def rank(
        self,
        project_id: int,
        texts: Mapping[int, str],
        annotated: Sequence[int],
        budget: int,
        settings: ProjectSettings,
        doubts: Sequence[float] | None = None,
    ) -> list[QueueEntry]:
        """The queue of the tasks still to annotate within the budget.

        :param texts: task id -> text, in id order, so that ties go to the lower id.
        :param annotated: task ids in annotation order.
        :param budget: in the settings' ``budget_unit``, see ``reading_budget``.
        :param doubts: for each text how unsure the model is of it, where stage 3 is to go by that.
        :raises UnreachableClusterError: the scheduler or its workers do not answer.
        """
        task_ids = list(texts)
        place = {task_id: index for index, task_id in enumerate(task_ids)}
        pool = self._pool(project_id, settings)
        try:
            selection = select(
                list(texts.values()),
                budget,
                similarity=pool.similarity(list(texts.values())),
                strategy=settings.strategy,
                k=max(1, settings.k),
                annotated=[place[task_id] for task_id in annotated],
                tokenizer=settings.tokenizer,
                budget_unit=settings.budget_unit,
                near_duplicates=settings.near_duplicates or None,
                weakness=doubts,
                combine_weakness=settings.uncertainty == "both",
            )
        finally:
            pool.close()
        return _entries(selection, task_ids)

    def _pool(self, project_id: int, settings: ProjectSettings) -> Pool:
        key = (project_id, settings.similarity, settings.tokenizer)
        pool = self._pools.pop(key, None) or Pool(
            settings.similarity,
            tokenizer=as_tokenizer(settings.tokenizer),
            model=self._encoder,
            scheduler=self._scheduler,
        )
        self._pools[key] = pool
        while len(self._pools) > MOST_POOLS:
            self._pools.popitem(last=False)
        return pool


def _entries(selection: Selection, task_ids: Sequence[int]) -> list[QueueEntry]:
    return [
        QueueEntry(
            task_id=task_ids[index],
            stage=stage,
            words=reason.words,
            score=reason.score,
            serves=reason.serves,
            nearest=task_ids[reason.nearest] if reason.nearest is not None else None,
            similarity=reason.similarity,
        )
        for index, stage, reason in zip(selection.order, selection.stages, selection.reasons, strict=True)
        if stage != "annotated"
    ]


def budget_tasks(budget: str, task_count: int) -> int:
    """How many tasks people will annotate: "10%" of the tasks, rounded, at least 1; or a number.

    :raises InvalidInputError: neither.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", budget)
    if not match or (match[2] and float(match[1]) > 100) or (not match[2] and "." in match[1]):
        raise InvalidInputError(
            f"The budget {budget!r} is neither a number of tasks, such as 70, nor a share, such as 10%."
        )
    if not match[2]:
        return min(int(match[1]), task_count)
    return min(task_count, max(1, math.floor(task_count * float(match[1]) / 100 + 0.5)))


def reading_budget(settings: ProjectSettings, texts: Iterable[str]) -> int:
    """What people may spend on these texts, in the project's unit: how many, or tokens to read.

    :raises InvalidInputError: the budget is neither a share nor a number.
    """
    texts = list(texts)
    if settings.budget_unit == "texts":
        return budget_tasks(settings.budget, len(texts))
    return budget_tasks(settings.budget, int(reading_costs(texts, as_tokenizer(settings.tokenizer)).sum()))
