"""What annotations have taught, joined with the model's answers: suggestions as they are shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from allabel_core.confidence import Calibration
from allabel_core.tagging import ModelSpan, Suggester, TextSuggestion, loads

from ..labeling.label_config import LabelingInterface, parse_label_config
from ..labeling.results import document_from_annotation, region_id, result_from_spans
from ..ports import ModelAnswer, Suggestion
from .calibration import present, stored_calibrations
from .tools import Tools

MOST_KEPT = 4
AT_ONCE = 200
"""Suggestions in memory at a time."""

STEADY = 0.1
"""Confidences that move by less are not shown anew: each would be a change to publish."""


def current_suggester(tools: Tools, project_id: int) -> tuple[str, Suggester | None]:
    """(version, what was learnt last); kept in memory until it changes."""
    version, kept = tools.store.suggester_version(project_id), tools.suggesters
    found = kept.pop(project_id, None)
    if found is None or found[0] != version:
        raw = tools.store.suggester(project_id) if version else None
        if raw is None:
            return "", None
        found = version, loads(raw)
    kept[project_id] = found
    if len(kept) > MOST_KEPT:
        del kept[next(iter(kept))]
    return found


def model_spans(
    interface: LabelingInterface, text: str, regions: Sequence[Mapping[str, Any]]
) -> list[ModelSpan]:
    """The model's regions as a suggester takes them."""
    scores = {region.get("id"): region.get("score", 1.0) for region in regions}
    linked = {item.get(end) for item in regions for end in ("from_id", "to_id")}
    return [
        ModelSpan(span, scores.get(region_id(span), 1.0), region_id(span) in linked)
        for span in document_from_annotation(interface, text, regions).spans
    ]


class Learned:
    """Joins the sources of one project as they are now."""

    def __init__(self, tools: Tools, project_id: int) -> None:
        self.version, self._suggester = current_suggester(tools, project_id)
        self._interface = parse_label_config(tools.store.fact(project_id, "label_config") or "")

    @property
    def speaks(self) -> bool:
        """Whether it finds anything in a text that the model has not answered."""
        known = self._suggester
        return known is not None and (known.tagger is not None or bool(known.lexicon.terms))

    @property
    def judges(self) -> bool:
        """Whether it can tell how good it is without the model."""
        return self._suggester is not None and self._suggester.learned is not None

    def expected_errors(self, text: str) -> float:
        """Spans expected to be wrong or missing without the model; 0 where nothing was learnt."""
        return self._suggester.suggest(text).expected_errors if self._suggester is not None else 0.0

    def join(self, made: Suggestion, text: str) -> Suggestion:
        """The suggestion with the regions of all sources, not yet calibrated."""
        answer = made.answer
        if self._suggester is None or (answer is None and not self.speaks):
            return made
        said = None if answer is None else model_spans(self._interface, text, answer.regions)
        found = self._suggester.suggest(text, said)
        judged = (self._suggester.learned if answer is None else self._suggester.joined) is not None
        spans = [each for each in found.spans if each.span.label in self._interface.from_name]
        regions = result_from_spans(
            self._interface, text, [each.span for each in spans], scores=[each.confidence for each in spans]
        )
        ids = {region["id"] for region in regions}
        links = [item for item in answer.regions if item["type"] == "relation"] if answer else []
        return replace(
            made,
            regions=[*regions, *(link for link in links if {link["from_id"], link["to_id"]} <= ids)],
            learned=self.version,
            sources={region_id(each.span): each.because() for each in spans},
            evidence=_evidence(answer, judged=judged),
            certainty=_certainty(found) if judged or answer is None else answer.certainty,
            expected_errors=found.expected_errors if judged else None,
        )


def _evidence(answer: ModelAnswer | None, *, judged: bool) -> str:
    if judged:
        return "joined" if answer is not None else "learned"
    return answer.evidence if answer is not None else "tagger"


def _certainty(found: TextSuggestion) -> float:
    return 1 / (1 + found.expected_errors)


def rejoin(
    tools: Tools,
    project_id: int,
    task_ids: Sequence[int],
    calibrations: Mapping[str, Calibration] | None = None,
) -> None:
    """Bring the suggestions of these tasks up to what annotations have taught by now.

    A task that has none gets one where that much is known, or where no model will ever answer.
    """
    store = tools.store
    learned = Learned(tools, project_id)
    settings = store.settings(project_id)
    if calibrations is None:
        calibrations = stored_calibrations(tools, project_id)
    for part in _parts(task_ids):
        found, texts = store.suggestions(project_id, part), store.some_texts(project_id, part)
        changed = []
        for task_id in part:
            made = found.get(task_id)
            if task_id not in texts or (made is None and not (learned.speaks or tools.model is None)):
                continue
            before = made or Suggestion(task_id, [], "", [])
            joined = before if before.learned == learned.version else learned.join(before, texts[task_id])
            after = steady(made, present(joined, calibrations, settings.min_confidence))
            if after != made:
                changed.append((before, after))
        store.replace_suggestions(project_id, changed)


def steady(before: Suggestion | None, after: Suggestion) -> Suggestion:
    """``after``, with the confidences of ``before`` where these have hardly moved."""
    if before is None or before.learned == after.learned or before.evidence != after.evidence:
        return after
    scores = {item["id"]: item["score"] for item in before.result if "score" in item}
    new = {item["id"]: item["score"] for item in after.result if "score" in item}
    moved = scores.keys() != new.keys() or any(abs(scores[i] - new[i]) >= STEADY for i in new)
    if moved:
        return after
    return replace(after, result=before.result, regions=before.regions, confidence=before.confidence)


def _parts(task_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(task_ids), AT_ONCE):
        yield task_ids[start : start + AT_ONCE]
