"""Where a project stands, in figures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from allabel_core.metrics import Scores, score_entities
from allabel_core.selection.scarcity import scarce_labels
from allabel_core.types import Document

from ..labeling.label_config import parse_label_config
from ..labeling.results import document_from_annotation
from ..ports import Spending
from .calibration import calibration_error
from .tools import Tools


@dataclass(frozen=True, slots=True)
class ProjectReport:
    """``entity_f1``: suggestions as annotators saw them against what they submitted, in [0, 1]; None
    where no annotated task had a suggestion. ``compared``: on how many tasks. ``calibration_error``: expected
    distance between the confidence shown and the share of spans kept; ``judged``: of how many spans.
    ``answers``: read so far; ``unreadable``: those of them that were not (wholly) in the form asked for,
    and ``rejected``: mentions not shown, both by reason. ``scarce_labels``: those that fewer annotated
    tasks bear than demonstrations are shown, with the number of such tasks."""

    project_id: int
    title: str
    state: str
    problem: str
    tasks: int
    annotated: int
    budget: int
    queued: int
    published: int
    version: str
    rankings: int
    compared: int
    entity_f1: float | None
    spending: Spending
    calibration_error: float | None
    judged: int
    answers: int
    unreadable: dict[str, int]
    rejected: dict[str, int]
    unusable_tasks: int
    unusable_reason: str
    scarce_labels: dict[str, int]

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of each line of a table for people."""
        quality = (
            f"F1 {100 * self.entity_f1:.1f} over {self.compared} tasks"
            if self.entity_f1 is not None
            else "no data yet"
        )
        spent = self.spending
        rows = [
            ("State", self.state),
            ("Annotated", f"{self.annotated} of {self.budget} (budget), {self.tasks} tasks in all"),
            (
                "Queue",
                f"{self.queued} to annotate, {self.published} published as {self.version or 'nothing yet'}",
            ),
            ("Suggestions", quality),
            ("Model", f"{spent.calls} calls, {spent.prompt_tokens + spent.completion_tokens} tokens"),
        ]
        if self.calibration_error is not None:
            error = f"off by {self.calibration_error:.2f} on average, over {self.judged} spans"
            rows.append(("Confidence", error))
        if self.answers:
            rows.append(("Answers", f"{self.answers} read; {_listed(self.unreadable)} unreadable"))
            rows.append(("Not shown", _listed(self.rejected)))
        if self.scarce_labels and self.annotated:
            found = ", ".join(f"{label} in {n}" for label, n in self.scarce_labels.items())
            rows.append(("Rare labels", f"{found} annotated tasks, fewer than demonstrations are shown"))
        if self.unusable_tasks:
            rows.append(("Left out", f"{self.unusable_tasks} tasks without a text. {self.unusable_reason}"))
        return [*rows, ("Problem", self.problem)] if self.problem else rows


def report(tools: Tools, project_id: int) -> ProjectReport:
    """The figures of one project, from what the worker has stored."""
    store = tools.store
    facts = store.facts(project_id)
    scores, compared = _quality(tools, project_id)
    gold = {shown.task_id: shown.document for shown in store.demonstrations(project_id)}
    error, judged = calibration_error(store.shown(project_id, list(gold)), gold)
    return ProjectReport(
        project_id=project_id,
        title=facts.get("title", ""),
        state=facts.get("state", "unknown"),
        problem=facts.get("problem", "") or facts.get("model_problem", ""),
        tasks=int(facts.get("tasks", 0)),
        annotated=int(facts.get("annotated", 0)),
        budget=int(facts.get("budget", 0)),
        queued=len(store.queue(project_id)),
        published=len(store.published(project_id)),
        version=facts.get("version", ""),
        rankings=int(facts.get("rankings", 0)),
        compared=compared,
        entity_f1=scores.f1 if scores else None,
        spending=tools.model.spending(project_id) if tools.model else Spending(),
        calibration_error=error,
        judged=judged,
        answers=int(facts.get("answers", 0)),
        unreadable=_counters(facts, "answers_"),
        rejected=_counters(facts, "rejected_"),
        unusable_tasks=int(facts.get("unusable_tasks", 0)),
        unusable_reason=facts.get("unusable_reason", ""),
        scarce_labels=_scarce_labels(tools, project_id, gold.values()),
    )


def _scarce_labels(tools: Tools, project_id: int, annotated: Iterable[Document]) -> dict[str, int]:
    config = tools.store.fact(project_id, "label_config")
    if not config:
        return {}
    wanted = max(1, tools.store.settings(project_id).k)
    return scarce_labels(annotated, parse_label_config(config).labels, wanted)


def _counters(facts: Mapping[str, str], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): int(n) for name, n in sorted(facts.items()) if name.startswith(prefix)}


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items()) or "none"


def _quality(tools: Tools, project_id: int) -> tuple[Scores | None, int]:
    """Suggestions as published last against the annotations that followed."""
    store = tools.store
    gold = {shown.task_id: shown.document for shown in store.demonstrations(project_id)}
    seen = store.shown(project_id, list(gold))
    if not seen:
        return None, 0
    interface = parse_label_config(store.fact(project_id, "label_config") or "")
    predicted = [
        document_from_annotation(interface, gold[task_id].text, suggestion.result)
        for task_id, suggestion in seen.items()
    ]
    return score_entities(predicted, [gold[task_id] for task_id in seen]), len(seen)
