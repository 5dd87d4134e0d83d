"""What was changed in a suggestion: by hand, and that nothing is lost or counted twice."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

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
