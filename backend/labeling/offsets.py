"""Where a region really is. Label Studio counts offsets differently by tag, version and browser.

Regions of Text count code points (1.23.2); older versions counted UTF-16 units, and regions of
Paragraphs still do: the page takes them from a JavaScript string. A browser also turns the line
break CR LF into LF before it counts. The words that Label Studio stores tell which count was meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

Reading: TypeAlias = Callable[[str, int], int | None]

_LINE_BREAK = re.compile(r"\r\n|\r|\n")


def to_utf16(text: str, offset: int) -> int:
    """The UTF-16 units before code point ``offset`` of ``text``."""
    return offset + sum(character > "\uffff" for character in text[:offset])


def from_utf16(text: str, units: int) -> int | None:
    """The code point at which ``units`` UTF-16 units end; None inside a character or past the end."""
    passed = 0
    for offset, character in enumerate(text):
        if passed >= units:
            return offset if passed == units else None
        passed += 2 if character > "\uffff" else 1
    return len(text) if passed == units else None


def _from_code_points(text: str, offset: int) -> int | None:
    return offset if offset <= len(text) else None


def _from_unix_lines(text: str, offset: int) -> int | None:
    """The code point at which ``offset`` characters end when CR LF counts as one."""
    starts = [place for place in range(len(text)) if text[max(place - 1, 0) : place + 1] != "\r\n"]
    starts.append(len(text))
    return starts[offset] if offset < len(starts) else None


def locate(
    text: str, start: int, end: int, words: str | None, *, utf16: bool = False
) -> tuple[int, int] | None:
    """The code points [start, end) that a stored region means, or None where its words are not there.

    :param words: what Label Studio stored as the region's text; None trusts the usual count.
    :param utf16: whether UTF-16 units are the usual count of this kind of region.
    """
    usual: tuple[Reading, ...] = (from_utf16, _from_code_points) if utf16 else (_from_code_points, from_utf16)
    readings = (*usual, _from_unix_lines) if words is not None else usual[:1]
    for reading in readings:
        place = reading(text, start), reading(text, end)
        if place[0] is None or place[1] is None or not 0 <= place[0] < place[1]:
            continue
        if words is None or _same(text[place[0] : place[1]], words):
            return place[0], place[1]
    return None


def _same(found: str, stored: str) -> bool:
    return _LINE_BREAK.sub(" ", found) == _LINE_BREAK.sub(" ", stored)
