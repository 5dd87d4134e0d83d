"""The words that people marked, with how often they did, and the words that they saw and left unmarked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from allabel_core.tagging.tokens import Bounds, Token, tokenize
from allabel_core.types import Document

UNMARKED_WORDS = 3
"""So many tokens in a row are remembered also where nobody ever marked them."""

_MOST_WORDS = 24
# A word marked once of once has a precision of (1 + 1/2) / (1 + 1).
_PRIOR, _PRIOR_WEIGHT = 0.5, 1.0
# What a term of the expert's own is worth: as much as so many occurrences that were all marked.
DICTIONARY_WEIGHT = 2


class Known(NamedTuple):
    """What the lexicon knows of some words as a label: marked ``marked`` of ``seen`` times."""

    marked: int
    seen: int
    with_other_label: int

    @property
    def precision(self) -> float:
        return (self.marked + _PRIOR * _PRIOR_WEIGHT) / (self.seen + _PRIOR_WEIGHT)

    @property
    def left_unmarked(self) -> int:
        return self.seen - self.marked - self.with_other_label


NOTHING_KNOWN = Known(0, 0, 0)


class Counts(NamedTuple):
    """By words, which are tokens joined with spaces.

    ``seen``: occurrences, but those within a longer marked span; ``marked``: of these, by label.
    """

    seen: Counter[str]
    marked: dict[str, Counter[str]]

    def known(self, key: str, label: str) -> Known:
        by_label = self.marked.get(key)
        if by_label is None:
            return Known(0, self.seen[key], 0)
        marked = by_label[label]
        return Known(marked, self.seen[key], by_label.total() - marked)


def folded(text: str, tokens: Sequence[Token]) -> list[str]:
    """The tokens' words, comparable whatever their case."""
    return [text[start:end].casefold() for start, end in tokens]


@dataclass(frozen=True)
class Lexicon:
    """``terms``: those of the expert's dictionary."""

    counts: Counts
    terms: frozenset[str]

    @cached_property
    def _lengths(self) -> dict[str, tuple[int, ...]]:
        """First word -> in how many tokens marked words go on from it."""
        lengths: dict[str, set[int]] = {}
        for key in self.counts.marked:
            lengths.setdefault(key.partition(" ")[0], set()).add(1 + key.count(" "))
        return {word: tuple(sorted(found)) for word, found in lengths.items()}

    @cached_property
    def _watched(self) -> _Watched:
        return _watched(self.counts.marked)

    def own(self, document: Document) -> Counts:
        """What this document, one of those it was made of, contributed."""
        return _counted(*_read(document), self._watched)

    def known(self, key: str, label: str, without: Counts | None = None) -> Known:
        """:param without: what one document contributed, to be left out."""
        known = self.counts.known(key, label)
        if without is None:
            return known
        own = without.known(key, label)
        # Words seen once are not kept, so that nothing may be left to take away from.
        return Known(*(max(0, all_of_them - mine) for all_of_them, mine in zip(known, own, strict=True)))

    def matches(self, words: Sequence[str]) -> Iterator[tuple[int, int, str]]:
        """(first token, last, label) of all words that somebody marked so, ``last`` not included."""
        for first, word in enumerate(words):
            for length in self._lengths.get(word, ()):
                if first + length <= len(words):
                    for label in self.counts.marked.get(" ".join(words[first : first + length]), ()):
                        yield first, first + length, label


def build_lexicon(documents: Iterable[Document], dictionary: Iterable[tuple[str, str]] = ()) -> Lexicon:
    """:param dictionary: (term, label) of the expert's own."""
    terms = {
        " ".join(words): label
        for words, label in ((folded(term, tokenize(term)), label) for term, label in dictionary)
        if 0 < len(words) <= _MOST_WORDS
    }
    read = [_read(document) for document in documents]
    marked = {" ".join(words[first:last]) for words, spans in read for first, last, _ in spans}
    watched = _watched(marked | terms.keys())
    total = Counts(Counter(), {})
    for words, spans in read:
        here = _counted(words, spans, watched)
        total.seen.update(here.seen)
        for key, by_label in here.marked.items():
            total.marked.setdefault(key, Counter()).update(by_label)
    for term, label in terms.items():
        total.seen[term] += DICTIONARY_WEIGHT
        total.marked.setdefault(term, Counter())[label] += DICTIONARY_WEIGHT
    seen = Counter({key: count for key, count in total.seen.items() if count > 1 or key in total.marked})
    return Lexicon(Counts(seen, total.marked), frozenset(terms))


_Spans = list[tuple[int, int, str]]


def _read(document: Document) -> tuple[list[str], _Spans]:
    tokens = tokenize(document.text)
    bounds = Bounds(tokens)
    met = ((bounds.meet(span), span.label) for span in document.spans)
    spans = {(*where, label) for where, label in met if where and where[1] - where[0] <= _MOST_WORDS}
    return folded(document.text, tokens), sorted(spans)


class _Watched(NamedTuple):
    """Words of more than ``UNMARKED_WORDS`` tokens that are counted, and all lengths that are."""

    keys: frozenset[str]
    lengths: tuple[int, ...]


def _watched(keys: Iterable[str]) -> _Watched:
    longer = frozenset(key for key in keys if key.count(" ") >= UNMARKED_WORDS)
    more = sorted({1 + key.count(" ") for key in longer})
    return _Watched(longer, (*range(1, UNMARKED_WORDS + 1), *more))


def _counted(words: Sequence[str], spans: _Spans, watched: _Watched) -> Counts:
    reach = [0] * len(words)
    """For each token where the longest span over it ends."""
    for first, last, _ in spans:
        for i in range(first, last):
            reach[i] = max(reach[i], last)
    whole = {(first, last) for first, last, _ in spans}
    found = Counts(Counter(), {})
    for first in range(len(words)):
        for length in watched.lengths:
            last = first + length
            if last > len(words):
                break
            key = " ".join(words[first:last])
            if length > UNMARKED_WORDS and key not in watched.keys:
                continue
            if last > reach[first] or (first, last) in whole:
                found.seen[key] += 1
    for first, last, label in spans:
        found.marked.setdefault(" ".join(words[first:last]), Counter())[label] += 1
    return found
