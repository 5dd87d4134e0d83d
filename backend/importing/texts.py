"""Which column of a row holds its text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..labeling.label_config import MAX_TEXT_CHARACTERS
from .records import TEXT_FIELD, ImportFileError


def choose_text(place: str, data: Mapping[str, Any], column: str | None) -> tuple[str, str]:
    """(column, text): the column named, otherwise "text", otherwise the only one that holds words.

    Of a list of paragraphs, one a line.

    :raises ImportFileError: there is no such column, several could be meant, or it holds no usable text.
    """
    name = _column(place, data, column)
    text = data[name]
    if isinstance(text, list) and text and all(isinstance(each, dict) for each in text):
        text = "\n".join(str(each.get("text") or "").replace("\n", " ") for each in text)
    if not isinstance(text, str):
        raise ImportFileError(f"{place}: the text is {type(text).__name__}, not a string.")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ImportFileError(
            f"{place}: {len(text):,} characters; at most {MAX_TEXT_CHARACTERS:,} fit a task."
        )
    if "\0" in text:
        raise ImportFileError(f"{place}: the text holds a NUL character.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ImportFileError(
            f"{place}: the text holds half of a surrogate pair, which is no character."
        ) from error
    return name, text


def _column(place: str, data: Mapping[str, Any], column: str | None) -> str:
    wanted = column or TEXT_FIELD
    if wanted in data:
        return wanted
    candidates = [name for name in data if name.lower() == wanted.lower()]
    if column is None and not candidates:
        candidates = [name for name, value in data.items() if isinstance(value, str)]
    if len(candidates) == 1:
        return candidates[0]
    named = ", ".join(map(repr, data)) or "none"
    raise ImportFileError(
        f"{place}: no field {wanted!r}; there are {named}. Say which one holds the text (--text NAME)."
    )


def without_text(data: Mapping[str, Any], name: str, text: str) -> dict[str, Any]:
    """The other columns, cleaned of what Label Studio's database refuses, and the text under its own name."""
    kept = {_clean(key): _clean(value) for key, value in data.items() if key not in (name, TEXT_FIELD)}
    if name != TEXT_FIELD and TEXT_FIELD in data:
        kept[f"{TEXT_FIELD}_2"] = _clean(data[TEXT_FIELD])
    return {**kept, TEXT_FIELD: text}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {_clean(name): _clean(each) for name, each in value.items()}
    return value
