"""Which entities a decoded piece of an answer names: every shape that models are known to use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from allabel_core.answer_lines import match_label

_TEXT_KEYS = (
    "text", "words", "word", "mention", "span", "entity", "name", "value", "surface", "surfaceform",
    "phrase", "term", "token", "string", "quote", "content", "entitytext", "entityname", "mentiontext",
    "extractiontext", "extraction", "match", "texts", "mentions", "entities", "values",
)  # fmt: skip
_LABEL_KEYS = (
    "label", "type", "category", "class", "tag", "labels", "types", "entitytype", "entitylabel",
    "entitygroup", "entitycategory", "entityclass", "kind", "ner", "nertag", "extractionclass",
    "categories", "tags", "concept",
)  # fmt: skip
LIST_KEYS = (
    "entities", "mentions", "spans", "annotations", "results", "result", "extractions", "items", "output",
    "answer", "answers", "data", "predictions", "named_entities", "namedentities", "labels",
)  # fmt: skip
_NO_LETTER = re.compile(r"[\W_]+")


class Number(str):
    """A number as the answer spells it."""

    __slots__ = ()


class Entity(NamedTuple):
    """``words`` and ``label`` as the answer has them; None where they are not there."""

    words: object
    label: object
    name: object = None


def entities_of(item: object, labels: Sequence[str]) -> list[Entity] | None:
    """The entities that one item names; None where it is none, nor a group of them."""
    if isinstance(item, Mapping):
        words, label = item.get("text"), item.get("label")
        if type(words) is str and type(label) is str and match_label(label, labels) is not None:
            return [Entity(words, label, item.get("id"))]
        return _of_object(item, labels)
    if isinstance(item, Sequence) and not isinstance(item, str):
        return _of_row(item, labels)
    return None


def _of_object(item: Mapping[str, object], labels: Sequence[str]) -> list[Entity] | None:
    fields = {_NO_LETTER.sub("", str(key)).casefold(): value for key, value in item.items()}
    label_keys = [key for key in _LABEL_KEYS if _label(fields.get(key)) is not None]
    label_key = next(
        (key for key in label_keys if _is_known(fields[key], labels)), next(iter(label_keys), None)
    )
    text_key = next((key for key in _TEXT_KEYS if key != label_key and _words(fields.get(key))), None)
    if label_key is None:
        label_key = next((k for k, v in fields.items() if k != text_key and _is_known(v, labels)), None)
    if text_key and label_key is None and _is_known(fields[text_key], labels):
        text_key, label_key = None, text_key
    if text_key is None and label_key is not None:
        others = [
            k for k, v in fields.items() if k != label_key and type(v) is str and not _is_known(v, labels)
        ]
        text_key = others[0] if len(others) == 1 else None
    if text_key is None or label_key is None:
        return _nested(fields, labels)
    if _is_known(fields[text_key], labels) and not _is_known(fields[label_key], labels):
        text_key, label_key = label_key, text_key
    named = fields.get("id")
    return [
        Entity(words, label, named)
        for words in _words(fields[text_key])
        for label in _label(fields[label_key]) or [None]
    ]


def _nested(fields: Mapping[str, object], labels: Sequence[str]) -> list[Entity] | None:
    """Label Studio's and others' way: the words stand one level deeper."""
    for key in ("value", "span", "entity"):
        inner = fields.get(key)
        if isinstance(inner, Mapping):
            return _of_object({**{k: v for k, v in fields.items() if k != key}, **inner}, labels)
    return None


def _of_row(item: Sequence[object], labels: Sequence[str]) -> list[Entity] | None:
    """[words, label], in either order, with or without a number beside them."""
    said = [part for part in item if isinstance(part, str)]
    strings = [part for part in said if type(part) is str]
    if len(said) < 2 or not strings:
        return None
    label = next((part for part in reversed(strings) if match_label(part, labels) is not None), None)
    if label is None:
        return [Entity(said[0], said[1])] if len(item) == 2 and type(said[1]) is str else None
    words = next((part for part in said if part is not label), None)
    return [Entity(words, label)] if words is not None else None


def by_label(item: Mapping[str, object], labels: Sequence[str]) -> list[Entity] | None:
    """The entities of {label: words}, {label: [words, ...]} or {words: label}; None where it is no such."""
    known = [key for key in item if match_label(key, labels) is not None]
    lists = [value for value in item.values() if isinstance(value, list)]
    plain = (
        bool(item)
        and len(lists) == len(item)
        and not any(isinstance(v, Mapping) for each in lists for v in each)
    )
    if not known and plain:
        pairs = ((label, cast("list[object]", several)) for label, several in item.items())
        return [Entity(words, label) for label, several in pairs for words in several]
    if not known:
        turned = item and all(_is_known(value, labels) for value in item.values())
        return [Entity(words, label) for words, label in item.items()] if turned else None
    return [
        entity
        for key, value in item.items()
        if key in known or isinstance(value, list)
        for entity in _under_label(key, value)
    ]


def _under_label(label: str, value: object) -> Iterator[Entity]:
    for words in value if isinstance(value, list) else [value]:
        if isinstance(words, Mapping):
            fields = {_NO_LETTER.sub("", str(key)).casefold(): inner for key, inner in words.items()}
            found = next((_words(fields.get(key)) for key in _TEXT_KEYS if _words(fields.get(key))), [None])
            yield from (Entity(each, label, fields.get("id")) for each in found)
        elif words is not None:
            yield Entity(words, label)


def _words(value: object) -> list[object]:
    if isinstance(value, bool):
        return []
    if isinstance(value, str | int | float):
        return [value if isinstance(value, str) else str(value)]
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return list(value)
    return []


def _label(value: object) -> list[object] | None:
    if type(value) is str:
        return [value]
    if isinstance(value, list) and value and all(type(each) is str for each in value):
        return list(value)
    return None


def _is_known(value: object, labels: Sequence[str]) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_known(each, labels) for each in value)
    return type(value) is str and match_label(value, labels) is not None


def inner_items(item: object) -> list[object]:
    """Of a list of items, or an object that holds one, the items."""
    lists = (
        [value for key, value in item.items() if is_list_key(key)] if isinstance(item, Mapping) else [item]
    )
    return [
        each
        for several in lists
        if isinstance(several, list)
        for each in several
        if isinstance(each, dict | list)
    ]


def is_list_key(key: str) -> bool:
    return key.casefold() in LIST_KEYS
