"""Where in a text a mention's words occur: exactly, folded, or nearly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from rapidfuzz import fuzz

from allabel_core.alignment import Place
from allabel_core.textmap import Fit, FoldedText, cuts_reference, fit, fold, joins

Failure: TypeAlias = Literal["empty", "not_found", "inside_word", "ambiguous"]

# Bounds that keep the work linear in the text, whatever the answer.
_MAX_OCCURRENCES = 200_000
_MAX_FUZZY_CHARACTERS = 20_000_000
_LONGEST_FUZZY = 300

_QUALITY_FOLDED = 0.95
_QUALITY_BARE = 0.9
_QUALITY_TRIMMED = 0.9
_QUALITY_FUZZY = 0.9
_QUALITY_OF_FIT: Mapping[Fit, float] = MappingProxyType({"bounded": 1.0, "unit": 0.9, "inside": 0.6})
# Shorter words resemble, and lie inside, too many others.
_SHORTEST_FUZZY = 5
_SHORTEST_INSIDE = 4
_SHORTEST_BARE = 2
# What JSON makes of a backslash and a letter that were meant as they stand.
_UNESCAPED = str.maketrans({"\t": "\\t", "\b": "\\b", "\n": "\\n", "\f": "\\f", "\r": "\\r"})
# What models put around words that the text has without it.
_AROUND = " \t\r\n\"'“”„‟‘’‚«»‹›`*_.,;:!?…"
_ARTICLE = re.compile(
    r"\A(?:(?:the|an?|der|die|das|den|dem|des|ein(?:e[nmrs]?)?|les?|la|une?|du|el|los|las|un[ao]s?|il|lo|gli|de|het"
    r"|een|os?|as|um|uma)\s+|[ld]['’])",
    re.IGNORECASE,
)
# How far, in folded characters, a near match may be moved to meet word bounds.
_MAX_SHIFT = 8


class Found(NamedTuple):
    """The places of one mention's words, leftmost first, or why there are none."""

    places: tuple[Place, ...] = ()
    failure: Failure = "not_found"


