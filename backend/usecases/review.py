"""Which of the tasks that the model has labelled are worth checking first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from allabel_core.quality.expected_error import ErrorModel, Outcome, learn_errors

from ..ports import Suggestion
from .connect import task_url
from .explain import excerpt
from .figures import MarkedText, ReviewedTask
from .marked import marked_suggestions
from .measure import Compared
from .tools import Tools

NAME = "review"
MOST = 1000


def look_for_errors(tools: Tools, project_id: int, compared: Sequence[Compared]) -> None:
    """Learn what suggestions lack, and once the project is finished store the order of review."""
    store = tools.store
    outcomes = [
        Outcome(len(each.suggested.spans), sum(edit.change == "added" for edit in each.edits))
        for each in compared
    ]
    model = learn_errors(outcomes)
    store.set_facts(project_id, error_model=json.dumps(asdict(model)))
    if not store.fact(project_id, "finishing"):
        return
    done = store.done(project_id)
    labelled = store.suggestions(project_id, [t for t in store.board(project_id) if t not in done])
    found = sorted(labelled.values(), key=lambda made: most_errors_first(made, model))[:MOST]
    rows = [
        (
            made.task_id,
            expected_errors(made, model),
            model.chance_right(confidences(made)),
            len(confidences(made)),
        )
        for made in found
    ]
    store.save_computed(project_id, NAME, json.dumps(rows).encode())


def error_model(tools: Tools, project_id: int) -> ErrorModel:
    """As learnt at the last sync."""
    raw = tools.store.fact(project_id, "error_model")
    return ErrorModel(**json.loads(raw)) if raw else learn_errors([])


def most_errors_first(suggestion: Suggestion, model: ErrorModel) -> tuple[float, int]:
    """A key to sort by."""
    return -expected_errors(suggestion, model), suggestion.task_id


def expected_errors(suggestion: Suggestion, model: ErrorModel) -> float:
    """Spans expected to be wrong or missing: by the arbiter, otherwise by what suggestions lacked so far."""
    if suggestion.expected_errors is not None:
        return suggestion.expected_errors
    return model.expected_errors(confidences(suggestion))


def confidences(suggestion: Suggestion) -> list[float]:
    """Of the spans shown, calibrated as far as that could be learnt."""
    return [region["score"] for region in suggestion.result if region["type"] != "relation"]


def review_list(tools: Tools, project_id: int, limit: int) -> list[ReviewedTask]:
    """After 'finish': tasks that carry the model's labels, most expected errors first."""
    rows = json.loads(tools.store.computed(project_id, NAME) or b"[]")
    done = tools.store.done(project_id)
    rows = [row for row in rows if row[0] not in done][:limit]
    listed = [task_id for task_id, *_ in rows]
    texts = tools.store.some_texts(project_id, listed)
    made = tools.store.suggestions(project_id, listed).values()
    marked = marked_suggestions(tools, project_id, texts, made)
    return [
        ReviewedTask(
            task_id=task_id,
            place=place,
            expected_errors=errors,
            chance_right=right,
            spans=spans,
            excerpt=excerpt(texts.get(task_id, "")),
            url=task_url(tools, project_id, task_id),
            marked=marked.get(task_id) or MarkedText(texts.get(task_id, "")),
        )
        for place, (task_id, errors, right, spans) in enumerate(rows, 1)
    ]
