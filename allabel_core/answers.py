"""The form of an answer, both ways: what a demonstration shows, and what a model's answer means."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from allabel_core.answer_block import Block
from allabel_core.answer_json import read_json
from allabel_core.answer_lines import read_lines, render_lines
from allabel_core.answer_shapes import Entity
from allabel_core.thoughts import without_thoughts
from allabel_core.types import Document, Mention, Relation

Form: TypeAlias = Literal["chat", "completion"]

# An answer is read up to here; a longer one comes from a model that does not stop.
MAX_ANSWER_CHARACTERS = 400_000


@dataclass(frozen=True, slots=True)
class LabelSet:
    """What a project asks for.

    ``hints``: (label, what it means), for the labels that have one. ``relation_labels``: empty
    where the project links no entities; a link without a name has the label "".
    """

    labels: tuple[str, ...]
    hints: tuple[tuple[str, str], ...] = ()
    instructions: str = ""
    relation_labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """What a model's answer says, as far as it can be read.

    ``places``: per mention, the half-open range of the answer that names it. ``relations`` refer to
    ``mentions`` by index. ``problem``: None, "empty", "not_json", "truncated" or "wrong_shape"; what
    could be read is kept all the same. ``unknown_labels``: mentions dropped because the project has
    no such label. ``malformed``: entities and links dropped because they could not be understood.
    ``superseded``: mentions of an example or a draft that the answer proper does not repeat.
    """

    mentions: tuple[Mention, ...] = ()
    relations: tuple[Relation, ...] = ()
    problem: str | None = None
    unknown_labels: int = 0
    malformed: int = 0
    superseded: int = 0
    places: tuple[tuple[int, int], ...] = ()


def answer_schema(labels: LabelSet) -> dict[str, Any]:
    """The JSON schema of an answer, within the subset that strict structured output accepts."""
    entity: dict[str, Any] = {"text": {"type": "string"}, "label": _one_of(labels.labels)}
    if not labels.relation_labels:
        return _object({"entities": _list_of(entity)})
    link = {"from": {"type": "integer"}, "to": {"type": "integer"}, "label": _one_of(labels.relation_labels)}
    return _object({"entities": _list_of({"id": {"type": "integer"}, **entity}), "relations": _list_of(link)})


def _one_of(labels: Sequence[str]) -> dict[str, Any]:
    return {"type": "string", "enum": list(labels)}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list_of(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": _object(properties)}


def render_answer(document: Document, labels: LabelSet, *, form: Form) -> str:
    """The answer that an ideal model would give: the document's entities in reading order.

    A completion has a line for each label, with its entities in reading order, and tells no relations.
    Entities whose label the project no longer has are left out, and so are their links.
    """
    known = set(labels.labels)
    kept = [i for i, span in enumerate(document.spans) if span.label in known]
    kept.sort(key=lambda i: (document.spans[i].start, document.spans[i].end))
    pairs = [(document.text[s.start : s.end], s.label) for s in (document.spans[i] for i in kept)]
    if form == "completion":
        return render_lines(pairs, labels.labels)
    if not labels.relation_labels:
        entities = [{"text": words, "label": label} for words, label in pairs]
        return json.dumps({"entities": entities}, ensure_ascii=False)
    numbered = [{"id": n, "text": words, "label": label} for n, (words, label) in enumerate(pairs, 1)]
    number = {i: n for n, i in enumerate(kept, 1)}
    links = [
        {"from": number[link.source], "to": number[link.target], "label": link.label}
        for link in document.relations
        if link.source in number and link.target in number and link.label in labels.relation_labels
    ]
    return json.dumps({"entities": numbered, "relations": links}, ensure_ascii=False)


def parse_answer(answer: str, labels: LabelSet, *, form: Form) -> ParsedAnswer:
    """Read a model's answer. Never raises, whatever the model said; see ``ParsedAnswer.problem``."""
    given = answer[:MAX_ANSWER_CHARACTERS]
    spoken = without_thoughts(given)
    if not spoken.strip():
        return ParsedAnswer(problem="truncated" if given.strip() else "empty")
    if form == "completion":
        return _parsed(_read_lines(spoken, labels), labels)
    block, superseded = read_json(spoken, labels.labels)
    return _parsed(block, labels, superseded)


def _parsed(block: Block, labels: LabelSet, superseded: int = 0) -> ParsedAnswer:
    relations = block.relations(labels.relation_labels)
    return ParsedAnswer(
        mentions=tuple(block.mentions),
        relations=tuple(relations),
        problem=block.problem,
        unknown_labels=block.unknown_labels,
        malformed=block.malformed,
        superseded=superseded,
        places=tuple(block.places),
    )


def _read_lines(answer: str, labels: LabelSet) -> Block:
    block = Block(labels.labels)
    last = None
    for last in read_lines(answer, labels.labels):
        if last.label is None:
            block.malformed += 1
        else:
            block.add(Entity(last.words, last.label), last.place, line=last.line)
    if last is not None and last.label is None:
        block.problem = "truncated" if block.mentions else "wrong_shape"
    return block
