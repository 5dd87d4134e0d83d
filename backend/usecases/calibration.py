"""How far confidences can be believed: learnt from what annotators kept of what they were shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

from allabel_core.confidence import Calibration, expected_calibration_error, fit_calibration
from allabel_core.types import Document

from ..labeling.results import region_id
from ..ports import StoredDemonstration, Suggestion
from .tools import Tools

DECIMALS = 3


class Verdicts(NamedTuple):
    """``confidences``: of spans that annotators have judged. ``kept``: whether each was left as it was."""

    confidences: list[float]
    kept: list[bool]


def present(
    suggestion: Suggestion, calibrations: Mapping[str, Calibration], min_confidence: float
) -> Suggestion:
    """The suggestion as annotators are to see it: calibrated scores, none below ``min_confidence``."""
    calibrate = calibrations.get(suggestion.evidence)
    shown: list[dict[str, Any]] = []
    for region in _spans(suggestion.regions):
        score = round(calibrate(region["score"]) if calibrate else region["score"], DECIMALS)
        if score >= min_confidence:
            shown.append({**region, "score": score})
    ids = {region["id"] for region in shown}
    links = [
        item
        for item in suggestion.regions
        if item["type"] == "relation" and item["from_id"] in ids and item["to_id"] in ids
    ]
    confidence = min((region["score"] for region in shown), default=None)
    return replace(suggestion, result=[*shown, *links], confidence=confidence)


def learn_calibrations(
    tools: Tools, project_id: int, corpus: Sequence[StoredDemonstration]
) -> dict[str, Calibration]:
    """One calibration, stored, for each kind of evidence that has enough history.

    Refitted once the history has grown by a tenth.
    """
    known = stored_calibrations(tools, project_id)
    history = _history(tools, project_id, corpus)
    for evidence, verdicts in history.items():
        before = known.get(evidence)
        # Scores that move a little with every annotation would be a new queue to publish each time.
        if before is not None and 10 * len(verdicts.kept) < 11 * before.history:
            continue
        if fitted := fit_calibration(*verdicts):
            known[evidence] = fitted
    value = json.dumps({evidence: asdict(calibration) for evidence, calibration in known.items()})
    tools.store.set_facts(project_id, calibrations=value)
    return known


def stored_calibrations(tools: Tools, project_id: int) -> dict[str, Calibration]:
    """By kind of evidence, those learnt at the last sync."""
    raw = json.loads(tools.store.fact(project_id, "calibrations") or "{}")
    return {
        evidence: Calibration(tuple((at, share) for at, share in value["knots"]), value["history"])
        for evidence, value in raw.items()
    }


def calibration_error(
    shown: Mapping[int, Suggestion], gold: Mapping[int, Document]
) -> tuple[float | None, int]:
    """Expected calibration error of the scores that annotators saw, None without any; of how many spans.

    Each score was given before its verdict, so nothing is measured on what it was fitted to.
    """
    verdicts = Verdicts([], [])
    for task_id, suggestion in shown.items():
        _judge(suggestion.result, gold[task_id], verdicts)
    if not verdicts.kept:
        return None, 0
    return expected_calibration_error(*verdicts), len(verdicts.kept)


def _history(tools: Tools, project_id: int, corpus: Sequence[StoredDemonstration]) -> dict[str, Verdicts]:
    """By kind of evidence, every span of the published suggestions, hidden ones too."""
    gold = {shown.task_id: shown.document for shown in corpus}
    history: dict[str, Verdicts] = {}
    for task_id, suggestion in tools.store.shown(project_id, list(gold)).items():
        verdicts = history.setdefault(suggestion.evidence, Verdicts([], []))
        _judge(suggestion.regions, gold[task_id], verdicts)
    return history


def _judge(regions: Sequence[Mapping[str, Any]], gold: Document, verdicts: Verdicts) -> None:
    kept = {region_id(span) for span in gold.spans}
    for region in _spans(regions):
        verdicts.confidences.append(region["score"])
        verdicts.kept.append(region["id"] in kept)


def _spans(regions: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    return (region for region in regions if region["type"] != "relation")