class OccurrenceFinder:
    """Searches one text for ``expected`` different mentions, within bounds shared by all of them."""

    def __init__(self, text: str, *, expected: int, fuzzy_threshold: float) -> None:
        self.text = text
        self._fuzzy_threshold = fuzzy_threshold
        self._limit = max(16, _MAX_OCCURRENCES // max(1, expected))
        self._fuzzy_left = _MAX_FUZZY_CHARACTERS
        self._has_references = "&" in text
        self._known: dict[tuple[str, bool], list[tuple[Place, Fit]]] = {}

    @cached_property
    def _folded(self) -> FoldedText:
        return FoldedText(self.text)

    @cached_property
    def _bare(self) -> FoldedText:
        return FoldedText(self.text, bare=True)

    def find(self, words: str) -> Found:
        """Where the words occur, by the best kind of match that occurs at all.

        Whole words, exact before folded; then a number or unit out of a glued pair (10|mL); then bare,
        without accents and markup; then without what may have been put around them; then nearly the same
        whole words; then the inside of a word.
        """
        escaped = words.translate(_UNESCAPED)
        if escaped != words and (meant := self.bounded(escaped.strip(), folded=False)):
            return Found(meant)
        words = words.strip()
        folded = fold(words)
        if not folded:
            return Found(failure="empty")
        if exact := self.bounded(words, folded=False):
            return Found(exact)
        if like := self.bounded(words, folded=True):
            return Found(like)
        glued = self._matches(words, folded=True)
        if units := tuple(place for place, kind in glued if kind == "unit"):
            return Found(units)
        bare = self._bare_matches(words)
        if bare.places or bare.failure == "ambiguous":
            return bare
        if trimmed := self._trimmed(words):
            return Found(trimmed)
        if near := self._near(folded):
            return Found(near)
        if glued and len(folded) >= _SHORTEST_INSIDE:
            return Found(tuple(place for place, _ in glued))
        return Found(failure="inside_word" if glued else "not_found")

    def bounded(self, words: str, *, folded: bool) -> tuple[Place, ...]:
        """Where the words stand as whole words, exactly or folded; leftmost first."""
        return tuple(place for place, kind in self._matches(words, folded=folded) if kind == "bounded")

    def _matches(self, words: str, *, folded: bool) -> list[tuple[Place, Fit]]:
        key = (words, folded)
        if key not in self._known:
            matches = []
            for start, end in self._folded_stretches(words) if folded else self._exact_stretches(words):
                kind = fit(self.text, start, end)
                exact = self.text[start:end] == words
                quality = (1.0 if exact else _QUALITY_FOLDED) * _QUALITY_OF_FIT[kind]
                matches.append((Place(start, end, quality, "exact" if exact else "folded"), kind))
            self._known[key] = matches
        return self._known[key]

    def _exact_stretches(self, words: str) -> Iterator[tuple[int, int]]:
        for start in _positions(words, self.text, self._limit):
            end = start + len(words)
            if not (self._cuts_character(start) or self._cuts_character(end)):
                yield start, end

    def _cuts_character(self, position: int) -> bool:
        return joins(self.text, position) or (self._has_references and cuts_reference(self.text, position))

    def _folded_stretches(self, words: str) -> Iterator[tuple[int, int]]:
        needle, text = fold(words), self._folded
        for start in _positions(needle, text.folded, self._limit):
            if (stretch := text.place(start, start + len(needle))) is not None:
                yield stretch

    def _bare_matches(self, words: str) -> Found:
        """Whole words alike but for accents, lookalikes and markup; refused where they differ."""
        needle = fold(words, bare=True)
        if len(needle) < _SHORTEST_BARE:
            return Found()
        stretches = [
            stretch
            for start in _positions(needle, self._bare.folded, self._limit)
            if (stretch := self._bare.place(start, start + len(needle)))
            and fit(self.text, *stretch) == "bounded"
        ]
        if len({fold(self.text[start:end]) for start, end in stretches}) > 1:
            return Found(failure="ambiguous")
        return Found(tuple(Place(start, end, _QUALITY_BARE, "folded") for start, end in stretches))

    def _trimmed(self, words: str) -> tuple[Place, ...]:
        """The words without quotes, brackets, full stops or an article around them."""
        plain = words.strip(_AROUND)
        if plain[:1] + plain[-1:] in ("()", "[]", "{}", "<>"):
            plain = plain[1:-1].strip(_AROUND)
        for candidate in dict.fromkeys((plain, _ARTICLE.sub("", plain))):
            if candidate in ("", words):
                continue
            found = self.bounded(candidate, folded=False) or self.bounded(candidate, folded=True)
            if found := found or self._bare_matches(candidate).places:
                return tuple(
                    place._replace(quality=place.quality * _QUALITY_TRIMMED, method="folded")
                    for place in found
                )
        return ()

    def _near(self, needle: str) -> tuple[Place, ...]:
        """Every whole-word occurrence of the words that resemble the needle most."""
        haystack = self._folded.folded
        if not _SHORTEST_FUZZY <= len(needle) <= _LONGEST_FUZZY or len(haystack) > self._fuzzy_left:
            return ()
        self._fuzzy_left -= len(haystack)
        # A little below the threshold, since moving to word bounds may still improve it.
        cutoff = 100 * self._fuzzy_threshold - 10
        found = fuzz.partial_ratio_alignment(needle, haystack, score_cutoff=cutoff)
        if found is None:
            return ()
        ratio, start, end = self._nearest_words(needle, found.dest_start, found.dest_end)
        if ratio < self._fuzzy_threshold:
            return ()
        quality = _QUALITY_FUZZY * ratio
        same = self.bounded(self.text[start:end], folded=False)
        return tuple(place._replace(quality=quality, method="fuzzy") for place in same)

    def _nearest_words(self, needle: str, start: int, end: int) -> tuple[float, int, int]:
        """(similarity, start, end) of the whole words around a folded stretch most like the needle.

        Words whose digits differ are not alike at all: HOE 140 is not HOE 141.
        """
        folded = self._folded
        shift = min(_MAX_SHIFT, 2 + len(needle) // 4)
        digits = _digits(needle)
        best = (0.0, 0, 0)
        for first in range(max(0, start - shift), min(len(folded.folded), start + shift + 1)):
            for last in range(max(first + 1, end - shift), min(len(folded.folded), end + shift) + 1):
                stretch = folded.place(first, last)
                words = folded.folded[first:last]
                if stretch is None or fit(self.text, *stretch) != "bounded" or _digits(words) != digits:
                    continue
                ratio = fuzz.ratio(needle, words) / 100
                if ratio > best[0]:
                    best = (ratio, *stretch)
        return best


def _positions(needle: str, text: str, limit: int) -> Iterator[int]:
    start = text.find(needle)
    while start != -1 and limit > 0:
        yield start
        limit -= 1
        start = text.find(needle, start + 1)


def _digits(words: str) -> list[str]:
    return [character for character in words if character.isdigit()]
