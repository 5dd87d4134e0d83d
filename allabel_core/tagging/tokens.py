"""Texts as tokens fine enough to meet the boundaries that people annotate."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from allabel_core.textmap import is_unspaced, joins
from allabel_core.types import Document, Span

_ASCII = re.compile(r"[A-Za-z]+|[0-9]+|[!-/:-@\[-`{-~]")
_MARK = "mark"
_SPACE = "space"
_INVISIBLE = "invisible"


class Token(NamedTuple):
    """A half-open stretch of the text."""

    start: int
    end: int


def tokenize(text: str) -> list[Token]:
    """Runs of letters of one script, or of digits; each mark, and each character of a script that puts
    no spaces between words, by itself. What a reader sees as one character is never cut.
    """
    if text.isascii():
        return [Token(*match.span()) for match in _ASCII.finditer(text)]
    tokens: list[Token] = []
    start, kind = 0, _SPACE
    for position, character in enumerate(text):
        here = _kind(character)
        if here == _INVISIBLE and kind != _SPACE:
            continue
        if here == kind and not here.startswith(_MARK):
            continue
        if kind != _SPACE and joins(text, position):
            continue
        if kind != _SPACE:
            tokens.append(Token(start, position))
        start, kind = position, _SPACE if here == _INVISIBLE else here
    if kind != _SPACE:
        tokens.append(Token(start, len(text)))
    return tokens


@lru_cache(maxsize=65_536)
def _kind(character: str) -> str:
    """Neighbours of one kind belong to one token, but for marks."""
    category = unicodedata.category(character)
    if character.isspace() or category == "Cc":
        return _SPACE
    if category == "Cf":
        return _INVISIBLE
    if is_unspaced(character):
        return _MARK
    if category[0] == "L":
        return unicodedata.name(character, _MARK).split(" ", 1)[0]
    return "digits" if category == "Nd" else _MARK


class Bounds:
    """The tokens of one text, and which of them a span covers."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._at_start = {token.start: i for i, token in enumerate(tokens)}
        self._at_end = {token.end: i + 1 for i, token in enumerate(tokens)}

    def meet(self, span: Span) -> tuple[int, int] | None:
        """The half-open range of tokens that are the span; None where it begins or ends within one."""
        first, last = self._at_start.get(span.start), self._at_end.get(span.end)
        return None if first is None or last is None or first >= last else (first, last)


def unreachable(document: Document) -> int:
    """How many of the document's spans begin or end within a token, so that no tagger can propose them."""
    bounds = Bounds(tokenize(document.text))
    return sum(bounds.meet(span) is None for span in document.spans)
