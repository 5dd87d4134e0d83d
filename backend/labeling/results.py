"""Label Studio's result items to spans and relations, and back."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import Any, NamedTuple

from allabel_core.types import Document, Relation, Span, without_outer_space

from .label_config import LabelingInterface
from .offsets import Offsets

logger = logging.getLogger(__name__)

Item = Mapping[str, Any]

MALFORMED = "regions that are not written as Label Studio writes them"
UNLABELLED = "regions without a label"
MISPLACED = "regions whose words are not at their offsets in the text"
UNKNOWN_LABEL = "regions with the label {!r}, which the label config does not have"


class ReadAnnotation(NamedTuple):
    """``left_out``: regions that are not in the document, counted by reason."""

    document: Document
    left_out: Counter[str]


def document_from_annotation(interface: LabelingInterface, text: str, result: Sequence[Item]) -> Document:
    """What an annotator marked in ``text`` (of ``task_text``); see ``read_annotation``."""
    document, left_out = read_annotation(interface, text, result)
    if number := left_out[MALFORMED] + left_out[MISPLACED]:
        logger.warning("%d regions of an annotation do not fit its text and were left out", number)
    return document


def read_annotation(interface: LabelingInterface, text: str, result: object) -> ReadAnnotation:
    """The spans, sorted, and relations of an annotation, however badly it is written.

    Regions of other tags are passed over. Those of this interface are left out where they are malformed,
    have no label of the config, or have words that are not at their offsets in any way of counting; so
    are relations to them.

    :param result: what should be a list of result items. Label Studio stores whatever it is sent.
    """
    spans_of: dict[str, list[Span]] = {}
    left_out: Counter[str] = Counter()
    places = _Places(interface, text)
    items = result if isinstance(result, list | tuple) else []
    for item in items:
        if not isinstance(item, Mapping):
            left_out[MALFORMED] += 1
            continue
        if item.get("type") != interface.result_type or item.get("to_name") != interface.to_name:
            continue
        value = item.get("value")
        stored = value.get(interface.result_type, []) if isinstance(value, Mapping) else None
        if stored == []:
            left_out[UNLABELLED] += 1
            continue
        if not isinstance(stored, list) or not all(isinstance(name, str) for name in stored):
            left_out[MALFORMED] += 1
            continue
        names = [interface.shown.get(name, name) for name in stored]
        known = [name for name in names if name in interface.from_name]
        left_out.update(UNKNOWN_LABEL.format(name) for name in names if name not in interface.from_name)
        if not known:
            continue
        try:
            place = places.of_region(value)
        except (KeyError, TypeError, ValueError, OverflowError):
            left_out[MALFORMED] += 1
            continue
        if place is None:
            left_out[MISPLACED] += 1
            continue
        place = without_outer_space(text, *place)
        spans_of.setdefault(str(item.get("id")), []).extend(Span(*place, name) for name in known)
    spans = tuple(sorted({span for spans in spans_of.values() for span in spans}))
    relations = tuple(_relations([i for i in items if isinstance(i, Mapping)], spans_of, spans))
    return ReadAnnotation(Document(text, spans, relations), left_out)


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
    :raises ValueError: a span lies outside the text or has a label that the config lacks.
    """
    items: dict[str, dict[str, Any]] = {}
    places = _Places(interface, text)
    for index, span in enumerate(spans):
        if not 0 <= span.start < span.end <= len(text) or span.label not in interface.from_name:
            raise ValueError(f"span {index} does not fit the text or the label config")
        item: dict[str, Any] = {
            "id": region_id(span),
            "from_name": interface.from_name[span.label],
            "to_name": interface.to_name,
            "type": interface.result_type,
            "value": {**places.of_span(span), interface.result_type: [span.label]},
        }
        if scores is not None:
            item["score"] = scores[index]
        items.setdefault(item["id"], item)
    links = [_link(spans[relation.source], spans[relation.target], relation.label) for relation in relations]
    return [*items.values(), *links]


class _Places:
    """The places of one text, as Label Studio stores them and as code points."""

    def __init__(self, interface: LabelingInterface, text: str) -> None:
        self._text = text
        self._is_text = interface.kind == "text"
        self._lines = [] if self._is_text else text.split("\n")
        self._starts = list(accumulate((len(line) + 1 for line in self._lines), initial=0))
        self._counts: dict[int, Offsets] = {}

    def of_region(self, value: Any) -> tuple[int, int] | None:
        """:raises KeyError, TypeError, ValueError: the value is not one of this kind of region."""
        words = value.get("text")
        if words is not None and not isinstance(words, str):
            raise TypeError("text")
        if self._is_text:
            return self._offsets(0).locate(int(value["start"]), int(value["end"]), words)
        first, last = int(value["start"]), int(value["end"])
        if not 0 <= first <= last < len(self._lines):
            return None
        start, end = int(value["startOffset"]), int(value["endOffset"])
        if first == last:
            place = self._in_paragraph(self._offsets(first), start, end, words)
            return (self._starts[first] + place[0], self._starts[first] + place[1]) if place else None
        # Across paragraphs the page stores words with breaks of its own, so offsets alone must do.
        head, tail = self._offsets(first).from_utf16(start), self._offsets(last).from_utf16(end)
        if head is None or tail is None:
            return None
        return self._starts[first] + head, self._starts[last] + tail

    @staticmethod
    def _in_paragraph(counts: Offsets, start: int, end: int, words: str | None) -> tuple[int, int] | None:
        """The page cuts the words out of the paragraph as shown, white space collapsed, by the offsets of
        the paragraph as it is; so where words of this paragraph are not at the offsets, these decide."""
        place = counts.locate(start, end, words, utf16=True)
        if place is None and words is not None and counts.holds(words):
            return counts.locate(start, end, None, utf16=True)
        return place

    def of_span(self, span: Span) -> dict[str, Any]:
        words = self._text[span.start : span.end]
        if self._is_text:
            return {"start": span.start, "end": span.end, "text": words}
        first, last = bisect_right(self._starts, span.start) - 1, bisect_right(self._starts, span.end) - 1
        return {
            "start": str(first),
            "end": str(last),
            "startOffset": self._offsets(first).to_utf16(span.start - self._starts[first]),
            "endOffset": self._offsets(last).to_utf16(span.end - self._starts[last]),
            "text": words,
        }

    def _offsets(self, line: int) -> Offsets:
        if line not in self._counts:
            self._counts[line] = Offsets(self._text if self._is_text else self._lines[line])
        return self._counts[line]


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
        labels = item.get("labels")
        for label in (labels if isinstance(labels, list) else None) or [""]:
            if item.get("direction") in ("right", "bi", None):
                found.setdefault(Relation(source, target, str(label)))
            if item.get("direction") in ("left", "bi"):
                found.setdefault(Relation(target, source, str(label)))
    return list(found)
