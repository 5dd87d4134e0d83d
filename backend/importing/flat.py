"""Rows with their spans beside the text: JSON-MIN, Prodigy, doccano, spaCy, and lists of tagged tokens.

- JSON-MIN: {"id": 1, "text": ..., "label": [{"start", "end", "text", "labels"}], "annotation_id": 2}, a row
  for each annotation; one that marks nothing has no "label".
- Prodigy: {"text": ..., "tokens": [...], "spans": [{"start", "end", "label"}], "answer": "accept"}.
- doccano: {"text": ..., "label": [[start, end, label]]}, or "entities" of {"start_offset", "end_offset",
  "label"} with "relations".
- spaCy: [text, {"entities": [[start, end, label]]}].
- Hugging Face: {"tokens": [word, ...], "ner_tags": ["B-Label", ...]}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allabel_core.types import Document

from .conll import TAG, sentence
from .records import TEXT_FIELD, Findings, ImportFileError, Row
from .regions import Item, read_items
from .texts import choose_text, without_text

REJECTED = "answers that were {} in Prodigy"
_ANSWERS = {"accept": "accepted", "reject": "rejected", "ignore": "ignored"}
_SPANS = ("spans", "entities", "label", "labels")
_TAGS = ("ner_tags", "tags", "labels")
_LABELS = ("labels", "paragraphlabels", "hypertextlabels")
_STARTS, _ENDS = ("start", "start_offset"), ("end", "end_offset")
_ABOUT_THE_ANNOTATION = {
    *("annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"),
    *("answer", "tokens", "relations", "Comments"),
}


def as_row(row: object) -> object:
    """spaCy's pair of a text and its entities, and doccano's "data", as the object that others write."""
    if isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], dict):
        return {"text": row[0], **row[1]}
    if isinstance(row, dict) and isinstance(row.get("data"), str) and "text" not in row:
        return {("text" if name == "data" else name): value for name, value in row.items()}
    return row


def items_of(row: Mapping[str, Any]) -> list[Item]:
    """The spans and relations of a row, as result items."""
    spans = [_item(span) for key in _span_keys(row) for span in row[key]]
    links = row.get("relations")
    linked = [_link(link) for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    return [*spans, *linked]


def read_row(place: str, row: Mapping[str, Any], column: str | None, findings: Findings) -> Row:
    """:raises ImportFileError: it has no text, or its tags cannot be read."""
    if (tags := _tags_key(row)) is not None:
        return _tagged_tokens(place, row, tags)
    keys = _span_keys(row)
    beside = {*keys, *_ABOUT_THE_ANNOTATION}
    data = {name: value for name, value in row.items() if name not in beside and not name.startswith("_")}
    name, text = choose_text(place, data, column)
    data = without_text(data, name, text)
    answer = row.get("answer")
    if answer in ("reject", "ignore"):
        findings.leave_out(REJECTED.format(_ANSWERS[answer]), place)
        return Row(data, (), row.get("_input_hash"))
    made: tuple[Document, ...] = ()
    if keys or answer == "accept" or row.get("annotation_id"):
        made = (read_items(place, text, items_of(row), findings),)
    if "_input_hash" in row:
        return Row(data, made, row["_input_hash"])
    by = row.get("annotation_id", row.get("annotator"))
    return Row(data, made, None if by is None else row.get("id"), by)


def _span_keys(row: Mapping[str, Any]) -> list[str]:
    return [key for key, value in row.items() if isinstance(value, list) and _holds_spans(key, value)]


def _holds_spans(key: str, values: list[Any]) -> bool:
    if key in ("tokens", "relations"):
        return False
    by_name = key.lower() in _SPANS
    return any(_is_span(each, by_name) for each in values) if values else by_name


def _is_span(value: object, by_name: bool) -> bool:
    if isinstance(value, dict):
        labelled = by_name or any(name in value for name in (*_LABELS, "label"))
        return labelled and _first(value, _STARTS) is not None
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], int)


def _first(value: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((value[name] for name in names if name in value), None)


def _item(span: object) -> Item:
    """A result item of Label Studio's; where the span is none, one that is left out as malformed."""
    if isinstance(span, list) and len(span) == 3:
        span = {"start": span[0], "end": span[1], "label": span[2]}
    if not isinstance(span, dict):
        return {"type": "labels", "value": None}
    kind = next((name for name in _LABELS if name in span), "labels")
    labels = span.get(kind) if kind in span else [str(span["label"])] if "label" in span else None
    value = {**span, "start": _first(span, _STARTS), "end": _first(span, _ENDS), kind: labels}
    return {"type": kind, "id": span.get("id"), "value": value}


def _link(link: Mapping[str, Any]) -> Item:
    label = link.get("type", link.get("label"))
    named = [] if label is None else [str(label)]
    return {"type": "relation", "from_id": link.get("from_id"), "to_id": link.get("to_id"), "labels": named}


def _tags_key(row: Mapping[str, Any]) -> str | None:
    """The column with a tag for each token, where that is what a row has."""
    tokens = row.get("tokens")
    if "text" in row or not isinstance(tokens, list) or not tokens:
        return None
    tagged = (key for key in _TAGS if isinstance(row.get(key), list) and len(row[key]) == len(tokens))
    return next(tagged, None)


def _tagged_tokens(place: str, row: Mapping[str, Any], key: str) -> Row:
    tokens, tags = row["tokens"], row[key]
    if not all(isinstance(tag, str) and TAG.fullmatch(tag) for tag in tags):
        raise ImportFileError(
            f"{place}: {key!r} needs a tag such as B-Label or O for each token; numbers have to be "
            "written as the names that they stand for."
        )
    if not all(isinstance(token, str) for token in tokens):
        raise ImportFileError(f"{place}: 'tokens' holds something other than strings.")
    document = sentence(list(zip(tokens, tags, strict=True)))
    data = {name: value for name, value in row.items() if name not in ("tokens", key)}
    name, text = choose_text(place, {**data, TEXT_FIELD: document.text}, TEXT_FIELD)
    return Row(without_text(data, name, text), (document,))
