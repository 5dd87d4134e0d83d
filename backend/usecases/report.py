"""Where a project stands, from what the worker has stored: cheap, however many tasks there are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress

from pydantic import ValidationError

from ..ports import ProgressNote, Spending
from .connect import annotate_url, project_page, project_url
from .figures import SOURCES, JobProgress, ProjectReport, ProjectSummary, SourcesWorth, SpendingReport
from .insight import INSIGHT_JSON, Insight
from .tools import Tools
from .trouble import trouble

BUSY = ("connected", "reading", "ranking", "suggesting", "finishing")


def summaries(tools: Tools) -> list[ProjectSummary]:
    """Every connected project, and those whose connection is refused, in the order of their numbers."""
    numbers = {*tools.store.projects(), *tools.store.refusals()}
    return [summary(tools, project_id) for project_id in sorted(numbers)]


def summary(tools: Tools, project_id: int) -> ProjectSummary:
    """What stands above every page of a project."""
    facts = tools.store.facts(project_id)
    now = trouble(tools, project_id, facts)
    return ProjectSummary(
        id=project_id,
        title=facts.get("title", ""),
        state=now.state,
        problem=now.problem,
        remedy=now.remedy,
        annotated=int(facts.get("annotated", 0)),
        budget=int(facts.get("budget", 0)),
        tasks=int(facts.get("tasks", 0)),
        label_studio_url=project_url(tools, project_id),
        annotate_url=annotate_url(tools, project_id),
        next=stored_insight(tools, project_id).advice.next,
    )


def report(tools: Tools, project_id: int) -> ProjectReport:
    """The figures of one project as of its last sync; spending and progress as of now."""
    store = tools.store
    facts = store.facts(project_id)
    insight = stored_insight(tools, project_id)
    about = summary(tools, project_id)
    return ProjectReport(
        id=project_id,
        title=about.title,
        state=about.state,
        problem=about.problem,
        remedy=about.remedy,
        label_studio_url=about.label_studio_url,
        annotate_url=about.annotate_url,
        page=project_page(tools, project_id),
        tasks=about.tasks,
        annotated=about.annotated,
        skipped=int(facts.get("skipped", 0)),
        budget=about.budget,
        queued=sum(stage.in_window + stage.to_come for stage in insight.stages),
        published=int(facts.get("published", 0)),
        version=facts.get("version", ""),
        rankings=int(facts.get("rankings", 0)),
        stages=insight.stages,
        quality=insight.quality,
        advice=insight.advice,
        confidence=insight.confidence,
        spending=_spending(tools, project_id, insight),
        jobs=_jobs(facts, store.progress(project_id)),
        errors=store.errors(project_id),
        answers=int(facts.get("answers", 0)),
        unreadable=_counters(facts, "answers_"),
        rejected=_counters(facts, "rejected_"),
        unusable_tasks=int(facts.get("unusable_tasks", 0)),
        unusable_reason=facts.get("unusable_reason", ""),
        scarce_labels=insight.scarce_labels,
        notices=json.loads(facts.get("notices", "[]")),
        sources=_sources(tools, project_id),
    )


def _sources(tools: Tools, project_id: int) -> SourcesWorth | None:
    raw = tools.store.computed(project_id, SOURCES)
    return SourcesWorth(**json.loads(raw)) if raw is not None else None


def stored_insight(tools: Tools, project_id: int) -> Insight:
    """What the last sync found out; nothing where there was none, or it was of another release."""
    raw = tools.store.computed(project_id, "insight")
    if raw is not None:
        with suppress(ValidationError):
            return INSIGHT_JSON.validate_json(raw)
    return Insight()


def _spending(tools: Tools, project_id: int, insight: Insight) -> SpendingReport:
    spent = tools.model.spending(project_id) if tools.model else Spending()
    priced = tools.model is not None and tools.model.price(0, 0) is not None
    return SpendingReport(
        calls=spent.calls,
        prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens,
        cached_tokens=spent.cached_tokens,
        cost=spent.cost if priced else None,
        saved=spent.saved if priced else None,
        to_finish=insight.to_finish,
        finish_now=insight.finish_now,
        shares=insight.shares,
        unanswered=spent.unanswered,
    )


def _jobs(facts: Mapping[str, str], note: ProgressNote | None) -> list[JobProgress]:
    """What the worker is at; nothing once it is done."""
    if note is None or facts.get("state") not in BUSY:
        return []
    return [JobProgress(note.doing, note.done, note.total, note.since)]


def _counters(facts: Mapping[str, str], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): int(n) for name, n in sorted(facts.items()) if name.startswith(prefix)}
