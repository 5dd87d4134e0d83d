"""The form of an answer, both ways: what a demonstration shows, and what a model's answer means."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from allabel_core.answer_lines import match_label, read_lines, render_lines
from allabel_core.types import Document, Mention, Relation

Form: TypeAlias = Literal["chat", "completion"]

# An answer is read up to here; a longer one comes from a model that does not stop.
MAX_ANSWER_CHARACTERS = 400_000
# Each damaged item costs a fresh scan of the rest, so a list is given up after this many.
_MAX_DAMAGED_ITEMS = 50

_TEXT_KEYS = ("text", "words", "mention", "entity", "span", "name")
_LABEL_KEYS = ("label", "type", "category", "class")
_ENTITY_LIST = re.compile(r'"(?:entities|mentions|spans|annotations|results?)"\s*:\s*\[', re.IGNORECASE)
_RELATION_LIST = re.compile(r'"(?:relations|links)"\s*:\s*\[', re.IGNORECASE)
_BARE_LIST = re.compile(r"\[\s*(?=[\[{\]])")
_BETWEEN_ITEMS = re.compile(r"[\s,]*")
# Control characters inside strings are common in answers and harmless.
_decoder = json.JSONDecoder(strict=False)


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
    """

    mentions: tuple[Mention, ...] = ()
    relations: tuple[Relation, ...] = ()
    problem: str | None = None
    unknown_labels: int = 0
    malformed: int = 0
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
    answer = answer[:MAX_ANSWER_CHARACTERS]
    reading = _Reading(labels)
    if not answer.strip():
        reading.problem = "empty"
    elif form == "completion":
        _read_lines(answer, reading)
    else:
        _read_json(answer, reading)
    return reading.result()


@dataclass(slots=True)
class _Reading:
    """The state of one reading. ``index_of_id``: what an entity calls itself -> index in ``mentions``."""

    labels: LabelSet
    mentions: list[Mention] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    index_of_id: dict[str, int] = field(default_factory=dict)
    items: int = 0
    unknown_labels: int = 0
    malformed: int = 0
    problem: str | None = None

    def result(self) -> ParsedAnswer:
        return ParsedAnswer(
            mentions=tuple(self.mentions),
            relations=tuple(dict.fromkeys(self.relations)),
            problem=self.problem,
            unknown_labels=self.unknown_labels,
            malformed=self.malformed,
            places=tuple(self.places),
        )

    def add(
        self, words: object, label: object, place: tuple[int, int], name: object = None, *, line: int = 0
    ) -> None:
        self.items += 1
        if not isinstance(words, str) or not isinstance(label, str) or not words.strip():
            self.malformed += 1
            return
        known = match_label(label, self.labels.labels)
        if known is None:
            self.unknown_labels += 1
            return
        self.index_of_id[str(self.items if name is None else name)] = len(self.mentions)
        # A lone surrogate, which JSON can spell, could not be stored or sent anywhere.
        self.mentions.append(Mention(words.encode("utf-8", "replace").decode("utf-8"), known, line))
        self.places.append(place)

    def add_item(self, item: object, place: tuple[int, int]) -> None:
        """One entity in any of the shapes that models use: an object, or a pair of words and label."""
        if isinstance(item, Mapping):
            words, label = _first(item, _TEXT_KEYS), _first(item, _LABEL_KEYS)
            self.add(words, label, place, item.get("id"))
        elif isinstance(item, list) and len(item) == 2:
            self.add(item[0], item[1], place)
        else:
            self.items += 1
            self.malformed += 1

    def add_link(self, item: object) -> None:
        link = item if isinstance(item, Mapping) else {}
        source, target = (self.index_of_id.get(str(link.get(end))) for end in ("from", "to"))
        wanted = self.labels.relation_labels
        name = link.get("label", "")
        label = match_label(name, wanted) if isinstance(name, str) else None
        if source is None or target is None or source == target or label is None:
            self.malformed += 1
        else:
            self.relations.append(Relation(source, target, label))


def _first(item: Mapping[str, Any], keys: Sequence[str]) -> object:
    return next((item[key] for key in keys if key in item), None)


def _read_json(answer: str, reading: _Reading) -> None:
    # What a reasoning model thinks aloud may contain drafts of the answer.
    start = answer.rfind("</think>") + 1
    opening = _ENTITY_LIST.search(answer, start) or _BARE_LIST.search(answer, start)
    first_object = answer.find("{", start)
    if opening is None or (
        first_object != -1 and opening.re is _BARE_LIST and first_object < opening.start()
    ):
        _read_object(answer, first_object, reading)
        return
    end = _read_list(answer, opening.end(), reading.add_item, reading)
    links = _RELATION_LIST.search(answer, end) or _RELATION_LIST.search(answer, start)
    if links and reading.labels.relation_labels:
        _read_list(answer, links.end(), lambda item, place: reading.add_link(item), reading)
    if reading.problem is None and reading.items and reading.malformed >= reading.items:
        reading.problem = "wrong_shape"


def _read_object(answer: str, position: int, reading: _Reading) -> None:
    """An answer that is one object: a single entity, or {label: [words, ...]}, or nothing we know."""
    if position == -1:
        # A number, a string or a list of them: JSON, but no answer.
        position = len(answer) - len(answer.lstrip())
    decoded = _decode(answer, position)
    if decoded is None:
        reading.problem = "not_json"
        return
    value, end = decoded
    place = (position, end)
    if not isinstance(value, dict):
        reading.problem = "wrong_shape"
    elif any(key in value for key in _TEXT_KEYS) and any(key in value for key in _LABEL_KEYS):
        reading.add_item(value, place)
    elif value and all(isinstance(words, list) for words in value.values()):
        for label, several in value.items():
            for words in several:
                reading.add(words, label, place)
    else:
        reading.problem = "wrong_shape"


def _read_list(
    answer: str, position: int, take: Callable[[object, tuple[int, int]], None], reading: _Reading
) -> int:
    """Hand every complete item of the list that opens before ``position`` to ``take``.

    :returns: where the list ends; where it does not, the problem is "truncated".
    """
    damaged = 0
    while damaged <= _MAX_DAMAGED_ITEMS:
        gap = _BETWEEN_ITEMS.match(answer, position)
        position = gap.end() if gap else position
        if position >= len(answer):
            break
        if answer[position] == "]":
            return position + 1
        decoded = _decode(answer, position)
        if decoded is not None:
            take(decoded[0], (position, decoded[1]))
            position = decoded[1]
            continue
        damaged += 1
        following = answer.find("{", position + 1)
        if following == -1:
            break
        position = following
    reading.problem = "truncated"
    return len(answer)


def _decode(answer: str, position: int) -> tuple[object, int] | None:
    try:
        value, end = _decoder.raw_decode(answer, position)
    except (ValueError, RecursionError):  # RecursionError: "[[[[..." without end
        return None
    return value, end


def _read_lines(answer: str, reading: _Reading) -> None:
    last = None
    for last in read_lines(answer, reading.labels.labels):
        if last.label is None:
            reading.malformed += 1
        else:
            reading.add(last.words, last.label, last.place, line=last.line)
    if last is not None and last.label is None:
        reading.problem = "truncated" if reading.mentions else "wrong_shape"
