"""Annotates tasks from gold as a person would: whatever Label Studio serves next, corrected, submitted."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from allabel_core.errors import AllabelError
from allabel_core.metrics import score_entities
from allabel_core.quality.edits import span_edits
from allabel_core.types import Document

from ..errors import LabelStudioRejectedError
from ..labeling.label_config import LabelingInterface
from ..labeling.results import document_from_annotation, result_from_spans


class Annotator(Protocol):
    """What Label Studio's client lets a person do."""

    def next_task(self, project_id: int) -> tuple[int, list[dict[str, Any]]] | None: ...

    def submit_annotation(
        self, task_id: int, result: Sequence[Mapping[str, Any]], lead_time: float = 0.0, *, skip: bool = False
    ) -> int: ...


@dataclass(slots=True)
class Autopilot:
    """One run. ``served``: the tasks in the order of annotation; ``refused``: those that were not saved.

    ``suggested``: the pre-annotations as shown before any correction, and parallel to it ``corrected``;
    both without the ``blind`` tasks, which show none. ``settle`` is called after every ``settle_every``
    annotations, to let the queue be ranked and pre-annotated again. ``seconds_per_edit``: how long it
    takes over each span that it adds, moves, relabels or removes; what it submits is the time it took.
    ``seconds_per_text``: how long it takes over a text at least. A person who takes that long does not
    wait for the queue either, so it is settled at the end only.
    """

    annotator: Annotator
    project_id: int
    interface: LabelingInterface
    gold: Mapping[int, Document]
    settle: Callable[[], None]
    settle_every: int = 5
    seconds_per_edit: float = 0.0
    seconds_per_text: float = 0.0
    blind: Collection[int] = ()
    served: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    suggested: list[Document] = field(default_factory=list)
    corrected: list[Document] = field(default_factory=list)

    def annotate(self, count: int, on_task: Callable[[int], None]) -> None:
        """Annotate ``count`` tasks or as many as there are; ``on_task`` gets each one's id, saved or refused.

        A refused one is one of the ``count``, so that this ends even where every one is refused.

        :raises AllabelError: Label Studio served a task that has no gold.
        """
        for done in range(1, count + 1):
            served = self.annotator.next_task(self.project_id)
            if served is None:
                return
            task_id, predictions = served
            if task_id not in self.gold:
                raise AllabelError(
                    f"Label Studio served task {task_id}, which has no gold annotation, so the autopilot "
                    "ends. It needs a project whose every task was imported with gold."
                )
            self._annotate(task_id, predictions)
            on_task(task_id)
            if done == count or (done % self.settle_every == 0 and not self.seconds_per_text):
                self.settle()

    def _annotate(self, task_id: int, predictions: Sequence[Mapping[str, Any]]) -> None:
        started = time.monotonic()
        gold = self.gold[task_id]
        shown = predictions[0]["result"] if predictions else []
        suggested = document_from_annotation(self.interface, gold.text, shown)
        changes = [edit for edit in span_edits(suggested.spans, gold.spans) if edit.change != "kept"]
        time.sleep(max(self.seconds_per_text, self.seconds_per_edit * len(changes)))
        result = result_from_spans(self.interface, gold.text, gold.spans, relations=gold.relations)
        try:
            self.annotator.submit_annotation(task_id, result, time.monotonic() - started)
        except LabelStudioRejectedError:
            self.refused.append(task_id)
            return
        self.served.append(task_id)
        if task_id not in self.blind:
            self.suggested.append(suggested)
            self.corrected.append(gold)

    def entity_f1(self, last: int | None = None) -> float:
        """Entity F1, in [0, 1], of the suggestions for all or the last few annotated tasks."""
        start = 0 if last is None else max(0, len(self.suggested) - last)
        return score_entities(self.suggested[start:], self.corrected[start:]).f1
