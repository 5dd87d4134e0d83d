"""Where a region really is. Label Studio counts offsets differently by tag, version and browser.

Regions of Text count code points (1.23.2); older versions counted UTF-16 units, and regions of
Paragraphs still do: the page takes them from a JavaScript string. A browser also turns the line
break CR LF into LF before it counts. The words that Label Studio stores tell which count was meant.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from functools import cached_property
from typing import TypeAlias

Count: TypeAlias = Callable[[int], int | None]

_BEYOND_16_BITS = re.compile("[\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_WHITE_SPACE = re.compile(r"[ \t\r\n\f]+")


class Offsets:
    """The ways of counting one text: made in time linear in its length, asked in logarithmic time."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._wide = [match.start() for match in _BEYOND_16_BITS.finditer(text)]
        # The place of each in the count that is converted.
        self._pairs = [place + i for i, place in enumerate(self._wide)]
        self._breaks = [match.start() - i for i, match in enumerate(re.finditer("\r\n", text))]

    def to_utf16(self, offset: int) -> int:
        """The UTF-16 units before code point ``offset``."""
        return offset + bisect_left(self._wide, offset)

    def from_utf16(self, units: int) -> int | None:
        """The code point at which ``units`` UTF-16 units end; None inside a character or past the end."""
        before = bisect_left(self._pairs, units)
        if before and self._pairs[before - 1] == units - 1:
            return None
        return self._from_code_points(units - before)

    def _from_unix_lines(self, offset: int) -> int | None:
        """The code point at which ``offset`` characters end when CR LF counts as one."""
        return self._from_code_points(offset + bisect_left(self._breaks, offset))

    def _from_code_points(self, offset: int) -> int | None:
        return offset if 0 <= offset <= len(self.text) else None

    def locate(
        self, start: int, end: int, words: str | None, *, utf16: bool = False
    ) -> tuple[int, int] | None:
        """The code points [start, end) that a stored region means, or None where its words are not there.

        :param words: what Label Studio stored as the region's text; None trusts the usual count.
        :param utf16: whether UTF-16 units are the usual count of this kind of region; white space is then
            compared collapsed, as the page of Paragraphs shows it.
        """
        usual: tuple[Count, ...] = (self._from_code_points, self.from_utf16)
        if utf16:
            usual = usual[::-1]
        for count in (*usual, self._from_unix_lines) if words is not None else usual[:1]:
            place = count(start), count(end)
            if place[0] is None or place[1] is None or place[0] >= place[1]:
                continue
            if words is None or _same(self.text[place[0] : place[1]], words, collapsed=utf16):
                return place[0], place[1]
        return None

    def holds(self, words: str) -> bool:
        """Whether these words stand anywhere in the text, white space compared collapsed."""
        return _collapsed(words) in self._shown

    @cached_property
    def _shown(self) -> str:
        return _collapsed(self.text)


def locate(
    text: str, start: int, end: int, words: str | None, *, utf16: bool = False
) -> tuple[int, int] | None:
    """``Offsets.locate`` for a single region of a text."""
    return Offsets(text).locate(start, end, words, utf16=utf16)


def _same(found: str, stored: str, *, collapsed: bool) -> bool:
    if collapsed:
        return _collapsed(found) == _collapsed(stored)
    return _LINE_BREAK.sub(" ", found) == _LINE_BREAK.sub(" ", stored)


def _collapsed(words: str) -> str:
    return _WHITE_SPACE.sub(" ", words).strip(" ")
