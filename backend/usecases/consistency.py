"""The same words labelled differently, looked for among all annotations of a project."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pydantic import TypeAdapter

from allabel_core.quality.consistency import Occurrence, contradictions, left_unmarked
from allabel_core.types import Document

from ..labeling.label_config import parse_label_config
from ..labeling.results import document_from_annotation
from ..ports import Submission
from .connect import task_url
from .corpus import Corpus
from .figures import Inconsistency, Labelled, Unmarked
from .tools import Tools

NAME, UNMARKED = "consistency", "unmarked"
MOST = 200
CONTEXT = 50
PLACES = 50
MOST_READ = 2000
"""Of the texts that the model has labelled: those with the most expected errors."""
_JSON = TypeAdapter(list[Inconsistency])
_UNMARKED_JSON = TypeAdapter(list[Unmarked])


def look_for_contradictions(tools: Tools, project_id: int, corpus: Corpus) -> None:
    """Find and store them, the most alike first."""
    readings = corpus.submissions
    found = []
    for each in contradictions([reading.document for reading in readings])[:MOST]:
        first, second = readings[each.first.document], readings[each.second.document]
        apart = first.annotator is not None and first.annotator != second.annotator
        found.append(
            Inconsistency(
                words=_words(first, each.first),
                kind="between annotators" if apart else "over time",
                similarity=each.similarity,
                first=_labelled(tools, project_id, first, each.first),
                second=_labelled(tools, project_id, second, each.second),
            )
        )
    tools.store.save_computed(project_id, NAME, _JSON.dump_json(found))


def inconsistencies(tools: Tools, project_id: int, limit: int) -> Sequence[Inconsistency]:
    """The first of those that the last sync found."""
    raw = tools.store.computed(project_id, NAME)
    return _JSON.validate_json(raw)[:limit] if raw else []


def look_for_unmarked(tools: Tools, project_id: int, corpus: Corpus) -> None:
    """Find and store words that stand unmarked in many texts, of people and of the model."""
    store = tools.store
    people = [(shown.task_id, shown.document) for shown in corpus.demonstrations]
    labelled = [task_id for task_id in store.board(project_id) if task_id not in corpus.done][:MOST_READ]
    model: list[tuple[int, Document]] = []
    if store.fact(project_id, "finishing"):
        interface = parse_label_config(store.fact(project_id, "label_config") or "")
        texts = store.some_texts(project_id, labelled)
        model = [
            (task_id, document_from_annotation(interface, texts[task_id], made.result))
            for task_id, made in store.suggestions(project_id, labelled).items()
            if task_id in texts
        ]
    read = [*people, *model]
    found = [
        Unmarked(
            words=each.words,
            label=each.label,
            marked=each.marked,
            texts=len(each.unmarked),
            places=[
                _place(tools, project_id, *read[occurrence.document], occurrence)
                for occurrence in each.unmarked[:PLACES]
            ],
        )
        for each in left_unmarked([document for _, document in read])[:MOST]
    ]
    store.save_computed(project_id, UNMARKED, _UNMARKED_JSON.dump_json(found))


def unmarked_elsewhere(tools: Tools, project_id: int, limit: int) -> Sequence[Unmarked]:
    """The first of those that the last sync found."""
    raw = tools.store.computed(project_id, UNMARKED)
    return _UNMARKED_JSON.validate_json(raw)[:limit] if raw else []


def _words(reading: Submission, occurrence: Occurrence) -> str:
    return reading.document.text[occurrence.start : occurrence.end]


def _labelled(tools: Tools, project_id: int, reading: Submission, occurrence: Occurrence) -> Labelled:
    place = _place(tools, project_id, reading.task_id, reading.document, occurrence)
    return replace(place, annotator=reading.annotator)


def _place(
    tools: Tools, project_id: int, task_id: int, document: Document, occurrence: Occurrence
) -> Labelled:
    text, start, end = document.text, occurrence.start, occurrence.end
    before = _one_line(text[max(0, start - CONTEXT) : start]).lstrip()
    words = _one_line(text[start:end])
    after = _one_line(text[end : end + CONTEXT]).rstrip()
    return Labelled(
        task_id=task_id,
        label=occurrence.label,
        context=before + words + after,
        annotator=None,
        url=task_url(tools, project_id, task_id),
        start=len(before),
        end=len(before + words),
    )


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)
