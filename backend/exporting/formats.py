"""Exported tasks -> lines of a file. Every format says of each text who annotated it, people or the model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from unicodedata import category

from allabel_core.types import Document, Span

from ..ports import Annotation
from .tasks import ExportedTask

_TOKEN = re.compile(r"\w+|[^\w\s]")
_WHITE_SPACE = re.compile(r"\s")
_MARKS = ("Mn", "Mc", "Me")


@dataclass(slots=True)
class Written:
    """What a file holds. ``without_text``, ``unannotated``: tasks left out; ``overlapping``: spans left out,
    since the format has no place for one span across another."""

    people: int = 0
    model: int = 0
    without_text: int = 0
    unannotated: int = 0
    overlapping: int = 0


Writer = Callable[[Iterable[ExportedTask], Written], Iterator[str]]


def as_json(tasks: Iterable[ExportedTask], written: Written) -> Iterator[str]:
    """Label Studio's own JSON: people's annotations as such, the model's as predictions."""
    between = "[\n"
    for task in tasks:
        _count(task, written)
        item: dict[str, Any] = {
            "id": task.id,
            "data": task.data,
            "annotations": [_annotation(each) for each in task.annotations],
            "predictions": [],
        }
        if task.suggestion is not None:
            made = {"model_version": task.version, "score": task.suggestion.confidence}
            item["predictions"] = [{**made, "result": task.suggestion.result}]
        yield between + json.dumps(item, ensure_ascii=False)
        between = ",\n"
    yield "[]\n" if between == "[\n" else "\n]\n"


def as_conll(tasks: Iterable[ExportedTask], written: Written) -> Iterator[str]:
    """CoNLL-2003 as Label Studio writes it, with a comment on the task and who annotated it."""
    yield "-DOCSTART- -X- O\n\n"
    for task, document in _annotated(tasks, written):
        tokens = _tagged(document, written)
        if tokens:
            # A blank would begin another column.
            lines = "".join(f"{token} -X- _ {_WHITE_SPACE.sub('_', tag)}\n" for token, tag in tokens)
            yield f"# task = {task.id}\n# source = {_source(task)}\n{lines}\n"


def as_spacy(tasks: Iterable[ExportedTask], written: Written) -> Iterator[str]:
    """JSONL of texts with their entities in characters, as spaCy's ``Example.from_dict`` takes them."""
    for task, document in _annotated(tasks, written):
        entities = [[s.start, s.end, s.label] for s in _apart(document, written)]
        yield _line({"text": document.text, "entities": entities, "task": task.id, "source": _source(task)})


def as_hugging_face(tasks: Iterable[ExportedTask], written: Written) -> Iterator[str]:
    """JSONL of tokens with their tags, as ``datasets.load_dataset("json", ...)`` reads it."""
    for task, document in _annotated(tasks, written):
        tagged = _tagged(document, written)
        yield _line(
            {
                "tokens": [token for token, _ in tagged],
                "ner_tags": [tag for _, tag in tagged],
                "task": task.id,
                "source": _source(task),
            }
        )


FORMATS: dict[str, Writer] = {
    "json": as_json,
    "conll": as_conll,
    "spacy": as_spacy,
    "hf": as_hugging_face,
}


def _count(task: ExportedTask, written: Written) -> None:
    written.people += task.source == "people"
    written.model += task.source == "model"
    written.without_text += task.text is None
    written.unannotated += task.source == "nobody" and task.text is not None


def _annotated(tasks: Iterable[ExportedTask], written: Written) -> Iterator[tuple[ExportedTask, Document]]:
    for task in tasks:
        _count(task, written)
        if task.document is not None:
            yield task, task.document


def _annotation(made: Annotation) -> dict[str, Any]:
    return {
        "id": made.id,
        "completed_by": made.completed_by,
        "result": made.result,
        "was_cancelled": made.cancelled,
        "ground_truth": made.ground_truth,
        "created_at": made.created_at,
        "updated_at": made.updated_at,
        "lead_time": made.lead_time,
    }


def _source(task: ExportedTask) -> str:
    return f"model {task.version}".strip() if task.source == "model" else task.source


def _apart(document: Document, written: Written) -> list[Span]:
    """Spans in reading order that share no character: of those that do, the longest."""
    covered = bytearray(len(document.text))
    kept = []
    for span in sorted(document.spans, key=lambda s: (s.start - s.end, s)):
        if covered.find(1, span.start, span.end) == -1:
            covered[span.start : span.end] = b"\x01" * (span.end - span.start)
            kept.append(span)
    written.overlapping += len(document.spans) - len(kept)
    return sorted(kept)


def _tagged(document: Document, written: Written) -> list[tuple[str, str]]:
    """Words and signs with their IOB2 tags. Words are parted where a span begins or ends inside them."""
    spans = _apart(document, written)
    edges = sorted({edge for span in spans for edge in (span.start, span.end)} | {0, len(document.text)})
    begins = {span.start: span for span in spans}
    found: list[tuple[str, str]] = []
    for start, end in pairwise(edges):
        span = begins.get(start)
        tag = f"B-{span.label}" if span else "O"
        for token in _tokens(document.text, start, end):
            found.append((token, tag))
            tag = f"I-{span.label}" if span else "O"
    return found


def _tokens(text: str, start: int, end: int) -> list[str]:
    """Vowel signs and accents, which are no letters to ``re``, stay with what they stand on."""
    tokens: list[str] = []
    glue, last = False, start
    for match in _TOKEN.finditer(text, start, end):
        marks = category(match[0][0]) in _MARKS
        if tokens and match.start() == last and (marks or glue):
            tokens[-1] += match[0]
        else:
            tokens.append(match[0])
        glue, last = marks, match.end()
    return tokens


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
