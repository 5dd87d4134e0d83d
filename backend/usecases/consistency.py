"""The same words labelled differently, looked for among all annotations of a project."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import TypeAdapter

from allabel_core.quality.consistency import Occurrence, contradictions

from ..ports import Submission
from .connect import task_url
from .corpus import Corpus
from .figures import Inconsistency, Labelled
from .tools import Tools

NAME = "consistency"
MOST = 200
CONTEXT = 50
_JSON = TypeAdapter(list[Inconsistency])


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


def _words(reading: Submission, occurrence: Occurrence) -> str:
    return reading.document.text[occurrence.start : occurrence.end]


def _labelled(tools: Tools, project_id: int, reading: Submission, occurrence: Occurrence) -> Labelled:
    text, start, end = reading.document.text, occurrence.start, occurrence.end
    before = _one_line(text[max(0, start - CONTEXT) : start]).lstrip()
    words = _one_line(text[start:end])
    after = _one_line(text[end : end + CONTEXT]).rstrip()
    return Labelled(
        task_id=reading.task_id,
        label=occurrence.label,
        context=before + words + after,
        annotator=reading.annotator,
        url=task_url(tools, project_id, reading.task_id),
        start=len(before),
        end=len(before + words),
    )


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)
