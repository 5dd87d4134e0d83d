"""An answer as base models give it best: one line per label, its mentions separated by "; "."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

_ABSENT = "-"
_READ_AS_ABSENT = frozenset({"", _ABSENT, "none"})
# A control character inside a string does no harm.
_decoder = json.JSONDecoder(strict=False)
_SPACES = re.compile(r"\s*")
_ANY_OPENING = re.compile(r"\s*([^:;\"\s][^:;\"]{0,79}):")
_MISREAD = re.compile(r'[;\n\r]|^"|^\s|\s$')


class Item(NamedTuple):
    """What a line says of one mention. ``place``: its half-open range of the answer.

    ``label``: as the answer spells it; None where the line names none.
    """

    words: str
    label: str | None
    place: tuple[int, int]
    line: int


def match_label(label: str, known: Sequence[str]) -> str | None:
    """The project's own spelling of a label: exact first, then whatever the case and outer white space."""
    if label in known:
        return label
    stripped = label.strip()
    folded = stripped.casefold()
    alike = [candidate for candidate in known if candidate.strip().casefold() == folded]
    return next((each for each in alike if each.strip() == stripped), alike[0] if alike else None)


def render_lines(entities: Sequence[tuple[str, str]], labels: tuple[str, ...]) -> str:
    """(words, label) in reading order as lines: every label in the given order, "-" where it has none.

    Words that could be misread are JSON strings.
    """
    lines = []
    for label in labels:
        named = "; ".join(_safe_words(words, labels) for words, its_label in entities if its_label == label)
        lines.append(f"{label}: {named or _ABSENT}")
    return "\n".join(lines)


def _safe_words(words: str, labels: tuple[str, ...]) -> str:
    misread = (
        _MISREAD.search(words)
        or _is_absent(words)
        or _opening(labels).match(words)
        or _words_of_pair(words, labels)
    )
    return json.dumps(words, ensure_ascii=False) if misread else words


def read_lines(answer: str, labels: tuple[str, ...]) -> Iterator[Item]:
    """The mentions of an answer that goes on where the first label's name and colon were given.

    The first line belongs to the first label unless it names one itself. Labels may lack their line or
    have several; one that the project does not have is told as it is. A blank line ends the answer.
    ``words = Label`` counts for that label in whichever line.
    """
    start = len(answer) - len(answer.lstrip())
    line = 0
    while start < len(answer):
        end = answer.find("\n", start)
        end = len(answer) if end == -1 else end
        if line and not answer[start:end].strip():
            return
        label, opened = _line_label(answer, start, end, labels, is_first=line == 0)
        for words, place, is_quoted in _split(answer, opened, end):
            if is_quoted:
                yield Item(words, label, place, line)
            elif not _is_absent(words):
                yield Item(*(_words_of_pair(words, labels) or (words, label)), place, line)
        start = end + 1
        line += 1


def _line_label(
    answer: str, start: int, end: int, labels: tuple[str, ...], *, is_first: bool
) -> tuple[str | None, int]:
    """(whose line this is, where its mentions begin)."""
    named = _opening(labels).match(answer, start, end)
    if named is None and is_first:
        return next(iter(labels), None), start
    named = named or _ANY_OPENING.match(answer, start, end)
    return (named[1], named.end()) if named else (None, start)


@lru_cache(maxsize=256)
def _opening(labels: tuple[str, ...]) -> re.Pattern[str]:
    """What opens a line of one of the labels, the longest that fits: "Metal" and "Metal: pure" both are."""
    names = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    return re.compile(rf"\s*({names or '(?!)'})[ \t]*:", re.IGNORECASE)


def _split(answer: str, start: int, end: int) -> Iterator[tuple[str, tuple[int, int], bool]]:
    """(words, their place, whether they stand in quotes), between semicolons."""
    while start < end:
        start = _spaces_end(answer, start, end)
        quoted = _quoted(answer, start, end)
        if quoted is not None:
            words, after = quoted
            yield words, (start, after), True
            start = _spaces_end(answer, after, end) + 1
            continue
        semicolon = answer.find(";", start, end)
        stop = end if semicolon == -1 else semicolon
        plain = answer[start:stop].rstrip()
        if plain:
            yield plain, (start, start + len(plain)), False
        start = stop + 1


def _quoted(answer: str, start: int, end: int) -> tuple[str, int] | None:
    """(the JSON string that stands here for all up to the next semicolon, where it ends)."""
    if not answer.startswith('"', start, end):
        return None
    try:
        words, after = _decoder.raw_decode(answer, start)
    except ValueError:
        return None
    following = _spaces_end(answer, after, end)
    whole = after <= end and (following == end or answer[following] == ";")
    return (words, after) if whole else None


def _words_of_pair(item: str, labels: tuple[str, ...]) -> tuple[str, str] | None:
    """(words, label) of "words = Label", the label one of the project's."""
    # The last "=" parts words from label: words such as "x = 3" hold one more often than labels do.
    words, sign, label = item.rpartition("=")
    known = match_label(label, labels) if sign else None
    return (words.strip(), known) if known is not None else None


def _is_absent(words: str) -> bool:
    return words.strip().rstrip(".").casefold() in _READ_AS_ABSENT


def _spaces_end(answer: str, position: int, end: int) -> int:
    gap = _SPACES.match(answer, position, end)
    return gap.end() if gap else position
