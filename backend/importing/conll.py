"""CoNLL: a token a line with its tag in the last column, blank lines between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from allabel_core.types import Document, Span

from .records import ImportFileError

SUFFIXES = (".conll", ".bio", ".iob", ".iob2", ".iobes", ".bilou")
TAG = re.compile(r"(?:([BIESLU])-(.+)|O)")
LINES_LOOKED_AT = 500
_BEGINS, _ENDS, _WHOLE = "BSU", "ELSU", "SU"
# Tokens may hold other white space, such as the no-break space of "100 000".
_BLANKS = re.compile(r"[ \t]+")


def is_conll(content: str) -> bool:
    """Whether all of the first lines are tokens with their tags, one of them an entity's."""
    lines = [line for line in content.split("\n", LINES_LOOKED_AT)[:LINES_LOOKED_AT] if line.strip()]
    width = _width(lines)
    tags = [columns[-1] for line in lines if (columns := _columns(line, width)) is not None]
    valid = all(len(tag) > 0 and TAG.fullmatch(tag) for tag in tags)
    return width >= 2 and len(tags) >= 2 and valid and any(tag != "O" for tag in tags)


def read_conll(content: str, name: str) -> Iterator[tuple[str, Document]]:
    """(place, sentence). Tags: IOB1, IOB2, IOBES or BILOU. The text is the tokens joined with single spaces.

    Lines that begin with ``-DOCSTART-`` are left out; so are comments: lines that begin with ``#`` and are
    no token with as many columns as the other lines.

    :raises ImportFileError: a last column that is no such tag.
    """
    tokens: list[tuple[str, str]] = []
    lines = content.split("\n")
    width = _width(lines)
    begun = 1
    for number, line in enumerate([*lines, ""], 1):
        if not line.strip(" \t\r"):
            if tokens:
                yield f"line {begun}", sentence(tokens)
            tokens = []
            continue
        columns = _columns(line, width)
        if columns is None:
            continue
        if len(columns) < 2 or not columns[0] or not TAG.fullmatch(columns[-1]):
            raise ImportFileError(
                f"{name}, line {number}: needs a token and, in the last column, a tag such as B-Label."
            )
        begun = begun if tokens else number
        tokens.append((columns[0], columns[-1]))


def _split(line: str) -> list[str]:
    line = line.strip("\r\n")
    if "\t" in line:
        return [column.strip(" ") for column in line.rstrip("\t ").split("\t")]
    return _BLANKS.split(line.strip(" "))


def _width(lines: Sequence[str]) -> int:
    """The number of columns of the first line that can be no comment."""
    return next((len(_split(line)) for line in lines if line.strip() and line[0] not in "#-"), 2)


def _columns(line: str, width: int) -> list[str] | None:
    """None for what is no token."""
    if line.startswith("-DOCSTART-"):
        return None
    columns = _split(line)
    is_token = "\t" in line or (len(columns) == width and TAG.fullmatch(columns[-1]))
    return None if line.startswith("#") and not is_token else columns


def sentence(tokens: Sequence[tuple[str, str]]) -> Document:
    """The document of tokens with their tags."""
    spans: list[Span] = []
    at, open_label, start, end = 0, "", 0, 0
    for token, tag in tokens:
        match = TAG.fullmatch(tag)
        prefix, label = (match[1] or "O", match[2] or "") if match else ("O", "")
        if open_label and (label != open_label or prefix in _BEGINS):
            spans.append(Span(start, end, open_label))
            open_label = ""
        if label:
            start = at if not open_label else start
            open_label, end = label, at + len(token)
            if prefix in _ENDS:
                spans.append(Span(start, end, label))
                open_label = ""
        at += len(token) + 1
    if open_label:
        spans.append(Span(start, end, open_label))
    return Document(" ".join(token for token, _ in tokens), tuple(spans))
