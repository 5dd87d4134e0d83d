"""Texts with their entities in place, as pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from allabel_core.types import Document

from ..labeling.label_config import parse_label_config
from ..labeling.results import document_from_annotation
from ..ports import Suggestion
from .figures import MarkedSpan, MarkedText
from .tools import Tools

MOST = 700
"""Characters of a text that stands beside others."""


def marked_document(document: Document, most: int = MOST) -> MarkedText:
    """The text, cut where it is longer, with the spans that lie wholly in what is left."""
    text = document.text
    cut = text if len(text) <= most else text[: most - 1].rstrip() + "…"
    kept = len(cut) if cut == text else len(cut) - 1
    spans = sorted(
        (MarkedSpan(span.start, span.end, span.label) for span in document.spans if span.end <= kept),
        key=lambda span: span.start,
    )
    return MarkedText(cut, spans)


def marked_suggestion(
    tools: Tools, project_id: int, text: str, result: Sequence[Mapping[str, Any]], most: int = MOST
) -> MarkedText:
    """The text with the suggested spans."""
    interface = parse_label_config(tools.store.fact(project_id, "label_config") or "")
    return marked_document(document_from_annotation(interface, text, result), most)


def marked_suggestions(
    tools: Tools, project_id: int, texts: Mapping[int, str], made: Iterable[Suggestion]
) -> dict[int, MarkedText]:
    """By task, those that have a text."""
    return {
        each.task_id: marked_suggestion(tools, project_id, texts[each.task_id], each.result)
        for each in made
        if each.task_id in texts
    }
