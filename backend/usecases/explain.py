"""Why the next tasks are next, and how a task came by its suggestion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from allabel_core.quality.edits import Edit, span_edits
from allabel_core.types import Document

from ..labeling.label_config import parse_label_config
from ..labeling.results import document_from_annotation, region_id
from ..ports import QueueEntry, Suggestion, Witness
from .audit import blind_tasks
from .connect import task_url
from .figures import DemonstrationShown, QueuedTask, SpanChange, SuggestedSpan, TaskReport
from .marked import marked_document, marked_suggestion, marked_suggestions
from .tools import Tools

EXCERPT = 160
LOOKED_THROUGH = 1000
"""Places of the queue at most; behind them a task waits too long for its reason to hold."""


def explain_queue(tools: Tools, project_id: int, limit: int) -> list[QueuedTask]:
    """The next tasks, first to annotate first."""
    store = tools.store
    queue = store.queue(project_id, limit)
    task_ids = [entry.task_id for entry in queue]
    made = store.suggestions(project_id, task_ids)
    shown = _ids_of_demonstrations(made.values())
    texts = store.some_texts(project_id, [*task_ids, *shown])
    blind = blind_tasks(tools, project_id)
    seen = marked_suggestions(
        tools, project_id, texts, (each for task_id, each in made.items() if task_id not in blind)
    )
    return [
        replace(
            _queued(tools, project_id, place, entry, made.get(entry.task_id), texts),
            suggested=seen.get(entry.task_id),
        )
        for place, entry in enumerate(queue, 1)
    ]


def _queued(
    tools: Tools,
    project_id: int,
    place: int,
    entry: QueueEntry,
    made: Suggestion | None,
    texts: Mapping[int, str],
) -> QueuedTask:
    return QueuedTask(
        task_id=entry.task_id,
        place=place,
        stage=entry.stage,
        reason=entry.words,
        excerpt=excerpt(texts.get(entry.task_id, "")),
        similar_to=entry.nearest,
        demonstrations=shown_demonstrations(tools, project_id, made, texts),
        url=task_url(tools, project_id, entry.task_id),
    )


def shown_demonstrations(
    tools: Tools, project_id: int, made: Suggestion | Witness | None, texts: Mapping[int, str]
) -> list[DemonstrationShown]:
    """What the model saw, the most similar first; of those that still exist."""
    if made is None:
        return []
    # The model gets the most similar last, next to the question.
    pairs = reversed(list(zip_longest(made.demonstrations, made.similarities)))
    return [
        DemonstrationShown(
            task_id,
            excerpt(texts[task_id]),
            near,
            task_url(tools, project_id, task_id),
            marked_document(tools.store.demonstration(project_id, task_id) or Document(texts[task_id], ())),
        )
        for task_id, near in pairs
        if task_id in texts
    ]


def _ids_of_demonstrations(made: Iterable[Suggestion]) -> Sequence[int]:
    return list(dict.fromkeys(task_id for each in made for task_id in each.demonstrations))


def excerpt(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text[: 2 * EXCERPT].split())
    return line if len(line) <= EXCERPT else line[: EXCERPT - 1].rstrip() + "…"


def explain_task(tools: Tools, project_id: int, task_id: int) -> TaskReport | None:
    """A task's suggestion and what became of it; None where there is no such task."""
    store = tools.store
    text = store.some_texts(project_id, [task_id]).get(task_id)
    if text is None:
        return None
    witness = store.witness(project_id, task_id)
    made = witness or store.suggestions(project_id, [task_id]).get(task_id)
    texts = store.some_texts(project_id, made.demonstrations if made else [])
    blind = witness.blind if witness else task_id in blind_tasks(tools, project_id)
    visible = made if isinstance(made, Suggestion) and not blind else None
    entry = _entry(tools, project_id, task_id)
    return TaskReport(
        task_id=task_id,
        state=_state(tools, project_id, task_id, annotated=witness is not None),
        text=text,
        excerpt=excerpt(text),
        url=task_url(tools, project_id, task_id),
        blind=blind,
        demonstrations=shown_demonstrations(tools, project_id, made, texts),
        changes=_changes(tools, project_id, witness) if witness else [],
        suggested=marked_suggestion(tools, project_id, text, visible.result, len(text)) if visible else None,
        stage=entry.stage if entry else "",
        reason=entry.words if entry else "",
        proposed=_proposed(tools, project_id, text, made) if made and (witness or not blind) else [],
    )


def _entry(tools: Tools, project_id: int, task_id: int) -> QueueEntry | None:
    """The task's place in the queue, looked for near its front."""
    if not tools.store.is_queued(project_id, task_id):
        return None
    front = tools.store.queue(project_id, LOOKED_THROUGH)
    return next((entry for entry in front if entry.task_id == task_id), None)


def _proposed(tools: Tools, project_id: int, text: str, made: Suggestion | Witness) -> list[SuggestedSpan]:
    interface = parse_label_config(tools.store.fact(project_id, "label_config") or "")
    result = made.result or []
    scores = {item.get("id"): item.get("score") for item in result}
    return [
        SuggestedSpan(
            words=text[span.start : span.end],
            label=span.label,
            confidence=scores.get(region_id(span)),
            sources=made.sources.get(region_id(span), ""),
        )
        for span in document_from_annotation(interface, text, result).spans
    ]


def _state(tools: Tools, project_id: int, task_id: int, *, annotated: bool) -> str:
    store = tools.store
    if annotated:
        return "annotated"
    if task_id in store.done(project_id):
        return "skipped"
    if store.fact(project_id, "finishing"):
        return "auto" if store.places(project_id, [task_id]) else "rest"
    return "queued" if store.is_queued(project_id, task_id) else "rest"


def _changes(tools: Tools, project_id: int, witness: Witness) -> list[SpanChange]:
    """What was changed in the suggestion; nothing where there was none."""
    store = tools.store
    gold = store.demonstration(project_id, witness.task_id)
    if gold is None or witness.result is None:
        return []
    interface = parse_label_config(store.fact(project_id, "label_config") or "")
    suggested = document_from_annotation(interface, gold.text, witness.result)
    return [_change(edit, gold.text) for edit in span_edits(suggested.spans, gold.spans)]


def _change(edit: Edit, text: str) -> SpanChange:
    before, after = edit.before, edit.after
    place = after or before
    return SpanChange(
        change=edit.change,
        start=place.start if place else 0,
        end=place.end if place else 0,
        words=text[after.start : after.end] if after else "",
        label=after.label if after else "",
        words_before=text[before.start : before.end] if before else "",
        label_before=before.label if before else "",
    )
