"""Suggestions as they were before a person saw them, against what the person submitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from allabel_core.metrics import f1_interval, score_entities
from allabel_core.types import Document

from ..labeling.label_config import LabelingInterface
from ..labeling.results import document_from_annotation
from ..ports import StoredDemonstration, Suggestion
from .figures import LabelScore, Quality, Score


def measure(
    interface: LabelingInterface, corpus: Sequence[StoredDemonstration], seen: Mapping[int, Suggestion]
) -> Quality:
    """The quality of the suggestions ``seen`` for the annotated tasks."""
    assisted = [shown.document for shown in corpus if shown.task_id in seen]
    suggested = [
        document_from_annotation(interface, shown.document.text, seen[shown.task_id].result)
        for shown in corpus
        if shown.task_id in seen
    ]
    if not assisted:
        return Quality()
    return Quality(assisted=_score(suggested, assisted), labels=_by_label(suggested, assisted))


def _score(suggested: Sequence[Document], gold: Sequence[Document]) -> Score:
    scores = score_entities(suggested, gold)
    interval = f1_interval(scores, np.random.default_rng(0))
    return Score(scores.f1, scores.precision, scores.recall, interval.low, interval.high, len(gold))


def _by_label(suggested: Sequence[Document], gold: Sequence[Document]) -> list[LabelScore]:
    scores = score_entities(suggested, gold).by_label
    return [
        LabelScore(label, counts.f1, counts.precision, counts.recall, counts.tp + counts.fn)
        for label, counts in scores.items()
    ]
