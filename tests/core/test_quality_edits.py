"""What was changed in a suggestion: by hand, and that nothing is lost or counted twice."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.quality import edits as edits_module
from allabel_core.quality.edits import Edit, span_edits
from allabel_core.types import Span

A, B = "Fruit", "Animal"
SPANS = st.builds(
    lambda start, length, label: Span(start, start + length, label),
    st.integers(0, 12),
    st.integers(1, 5),
    st.sampled_from([A, B]),
)


def test_each_kind_of_change() -> None:
    suggested = [Span(0, 4, A), Span(5, 9, A), Span(10, 14, A), Span(20, 24, A)]
    submitted = [Span(0, 4, A), Span(5, 9, B), Span(9, 14, A), Span(30, 34, B)]
    assert span_edits(suggested, submitted) == [
        Edit("kept", Span(0, 4, A), Span(0, 4, A)),
        Edit("relabelled", Span(5, 9, A), Span(5, 9, B)),
        Edit("moved", Span(10, 14, A), Span(9, 14, A)),
        Edit("removed", Span(20, 24, A), None),
        Edit("added", None, Span(30, 34, B)),
    ]


def test_spans_that_only_touch_are_not_moved() -> None:
    assert [edit.change for edit in span_edits([Span(0, 4, A)], [Span(4, 8, A)])] == ["removed", "added"]


def test_the_larger_overlap_is_paired_first() -> None:
    edits = span_edits([Span(0, 10, A)], [Span(0, 3, A), Span(2, 10, A)])
    assert Edit("moved", Span(0, 10, A), Span(2, 10, A)) in edits
    assert Edit("added", None, Span(0, 3, A)) in edits


@given(st.lists(SPANS), st.lists(SPANS))
def test_every_span_of_either_side_occurs_once(suggested: list[Span], submitted: list[Span]) -> None:
    edits = span_edits(suggested, submitted)
    assert sorted(edit.before for edit in edits if edit.before) == sorted(set(suggested))
    assert sorted(edit.after for edit in edits if edit.after) == sorted(set(submitted))


@given(st.lists(SPANS), st.lists(SPANS))
def test_the_other_way_round_adding_is_removing(suggested: list[Span], submitted: list[Span]) -> None:
    there = Counter(edit.change for edit in span_edits(suggested, submitted))
    back = Counter(edit.change for edit in span_edits(submitted, suggested))
    assert (there["added"], there["removed"]) == (back["removed"], back["added"])
    assert there["kept"] == back["kept"]


def paired_one_by_one(suggested: Iterable[Span], submitted: Iterable[Span]) -> list[tuple[str, Span, Span]]:
    """Every old span beside every new one: what the quick way must find as well."""
    before, after = set(suggested) - set(submitted), set(submitted) - set(suggested)
    places = [
        ("relabelled", old, new)
        for old in sorted(before)
        for new in sorted(after)
        if (old.start, old.end) == (new.start, new.end)
    ]
    shared = {
        (old, new): min(old.end, new.end) - max(old.start, new.start)
        for old in before
        for new in after
        if old.label == new.label
    }
    moved = [("moved", *pair) for pair in sorted(shared, key=lambda p: (-shared[p], p)) if shared[pair] > 0]
    found = []
    for change, old, new in [*places, *moved]:
        if old in before and new in after:
            before.remove(old)
            after.remove(new)
            found.append((change, old, new))
    return found


@given(st.lists(SPANS), st.lists(SPANS))
def test_pairs_are_those_of_trying_all(suggested: list[Span], submitted: list[Span]) -> None:
    found = {
        (edit.change, edit.before, edit.after)
        for edit in span_edits(suggested, submitted)
        if edit.change in ("relabelled", "moved")
    }
    assert found == set(paired_one_by_one(suggested, submitted))


KINDS: dict[str, Callable[[int], tuple[list[Span], list[Span]]]] = {
    "far apart": lambda n: (
        [Span(9 * i, 9 * i + 4, A) for i in range(n)],
        [Span(9 * i + 1, 9 * i + 5, A) for i in range(n)],
    ),
    "chained": lambda n: (
        [Span(3 * i, 3 * i + 2, A) for i in range(n)],
        [Span(3 * i + 1, 3 * i + 4, A) for i in range(n)],
    ),
    "nested": lambda n: (
        [Span(i, 3 * n - i, A) for i in range(n)],
        [Span(i, 3 * n - i + 1, A) for i in range(n)],
    ),
    "from one place": lambda n: (
        [Span(0, i + 1, A) for i in range(n)],
        [Span(0, n + i + 1, A) for i in range(n)],
    ),
    "one over all": lambda n: ([Span(0, 9 * n, A)], [Span(9 * i, 9 * i + 4, A) for i in range(n)]),
    "at one place": lambda n: (
        [Span(0, 4, f"a{i}") for i in range(n)],
        [Span(0, 4, f"b{i}") for i in range(n)],
    ),
    "relabelled": lambda n: (
        [Span(9 * i, 9 * i + 4, A) for i in range(n)],
        [Span(9 * i, 9 * i + 4, B) for i in range(n)],
    ),
    "empty": lambda n: ([Span(i, i, A) for i in range(n)], [Span(0, i + 1, A) for i in range(n)]),
}


def steps(suggested: list[Span], submitted: list[Span]) -> int:
    """Instructions of the module, which are the same on every machine."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename != edits_module.__file__:
            return None
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        span_edits(suggested, submitted)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("kind", KINDS)
def test_twice_as_many_spans_take_twice_as_many_steps(kind: str) -> None:
    counts = [steps(*KINDS[kind](n)) for n in (100, 200, 400)]
    assert counts[1] < 2.3 * counts[0]
    assert counts[2] < 2.3 * counts[1]
    edits = span_edits(*KINDS[kind](400))
    suggested, submitted = KINDS[kind](400)
    assert sorted(edit.before for edit in edits if edit.before) == sorted(set(suggested))
    assert sorted(edit.after for edit in edits if edit.after) == sorted(set(submitted))
