"""Label Studio's result items to spans and relations, and back."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from allabel_core.types import Document, Relation, Span, without_outer_space

from .label_config import LabelingInterface
from .offsets import from_utf16, locate, to_utf16

logger = logging.getLogger(__name__)

Item = Mapping[str, Any]


def document_from_annotation(interface: LabelingInterface, text: str, result: Sequence[Item]) -> Document:
    """What an annotator marked in ``text`` (of ``task_text``).

    Regions without a label of the config, and those whose stored words are not at their offsets in
    any way of counting, are left out, and relations to them too. Spans are sorted.
    """
    spans_of: dict[str, list[Span]] = {}
    misplaced = 0
    for item in result:
        names = _labels(interface, item)
        if not names:
            continue
        try:
            place = _place(interface, text, item["value"])
        except (KeyError, TypeError, ValueError):
            place = None
        if place is None:
            misplaced += 1
            continue
        place = without_outer_space(text, *place)
        spans_of.setdefault(str(item.get("id")), []).extend(Span(*place, name) for name in names)
    if misplaced:
        logger.warning("%d regions of an annotation do not fit its text and were left out", misplaced)
    spans = tuple(sorted({span for spans in spans_of.values() for span in spans}))
    return Document(text, spans, tuple(_relations(result, spans_of, spans)))


def result_from_spans(
    interface: LabelingInterface,
    text: str,
    spans: Sequence[Span],
    *,
    scores: Sequence[float] | None = None,
    relations: Sequence[Relation] = (),
) -> list[dict[str, Any]]:
    """Result items for ``spans`` of ``text`` (of ``task_text``), relations last.

    :param scores: confidence of each span in [0, 1], shown beside it; parallel to ``spans``.
    :raises ValueError: a span lies outside the text or bears a label that the config lacks.
    """
    items: dict[str, dict[str, Any]] = {}
    for index, span in enumerate(spans):
        if not 0 <= span.start < span.end <= len(text) or span.label not in interface.from_name:
            raise ValueError(f"span {index} does not fit the text or the label config")
        item: dict[str, Any] = {
            "id": region_id(span),
            "from_name": interface.from_name[span.label],
            "to_name": interface.to_name,
            "type": interface.result_type,
            "value": {**_offsets(interface, text, span), interface.result_type: [span.label]},
        }
        if scores is not None:
            item["score"] = scores[index]
        items.setdefault(item["id"], item)
    links = [_link(spans[relation.source], spans[relation.target], relation.label) for relation in relations]
    return [*items.values(), *links]


def _labels(interface: LabelingInterface, item: Item) -> list[str]:
    value = item.get("value")
    if item.get("type") != interface.result_type or item.get("to_name") != interface.to_name:
        return []
    if not isinstance(value, Mapping):
        return []
    names = (interface.shown.get(name, name) for name in value.get(interface.result_type) or ())
    return [name for name in names if name in interface.from_name]


def _place(interface: LabelingInterface, text: str, value: Item) -> tuple[int, int] | None:
    words = value.get("text")
    if interface.kind == "text":
        return locate(text, int(value["start"]), int(value["end"]), words)
    lines = text.split("\n")
    first, last = int(value["start"]), int(value["end"])
    if not 0 <= first <= last < len(lines):
        return None
    start_offset, end_offset = int(value["startOffset"]), int(value["endOffset"])
    before = sum(len(line) + 1 for line in lines[:first])
    if first == last:
        place = locate(lines[first], start_offset, end_offset, words, utf16=True)
        return (before + place[0], before + place[1]) if place else None
    # Across paragraphs the page stores words with breaks of its own, so offsets alone must do.
    head, tail = from_utf16(lines[first], start_offset), from_utf16(lines[last], end_offset)
    if head is None or tail is None:
        return None
    return before + head, before + sum(len(line) + 1 for line in lines[first:last]) + tail


def _offsets(interface: LabelingInterface, text: str, span: Span) -> dict[str, Any]:
    words = text[span.start : span.end]
    if interface.kind == "text":
        return {"start": span.start, "end": span.end, "text": words}
    first, last = text.count("\n", 0, span.start), text.count("\n", 0, span.end)
    head, tail = text.rfind("\n", 0, span.start) + 1, text.rfind("\n", 0, span.end) + 1
    return {
        "start": str(first),
        "end": str(last),
        "startOffset": to_utf16(text[head : span.start], span.start - head),
        "endOffset": to_utf16(text[tail : span.end], span.end - tail),
        "text": words,
    }


def noted_prediction(annotation: Item) -> list[dict[str, Any]] | None:
    """The regions of the prediction that Label Studio noted when the annotation was submitted.

    None where the task had no prediction of the version that was served.
    """
    noted = annotation.get("prediction")
    if not isinstance(noted, Mapping) or not isinstance(noted.get("result"), list):
        return None
    return list(noted["result"])


def region_id(span: Span) -> str:
    """The same for the same span in every prediction of a task, so that re-predicting changes no id."""
    return blake2b(f"{span.start}:{span.end}:{span.label}".encode(), digest_size=6).hexdigest()


def _link(source: Span, target: Span, label: str) -> dict[str, Any]:
    return {
        "type": "relation",
        "from_id": region_id(source),
        "to_id": region_id(target),
        "direction": "right",
        "labels": [label] if label else [],
    }


def _relations(
    result: Sequence[Item], spans_of: Mapping[str, list[Span]], spans: tuple[Span, ...]
) -> list[Relation]:
    """Direction ``left`` runs from ``to_id`` to ``from_id``; ``bi`` is two relations."""
    index = {span: place for place, span in enumerate(spans)}
    found: dict[Relation, None] = {}
    for item in result:
        ends = spans_of.get(str(item.get("from_id"))), spans_of.get(str(item.get("to_id")))
        if item.get("type") != "relation" or not ends[0] or not ends[1]:
            continue
        source, target = index[ends[0][0]], index[ends[1][0]]
        for label in item.get("labels") or [""]:
            if item.get("direction") in ("right", "bi", None):
                found.setdefault(Relation(source, target, label))
            if item.get("direction") in ("left", "bi"):
                found.setdefault(Relation(target, source, label))
    return list(found)
