"""BRAT: a folder of pairs NAME.txt and NAME.ann."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from allabel_core.types import Document, Relation, Span, without_outer_space

from ..labeling.results import MISPLACED
from .decoding import decode
from .records import Findings, ImportFileError

_ENTITY = re.compile(r"(T\S+)\t(\S+) ([\d ;]+)\t(.*)")
_RELATION = re.compile(r"R\S+\t(\S+) \S+?:(T\S+) \S+?:(T\S+)\s*")


def read_brat(folder: Path, findings: Findings) -> Iterator[tuple[str, Document]]:
    """(file, document) by name: entities (T lines) and the relations between them (R lines).

    An entity of several pieces becomes one span from the first piece's start to the last one's end.

    :raises ImportFileError: a text is missing, or a line of an entity is none.
    """
    for path in sorted(folder.glob("*.ann")):
        source = path.with_suffix(".txt")
        if not source.is_file():
            raise ImportFileError(f"{path}: its text {source.name} is missing.")
        # BRAT counts characters with line ends as they are in the file.
        text = decode(source)
        spans: dict[str, Span] = {}
        links = []
        for number, line in enumerate(decode(path).split("\n"), 1):
            place = f"{path.name}, line {number}"
            if line.startswith("T"):
                findings.regions += 1
                name, span = _entity(f"{folder}, {place}", text, line.rstrip("\r"))
                if span is None:
                    findings.leave_out(MISPLACED, place)
                else:
                    spans[name] = span
            elif match := _RELATION.fullmatch(line):
                links.append(match.groups())
        kept = list(dict.fromkeys(spans.values()))
        relations = dict.fromkeys(
            Relation(kept.index(spans[source]), kept.index(spans[target]), label)
            for label, source, target in links
            if source in spans and target in spans
        )
        yield path.name, Document(text, tuple(kept), tuple(relations))


def _entity(place: str, text: str, line: str) -> tuple[str, Span | None]:
    """(its name, its span): None where its words are not at its offsets."""
    match = _ENTITY.fullmatch(line)
    if not match:
        raise ImportFileError(f"{place}: not 'T1<tab>Label START END<tab>words'.")
    try:
        pieces = [(int(start), int(end)) for start, end in (piece.split() for piece in match[3].split(";"))]
    except ValueError as error:
        raise ImportFileError(f"{place}: the offsets {match[3]!r} are no pairs of numbers.") from error
    start, end = pieces[0][0], pieces[-1][1]
    words = " ".join(" ".join(text[a:b].split()) for a, b in pieces)
    if not 0 <= start < end <= len(text) or words != " ".join(match[4].split()):
        return match[1], None
    return match[1], Span(*without_outer_space(text, start, end), match[2])
