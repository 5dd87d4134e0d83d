"""What an annotator changed in a suggestion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeAlias

from allabel_core.types import Span

Change: TypeAlias = Literal["kept", "relabelled", "moved", "removed", "added"]
Pair: TypeAlias = tuple[Span, Span]

PAIRS_PER_SPAN = 8
"""Where more pairs of one label overlap than this for each of its spans, they are paired in reading order."""


@dataclass(frozen=True, slots=True)
class Edit:
    """``before``: the span as suggested, None where added; ``after``: as submitted, None where removed.

    relabelled: the same place under another label. moved: the same label at an overlapping place.
    """

    change: Change
    before: Span | None
    after: Span | None


def span_edits(suggested: Iterable[Span], submitted: Iterable[Span]) -> list[Edit]:
    """Each different span of both sides exactly once, in reading order.

    Of several ways to pair moved spans, those that overlap most are paired first, then the leftmost; where
    very many overlap (``PAIRS_PER_SPAN``), from left to right. Takes O(n log n) steps for n spans.
    """
    before, after = set(suggested), set(submitted)
    edits = [Edit("kept", span, span) for span in before & after]
    before, after = before - after, after - before
    for old, new in _same_places(before, after):
        edits.append(Edit("relabelled", old, new))
    before -= {edit.before for edit in edits if edit.before}
    after -= {edit.after for edit in edits if edit.after}
    for old, new in _moved(before, after):
        before.remove(old)
        after.remove(new)
        edits.append(Edit("moved", old, new))
    edits += [Edit("removed", span, None) for span in before]
    edits += [Edit("added", None, span) for span in after]
    return sorted(edits, key=_reading_order)


def _same_places(before: Iterable[Span], after: Iterable[Span]) -> Iterator[Pair]:
    """At each place the labels pair up in alphabetical order."""
    there: dict[tuple[int, int], list[Span]] = defaultdict(list)
    for span in sorted(after, reverse=True):
        there[span.start, span.end].append(span)
    for old in sorted(before):
        if found := there.get((old.start, old.end)):
            yield old, found.pop()


def _moved(before: Iterable[Span], after: Iterable[Span]) -> Iterator[Pair]:
    sides = _by_label(before), _by_label(after)
    for label in sides[0].keys() & sides[1].keys():
        old, new = sides[0][label], sides[1][label]
        most = PAIRS_PER_SPAN * (len(old) + len(new))
        pairs = list(islice(_overlapping(old, new), most + 1))
        yield from _largest_first(pairs) if len(pairs) <= most else _left_to_right(old, new)


def _by_label(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """In reading order, without empty ones, which overlap nothing."""
    found: dict[str, list[Span]] = defaultdict(list)
    for span in sorted(spans):
        if span.start < span.end:
            found[span.label].append(span)
    return found


def _overlapping(before: Sequence[Span], after: Sequence[Span]) -> Iterator[Pair]:
    """All overlapping pairs of two lists in reading order."""
    merged = sorted([(span, 0) for span in before] + [(span, 1) for span in after])
    opened: tuple[list[Span], list[Span]] = [], []
    for span, side in merged:
        others = opened[1 - side]
        others[:] = [other for other in others if other.end > span.start]
        for other in others:
            yield (span, other) if side == 0 else (other, span)
        opened[side].append(span)


def _largest_first(pairs: Iterable[Pair]) -> Iterator[Pair]:
    paired: set[tuple[int, Span]] = set()
    for old, new in sorted(pairs, key=lambda pair: (-_shared(*pair), pair)):
        if (0, old) not in paired and (1, new) not in paired:
            paired |= {(0, old), (1, new)}
            yield old, new


def _left_to_right(before: Sequence[Span], after: Sequence[Span]) -> Iterator[Pair]:
    i = j = 0
    while i < len(before) and j < len(after):
        old, new = before[i], after[j]
        if _shared(old, new) > 0:
            yield old, new
            i, j = i + 1, j + 1
        elif old.end <= new.start:
            i += 1
        else:
            j += 1


def _shared(old: Span, new: Span) -> int:
    """Characters that both cover; not above 0 where they do not overlap."""
    return min(old.end, new.end) - max(old.start, new.start)


def _reading_order(edit: Edit) -> tuple[list[Span], str]:
    return [span for span in (edit.after, edit.before) if span is not None], edit.change
