"""Annotated files other than Label Studio tasks: CoNLL columns, BRAT folders, JSON-MIN, span lists.

Nothing is guessed silently: what cannot be read exactly is refused with the place of the problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from allabel_core.types import Document, Span

from ..importers import ImportFileError

_TAG = re.compile(r"(?:([BIESLU])-(.+)|O)")
_BRAT_ENTITY = re.compile(r"T\S+\t(\S+) ([\d ;]+)\t(.*)")
_BEGINS, _ENDS, _WHOLE = "BSU", "ELSU", "SU"


def conll_documents(content: str, name: str) -> list[Document]:
    """Sentences of a file with a token a line and its tag in the last column; blank lines part them.

    Tags: IOB1, IOB2, IOBES or BILOU. The text is the tokens joined with single spaces. Lines that
    begin with ``-DOCSTART-``, or with ``#`` and hold no tab, are left out.

    :raises ImportFileError: a last column that is no such tag.
    """
    documents: list[Document] = []
    tokens: list[tuple[str, str]] = []
    for number, line in enumerate([*content.splitlines(), ""], 1):
        if not line.strip():
            if tokens:
                documents.append(_sentence(tokens))
            tokens = []
            continue
        if line.startswith("-DOCSTART-") or (line.startswith("#") and "\t" not in line):
            continue
        columns = line.split("\t") if "\t" in line else line.split()
        tag = columns[-1].strip()
        if len(columns) < 2 or not columns[0].strip() or not _TAG.fullmatch(tag):
            raise ImportFileError(
                f"{name}, line {number}: needs a token and, in the last column, a tag such as B-Label."
            )
        tokens.append((columns[0].strip(), tag))
    return documents


def _sentence(tokens: Sequence[tuple[str, str]]) -> Document:
    spans: list[Span] = []
    at, open_label, start, end = 0, "", 0, 0
    for token, tag in tokens:
        match = _TAG.fullmatch(tag)
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


def brat_documents(folder: Path) -> list[Document]:
    """The pairs NAME.txt and NAME.ann of a folder, by name. Only entities (T lines) are read.

    An entity of several pieces becomes one span from the first piece's start to the last one's end.

    :raises ImportFileError: a text without annotations file, or an entity that is not inside its text.
    """
    documents = []
    for path in sorted(folder.glob("*.ann")):
        source = path.with_suffix(".txt")
        if not source.is_file():
            raise ImportFileError(f"{path}: its text {source.name} is missing.")
        # BRAT counts characters with line ends as they are in the file.
        text = _read(source)
        spans = [
            _brat_span(f"{path}, line {number}", text, line)
            for number, line in enumerate(_read(path).splitlines(), 1)
            if line.startswith("T")
        ]
        documents.append(Document(text, tuple(dict.fromkeys(spans))))
    return documents


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ImportFileError(f"{path} cannot be read as UTF-8 ({type(error).__name__}).") from error


def _brat_span(place: str, text: str, line: str) -> Span:
    match = _BRAT_ENTITY.fullmatch(line)
    if not match:
        raise ImportFileError(f"{place}: not 'T1<tab>Label START END<tab>words'.")
    try:
        pieces = [(int(start), int(end)) for start, end in (piece.split() for piece in match[2].split(";"))]
    except ValueError as error:
        raise ImportFileError(f"{place}: the offsets {match[2]!r} are no pairs of numbers.") from error
    start, end = pieces[0][0], pieces[-1][1]
    if not 0 <= start < end <= len(text):
        raise ImportFileError(f"{place}: {start} to {end} is not inside {len(text)} characters.")
    words = " ".join(" ".join(text[a:b].split()) for a, b in pieces)
    if words != " ".join(match[3].split()):
        raise ImportFileError(f"{place}: {start} to {end} covers other words than it says.")
    return Span(start, end, match[1])


def flat_document(row: dict[str, Any], place: str) -> Document | None:
    """A row of JSON-MIN ({"text": ..., "label": [{"start", "end", "labels"}]}) or with span lists.

    Span lists are {"text": ..., KEY: [...]}, KEY being label, labels, entities or spans, of
    [start, end, label] or {"start", "end", "label"}. None where the row is of neither kind.

    :raises ImportFileError: a span that is not inside its text.
    """
    text = row.get("text")
    if not isinstance(text, str):
        return None
    lists = [value for key, value in row.items() if isinstance(value, list) and _holds_spans(key, value)]
    if not lists:
        return None
    spans = list(_flat_spans(lists, place))
    for span in spans:
        if not 0 <= span.start < span.end <= len(text):
            raise ImportFileError(
                f"{place}: a span from {span.start} to {span.end} is not inside {len(text)} characters."
            )
    return Document(text, tuple(spans))


def _holds_spans(key: str, value: Sequence[Any]) -> bool:
    if not value:
        return key.lower() in ("label", "labels", "entities", "spans")
    first = value[0]
    if isinstance(first, dict):
        return "start" in first and "end" in first
    return isinstance(first, list) and len(first) == 3 and isinstance(first[0], int)


def _flat_spans(lists: Sequence[Sequence[Any]], place: str) -> Iterator[Span]:
    for item in (item for each in lists for item in each):
        try:
            if isinstance(item, dict):
                labels = item.get("labels") or [item["label"]]
                found = item["start"], item["end"], labels[0]
            else:
                found = item[0], item[1], item[2]
            yield Span(int(found[0]), int(found[1]), str(found[2]))
        except (TypeError, KeyError, IndexError, ValueError) as error:
            raise ImportFileError(f"{place}: a span needs start, end and a label.") from error
