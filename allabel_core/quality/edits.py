"""What an annotator changed in a suggestion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from allabel_core.types import Span

Change: TypeAlias = Literal["kept", "relabelled", "moved", "removed", "added"]


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

    Of several ways to pair moved spans, those that overlap most are paired first, then the leftmost.
    """
    before, after = set(suggested), set(submitted)
    edits = [Edit("kept", span, span) for span in before & after]
    before, after = before - after, after - before
    for change, pairs in (
        ("relabelled", _same_places(before, after)),
        ("moved", _overlapping(before, after)),
    ):
        for old, new in pairs:
            if old in before and new in after:
                before.remove(old)
                after.remove(new)
                edits.append(Edit(change, old, new))  # type: ignore[arg-type]
    edits += [Edit("removed", span, None) for span in before]
    edits += [Edit("added", None, span) for span in after]
    return sorted(edits, key=_reading_order)


def _same_places(before: set[Span], after: set[Span]) -> list[tuple[Span, Span]]:
    return [
        (old, new)
        for old in sorted(before)
        for new in sorted(after)
        if (old.start, old.end) == (new.start, new.end)
    ]


def _overlapping(before: set[Span], after: set[Span]) -> list[tuple[Span, Span]]:
    pairs = [
        (min(old.end, new.end) - max(old.start, new.start), old, new)
        for old in before
        for new in after
        if old.label == new.label
    ]
    return [(old, new) for shared, old, new in sorted(pairs, key=lambda p: (-p[0], p[1], p[2])) if shared > 0]


def _reading_order(edit: Edit) -> tuple[list[Span], str]:
    return [span for span in (edit.after, edit.before) if span is not None], edit.change
