"""A text and its folded form (case, width, accents' spelling, white space), with the way back.

Offsets are never computed on a folded string alone: every folded character remembers the stretch of
the text it came from, and a match counts only where it begins and ends with whole such stretches.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, TypeAlias

# How an occurrence meets the words around it. "bounded": it begins and ends with whole words. "unit": it
# parts a number from the letters glued to it, as in 10|mL, or a Semitic prefix from its word. "inside":
# it cuts a word.
Fit: TypeAlias = Literal["bounded", "unit", "inside"]

_ZWJ = "\u200d"
_HTML_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_LONGEST_REFERENCE = 34
_SAME = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′ʼ`´", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−⁃", "-"),
        "⁄": "/",
        "∕": "/",
        "⋅": "·",
        "•": "·",
    }
)
# Scripts that do not put spaces between words, or (Hangul) glue particles to them: no word bounds.
_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)

# Hebrew and Arabic: articles and prepositions are the first letters of the word they belong to.
_PREFIXING = re.compile("[\u0590-\u06ff]")


# Beyond what is folded: letters and signs that only look alike, and what marks up words without being read.
_LOOKALIKES = str.maketrans(
    {
        "º": "°", "˚": "°", "∘": "°", "×": "x", "✕": "x", "✖": "x", "⨯": "x", "ı": "i", "ø": "o", "Ø": "o",
        "ł": "l", "Ł": "l", "đ": "d", "Đ": "d", "ð": "d", "ħ": "h", "∼": "~", "ʹ": "'", "≈": "~",
        "œ": "oe", "Œ": "oe", "æ": "ae", "Æ": "ae", "≤": "<=", "≥": ">=", "±": "+/-", "→": "->",
    }
)  # fmt: skip
_UNREAD = frozenset("^_{}$\\*~`\u0640")
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]{0,11}(?:\s[^<>]{0,200})?/?>")
_HYPHENATION = re.compile(r"[-\u2010\u00ad][ \t]*\r?\n\s*")


def fold(words: str, *, bare: bool = False) -> str:
    """The folded form of a mention, comparable with ``FoldedText.folded`` of the same kind."""
    fold_unit = _bare_unit if bare else _fold_unit
    return "".join(fold_unit(unit) for _, _, unit in _units(words, bare=bare))


class FoldedText:
    """The folded form of one text, and where each folded character came from.

    ``bare``: also without vowel marks, accents, markup, and hyphens at the ends of lines.
    """

    def __init__(self, text: str, *, bare: bool = False) -> None:
        self.text = text
        pieces: list[str] = []
        # Text offsets of the unit behind each folded character; a start is negative (~start) where the
        # character is not its unit's first one, an end where it is not its unit's last one.
        self._starts: list[int] = []
        self._ends: list[int] = []
        fold_unit = _bare_unit if bare else _fold_unit
        for start, end, unit in _units(text, bare=bare):
            folded = fold_unit(unit)
            pieces.append(folded)
            if len(folded) == 1:
                self._starts.append(start)
                self._ends.append(end)
            elif folded:
                self._starts += [start] + [~start] * (len(folded) - 1)
                self._ends += [~end] * (len(folded) - 1) + [end]
        self.folded = "".join(pieces)

    def place(self, start: int, end: int) -> tuple[int, int] | None:
        """The text's stretch behind ``folded[start:end]``; None where that cuts a unit apart."""
        first, last = self._starts[start], self._ends[end - 1]
        return None if first < 0 or last < 0 else (first, last)


def _units(text: str, *, bare: bool = False) -> Iterator[tuple[int, int, str]]:
    """(start, end, what it stands for): what a reader sees as one character, HTML references included."""
    position, length = 0, len(text)
    while position < length:
        end = position + 1
        if bare and text[position] in "<-\u2010\u00ad" and (unread := _unread(text, position)):
            position = unread
            continue
        if text[position] == "&" and (reference := _HTML_REFERENCE.match(text, position)):
            meant = html.unescape(reference.group())
            if meant != reference.group():
                yield position, reference.end(), meant
                position = reference.end()
                continue
        while end < length and (text[end] > "\u02ff" and joins(text, end)):
            end += 1
        yield position, end, text[position:end]
        position = end


def _unread(text: str, position: int) -> int:
    """Where a tag or the hyphenation of a line ends that begins here; 0 where there is none."""
    found = _TAG.match(text, position) or _HYPHENATION.match(text, position)
    return found.end() if found else 0


