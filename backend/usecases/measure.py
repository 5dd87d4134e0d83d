"""Suggestions as they were before a person saw them, against what the person submitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from allabel_core.metrics import Counts, score_entities
from allabel_core.quality.agreement import f1_along, f1_difference, f1_estimate
from allabel_core.quality.edits import Edit, span_edits
from allabel_core.types import Document

from ..labeling.label_config import LabelingInterface
from ..labeling.results import document_from_annotation
from ..ports import Submission, Witness
from .corpus import Corpus
from .figures import CurvePoint, Estimate, LabelScore, Quality, Score

ENOUGH_TO_COMPARE = 10
"""Below so many texts nothing is claimed about them."""


@dataclass(frozen=True, slots=True)
class Compared:
    """An annotation beside its suggestion. ``before``: tasks annotated before it; ``counts``: of entities."""

    annotated: Submission
    suggested: Document
    blind: bool
    before: int
    counts: Counts
    edits: list[Edit]


def compare(interface: LabelingInterface, corpus: Corpus, witnesses: Mapping[int, Witness]) -> list[Compared]:
    """Every annotated task for which there was a suggestion, in the order of annotation."""
    found = []
    for before, annotated in enumerate(corpus.counting):
        witness = witnesses.get(annotated.task_id)
        if witness is None or witness.result is None:
            continue
        gold = annotated.document
        suggested = document_from_annotation(interface, gold.text, witness.result)
        counts = score_entities([suggested], [gold]).total
        edits = span_edits(suggested.spans, gold.spans)
        found.append(Compared(annotated, suggested, witness.blind, before, counts, edits))
    return found


def quality(compared: Sequence[Compared]) -> Quality:
    """The figures of all of them; blind and assisted tasks apart."""
    assisted = [each for each in compared if not each.blind]
    blind = [each for each in compared if each.blind]
    shown = [each for each in assisted if each.suggested.spans]
    edits = [sum(edit.change != "kept" for edit in each.edits) for each in assisted]
    untouched = [set(each.suggested.spans) == set(each.annotated.document.spans) for each in shown]
    return Quality(
        assisted=_score(assisted),
        blind=_score(blind),
        difference=_difference(assisted, blind),
        labels=_by_label(assisted),
        curve=_curve(assisted),
        untouched_share=sum(untouched) / len(untouched) if untouched else None,
        edits_per_task=sum(edits) / len(edits) if edits else None,
        seconds_per_task=_seconds(assisted),
        seconds_per_blind_task=_seconds(blind),
    )


def rng() -> np.random.Generator:
    """Always the same, so that figures change only when what they are of does."""
    return np.random.default_rng(0)


def counts_of(compared: Sequence[Compared]) -> list[Counts]:
    return [each.counts for each in compared]


def _score(compared: Sequence[Compared]) -> Score | None:
    if not compared:
        return None
    total = sum(counts_of(compared), Counts())
    f1 = f1_estimate(counts_of(compared), rng())
    return Score(total.f1, total.precision, total.recall, f1.low, f1.high, len(compared))


def _difference(assisted: Sequence[Compared], blind: Sequence[Compared]) -> Estimate | None:
    if min(len(assisted), len(blind)) < ENOUGH_TO_COMPARE:
        return None
    return Estimate(*f1_difference(counts_of(assisted), counts_of(blind), rng()))


def _by_label(compared: Sequence[Compared]) -> list[LabelScore]:
    scores = score_entities(
        [each.suggested for each in compared], [each.annotated.document for each in compared]
    )
    return [
        LabelScore(label, counts.f1, counts.precision, counts.recall, counts.tp + counts.fn)
        for label, counts in scores.by_label.items()
    ]


def _curve(compared: Sequence[Compared]) -> list[CurvePoint]:
    return [
        CurvePoint(compared[point.position - 1].before + 1, *point.f1)
        for point in f1_along(counts_of(compared), rng())
    ]


def _seconds(compared: Sequence[Compared]) -> float | None:
    """The median: a coffee break in front of an open task is no work. 0 is what scripts submit."""
    times = [each.annotated.lead_time for each in compared]
    worked = [seconds for seconds in times if seconds]
    return median(worked) if worked else None
