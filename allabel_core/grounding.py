"""From the words a model names to spans of the text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Literal, TypeAlias

from allabel_core.alignment import MAX_CANDIDATES, Place, longest_chain
from allabel_core.occurrences import OccurrenceFinder
from allabel_core.types import Document, Mention, Relation, Span

Occurrences: TypeAlias = Literal["first", "all"]

# More mentions than this in one text come from a model that does not stop.
MAX_MENTIONS = 5_000
# An occurrence that the model did not name itself is a little less certain.
_QUALITY_UNNAMED = 0.9
_MIN_EVIDENCE = 5


@dataclass(frozen=True, slots=True)
class GroundingPolicy:
    """How this project's annotators mark.

    ``occurrences``: "first", one span for each time a model names the words; "all", also every other
    occurrence of the same words. ``overlaps``: whether spans may overlap or nest. ``fuzzy_threshold``:
    similarity in [0, 1] from which nearly the same words count; above 1, never.
    """

    occurrences: Occurrences = "all"
    overlaps: bool = True
    fuzzy_threshold: float = 0.9


@dataclass(frozen=True, slots=True)
class GroundedSpan:
    """A span and how sure its place is.

    ``quality``: 1 for a model's exact words standing as whole words, less for each concession.
    ``method``: "exact", "folded" (case, white space, Unicode spelling; accents, markup, what was put around
    the words) or "fuzzy". ``mention``: index
    of the mention it came from.
    """

    span: Span
    quality: float
    method: str
    mention: int


@dataclass(frozen=True, slots=True)
class Grounding:
    """Spans in reading order; ``relations`` refer to them by index.

    ``rejected``: mentions that are not shown, counted by reason: "empty", "not_found", "inside_word"
    (only as part of a longer word), "ambiguous" (only words that differ among themselves, such as by their
    accents, are like it), "repeated" (named more often than it occurs), "overlapping" (every
    occurrence lies across another span, and this project's spans do not overlap), "too_many".
    ``lost_relations``: links of which an end was rejected.
    """

    spans: tuple[GroundedSpan, ...] = ()
    relations: tuple[Relation, ...] = ()
    rejected: Mapping[str, int] = field(default_factory=dict)
    lost_relations: int = 0


def ground(
    text: str,
    mentions: Sequence[Mention],
    relations: Sequence[Relation] = (),
    *,
    policy: GroundingPolicy = GroundingPolicy(),
) -> Grounding:
    """Find the place that each mention means; ``relations`` refer to ``mentions`` by index.

    Mentions, of each line of an answer in lines, are taken to stand in reading order: as many as possible
    get disjoint places in that order; each other one the leftmost place left. A mention named twice means
    two places.
    """
    layout = _Layout(text, mentions[:MAX_MENTIONS], policy)
    layout.place_in_order()
    layout.place_the_rest()
    if policy.occurrences == "all":
        layout.add_unnamed()
    if len(mentions) > MAX_MENTIONS:
        layout.rejected["too_many"] += len(mentions) - MAX_MENTIONS
    spans = sorted(layout.spans, key=lambda grounded: (grounded.span, grounded.mention))
    position: dict[int, int] = {}
    for i, grounded in enumerate(spans):
        if grounded.mention not in position or grounded.span == layout.named.get(grounded.mention):
            position[grounded.mention] = i
    links = dict.fromkeys(
        Relation(position[link.source], position[link.target], link.label)
        for link in relations
        if link.source in position and link.target in position
    )
    lost = sum(link.source not in position or link.target not in position for link in relations)
    return Grounding(tuple(spans), tuple(links), MappingProxyType(dict(layout.rejected)), lost)


class _Layout:
    """The places taken so far. ``named``: mention -> the span that it was given itself."""

    def __init__(self, text: str, mentions: Sequence[Mention], policy: GroundingPolicy) -> None:
        self.text, self.mentions, self.policy = text, mentions, policy
        self.spans: list[GroundedSpan] = []
        self.named: dict[int, Span] = {}
        self.rejected: Counter[str] = Counter()
        words = dict.fromkeys(mention.text for mention in mentions)
        self._finder = OccurrenceFinder(text, expected=len(words), fuzzy_threshold=policy.fuzzy_threshold)
        self._found = {each: self._finder.find(each) for each in words}
        self._covered = bytearray(len(text))
        self._taken: set[Span] = set()
        # Places once covered stay covered, so each search goes on where the last one ended.
        self._free: dict[str, Iterator[Place]] = {}
        self._untaken: dict[Mention, Iterator[Place]] = {}

    def place_in_order(self) -> None:
        for line in self._lines():
            found = [self._found[self.mentions[i].text].places for i in line]
            if self.spans:
                found = [tuple(filter(self._is_free, places)) for places in found]
            for i, place in zip(line, longest_chain(found), strict=True):
                if place is not None:
                    self._take(i, place)

    def _lines(self) -> list[list[int]]:
        """The mentions by line, the one with the longest words first: other lines' may lie within these."""
        if sum(len(self._found[mention.text].places) for mention in self.mentions) > MAX_CANDIDATES:
            return [list(range(len(self.mentions)))]
        lines: defaultdict[int, list[int]] = defaultdict(list)
        for i, mention in enumerate(self.mentions):
            lines[mention.line].append(i)
        return sorted(lines.values(), key=lambda line: -max(len(self.mentions[i].text) for i in line))

    def place_the_rest(self) -> None:
        for i, mention in enumerate(self.mentions):
            if i in self.named:
                continue
            places = self._places(mention.text)
            free = self._free.setdefault(mention.text, filter(self._is_free, places))
            place = next(free, None)
            if place is None and self.policy.overlaps:
                untaken = self._untaken.setdefault(mention, iter(places))
                place = next((p for p in untaken if self._span(p, mention) not in self._taken), None)
            if place is not None:
                self._take(i, place)
            else:
                self.rejected[self._why_not(mention, places)] += 1

    def add_unnamed(self) -> None:
        """The other places of the words marked so far, the longest words first."""
        seen: set[tuple[str, str]] = set()
        for grounded in sorted(self.spans, key=lambda g: (g.span.start - g.span.end, g.span.start)):
            words = self.text[grounded.span.start : grounded.span.end]
            if (words, grounded.span.label) in seen:
                continue
            seen.add((words, grounded.span.label))
            for place in filter(self._is_free, self._finder.bounded(words, folded=False)):
                quality = grounded.quality * _QUALITY_UNNAMED
                self._mark(grounded.mention, place._replace(quality=quality, method=grounded.method))

    def _places(self, words: str) -> tuple[Place, ...]:
        """The places found, then those that differ in case or spelling: "Iron ... iron", both meant."""
        found = self._found[words].places
        if not found or found[0].method != "exact":
            return found
        known = {place.start for place in found}
        alike = self._finder.bounded(words.strip(), folded=True)
        return found + tuple(place for place in alike if place.start not in known)

    def _why_not(self, mention: Mention, places: Sequence[Place]) -> str:
        if not places:
            return self._found[mention.text].failure
        same = any(self._span(place, mention) in self._taken for place in places)
        return "repeated" if same else "overlapping"

    def _is_free(self, place: Place) -> bool:
        return self._covered.find(1, place.start, place.end) == -1

    def _span(self, place: Place, mention: Mention) -> Span:
        return Span(place.start, place.end, mention.label)

    def _take(self, mention: int, place: Place) -> None:
        self.named[mention] = self._span(place, self.mentions[mention])
        self._mark(mention, place)

    def _mark(self, mention: int, place: Place) -> None:
        span = self._span(place, self.mentions[mention])
        self.spans.append(GroundedSpan(span, place.quality, place.method, mention))
        self._taken.add(span)
        self._covered[place.start : place.end] = b"\x01" * (place.end - place.start)


def learn_policy(
    documents: Sequence[Document],
    *,
    base: GroundingPolicy = GroundingPolicy(),
    min_evidence: int = _MIN_EVIDENCE,
) -> GroundingPolicy:
    """How the annotators of these documents mark; ``base`` where they say too little.

    Occurrences: of the words marked somewhere in a document that occur there again, on ground no
    other span covers, at least half are marked again -> "all", else "first". Overlaps: allowed if any
    document has them. Each is decided from ``min_evidence`` cases on (repeated words; spans).
    """
    again = marked_again = overlapping = spans = 0
    for document in documents:
        more, marked = _repetitions(document)
        again, marked_again = again + more, marked_again + marked
        ordered = sorted(document.spans)
        spans += len(ordered)
        overlapping += sum(a.end > b.start for a, b in pairwise(ordered))
    occurrences: Occurrences = base.occurrences
    if again >= min_evidence:
        occurrences = "all" if 2 * marked_again >= again else "first"
    overlaps = overlapping > 0 if spans >= min_evidence else base.overlaps
    return GroundingPolicy(occurrences, overlaps, base.fuzzy_threshold)


def _repetitions(document: Document) -> tuple[int, int]:
    """(how often marked words occur again in the document, how many of these are marked as well)."""
    finder = OccurrenceFinder(document.text, expected=len(document.spans), fuzzy_threshold=2.0)
    covered = bytearray(len(document.text))
    starts: dict[tuple[str, str], set[int]] = {}
    for span in document.spans:
        covered[span.start : span.end] = b"\x01" * (span.end - span.start)
        starts.setdefault((document.text[span.start : span.end], span.label), set()).add(span.start)
    again = marked = 0
    for (words, _), marked_starts in starts.items():
        unmarked = sum(
            place.start not in marked_starts and covered.find(1, place.start, place.end) == -1
            for place in finder.bounded(words, folded=False)
        )
        again += unmarked + len(marked_starts) - 1
        marked += len(marked_starts) - 1
    return again, marked