@lru_cache(maxsize=16_384)
def _fold_unit(unit: str) -> str:
    decomposed = unicodedata.normalize("NFKD", unit.translate(_SAME)).casefold()
    decomposed = unicodedata.normalize("NFKD", decomposed).translate(_SAME)
    return "".join(c for c in decomposed if not c.isspace() and not _is_invisible(c))


@lru_cache(maxsize=16_384)
def _bare_unit(unit: str) -> str:
    folded = _fold_unit(unit.translate(_LOOKALIKES)).translate(_LOOKALIKES)
    return "".join(c for c in folded if c not in _UNREAD and unicodedata.category(c) != "Mn")


def _is_invisible(character: str) -> bool:
    """Format characters (joiners, soft hyphens, direction marks) and variation selectors."""
    return unicodedata.category(character) in ("Cf", "Cc") or "\ufe00" <= character <= "\ufe0f"


def is_unspaced(character: str) -> bool:
    """Whether it belongs to a script in which words are not parted by spaces, or particles are glued on."""
    return character > "\u02ff" and _UNSPACED.match(character) is not None


def joins(text: str, position: int) -> bool:
    """Whether ``text[position - 1]`` and ``text[position]`` are parts of one visible character."""
    if not 0 < position < len(text):
        return False
    before, after = text[position - 1], text[position]
    if after <= "\u02ff":
        return before == "\r" and after == "\n"
    if after == _ZWJ or "\U0001f3fb" <= after <= "\U0001f3ff" or "\U000e0020" <= after <= "\U000e007f":
        return True
    if before == _ZWJ:
        return unicodedata.category(after) == "So"
    if "\U0001f1e6" <= after <= "\U0001f1ff":
        return _completes_flag(text, position)
    if "\u1160" <= after <= "\u11ff":
        return "\u1100" <= before <= "\u11ff"
    return unicodedata.category(after) in ("Mn", "Mc", "Me") and not before.isspace()


def _completes_flag(text: str, position: int) -> bool:
    """Flags are pairs of regional indicators: an odd number of them before this one."""
    first = position
    # A run this long is no text; only its parity would need the rest.
    while first > 0 and position - first < 64 and "\U0001f1e6" <= text[first - 1] <= "\U0001f1ff":
        first -= 1
    return (position - first) % 2 == 1


def cuts_reference(text: str, position: int) -> bool:
    """Whether an HTML reference, such as &amp;, lies across the position."""
    opening = text.rfind("&", max(0, position - _LONGEST_REFERENCE), position)
    reference = _HTML_REFERENCE.match(text, opening) if opening != -1 else None
    return (
        reference is not None
        and reference.end() > position
        and html.unescape(reference.group()) != reference.group()
    )


def fit(text: str, start: int, end: int) -> Fit:
    """How ``text[start:end]`` meets the words around it."""
    cuts = [_cut(text, start), _cut(text, end)]
    if cuts[0] == "inside" and _PREFIXING.match(text[start - 1]):
        cuts[0] = "unit"
    return "inside" if "inside" in cuts else "unit" if "unit" in cuts else "bounded"


def _cut(text: str, position: int) -> Fit:
    left, right = position - 1, position
    # A soft hyphen, a joiner or a non-joiner parts no word.
    while left >= 0 and position - left < 8 and text[left] >= "\u00ad" and _is_invisible(text[left]):
        left -= 1
    while (
        right < len(text) and right - position < 8 and text[right] >= "\u00ad" and _is_invisible(text[right])
    ):
        right += 1
    if left < 0 or right >= len(text):
        return "bounded"
    before, after = text[left], text[right]
    if after in "+#" and before.isalnum() and _ends_in_signs(text, right):
        # C++, F#, Na+ are names of their own.
        return "unit"
    if not (_in_spaced_word(before) and _in_spaced_word(after)):
        return "bounded"
    # 10|mL, but not H2O|2: letters before a digit belong to its name.
    return "unit" if before.isdigit() and after.isalpha() else "inside"


def _ends_in_signs(text: str, position: int) -> bool:
    while position < len(text) and text[position] in "+#":
        position += 1
    return position == len(text) or not text[position].isalnum()


def _in_spaced_word(character: str) -> bool:
    if character < "\u0080":
        return character.isalnum() or character == "_"
    wordlike = character.isalnum() or unicodedata.category(character) in ("Mn", "Mc")
    return wordlike and not _UNSPACED.match(character)
