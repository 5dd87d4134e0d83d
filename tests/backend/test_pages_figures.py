"""The geometry of the charts, and figures as people read them."""

from __future__ import annotations

import pytest

from backend.pages import words
from backend.pages.charts import (
    Segment,
    learning_curve,
    nice_steps,
    segments,
    stage_bounds,
    stage_segments,
    whisker,
)
from backend.pages.marks import Piece, pieces
from backend.usecases.figures import CurvePoint, SpanChange, StageProgress


@pytest.mark.parametrize(
    ("low", "high", "steps"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (34, 71, [30, 40, 50, 60, 70, 80]),
        (50, 50, [50, 50]),
        (0.2, 0.9, [0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_steps_are_round_and_reach_from_end_to_end(low: float, high: float, steps: list[float]) -> None:
    assert nice_steps(low, high) == pytest.approx(steps)


def test_whole_steps_have_no_fractions() -> None:
    assert nice_steps(3, 6, whole=True) == [3, 4, 5, 6]


def test_a_learning_curve_by_hand() -> None:
    curve = learning_curve([CurvePoint(5, 0.5, 0.4, 0.6), CurvePoint(15, 0.7, 0.6, 0.8)])
    assert [tick.label for tick in curve.y_ticks] == ["40", "50", "60", "70", "80"]
    # From 40 to 80: 50 lies a quarter up, hence at 75 from the top; 70 three quarters.
    assert curve.line == "M0 75L100 25"
    assert curve.band == "M0 50L100 0L100 50L0 100Z"
    assert [(dot.x, dot.y) for dot in curve.dots] == [(0, 75), (100, 25)]
    assert curve.dots[0].title == "after 5: F1 50.0 (40.0 to 60.0)"
    assert [(tick.at, tick.label) for tick in curve.x_ticks] == [
        (10, "6"),
        (30, "8"),
        (50, "10"),
        (70, "12"),
        (90, "14"),
    ]


STAGES = [StageProgress("diversity", 2, 1, 1), StageProgress("similarity", 0, 4, 0)]


def test_the_budget_bar_by_hand() -> None:
    assert stage_segments(STAGES) == [
        Segment(0, 25, "done", "diversity: 2 annotated"),
        Segment(25, 12.5, "window", "diversity: 1 in the window"),
        Segment(37.5, 12.5, "rest", "diversity: 1 to come"),
        Segment(50, 50, "window", "similarity: 4 in the window"),
    ]
    assert stage_bounds(STAGES) == [50]


def test_bars_without_anything_in_them() -> None:
    assert stage_segments([]) == []
    assert stage_bounds([]) == []
    assert stage_bounds([StageProgress("diversity", 0, 0, 0)]) == []
    assert segments([("done", 0, "")], 0) == []


def test_a_bar_never_leaves_its_box() -> None:
    assert segments([("done", 30, "")], 20) == [Segment(0, 100, "done", "")]


def test_an_interval_stands_between_0_and_100() -> None:
    place = whisker(0.7, -0.2, 1.4)
    assert (place.low, place.at, place.high) == (0, 70, 100)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 s"),
        (4.25, "4.2 s"),
        (48.4, "48 s"),
        (200, "3 min 20 s"),
        (7800, "2 h 10 min"),
        (3 * 86400 + 7200 + 59, "3 d 2 h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("age", "text"),
    [(0, "just now"), (59, "just now"), (60, "1 min ago"), (7199, "1 h ago"), (9e4, "1 d ago")],
)
def test_how_long_ago(age: float, text: str) -> None:
    assert words.ago(1e9 - age, now=1e9) == text


def test_scores_are_written_as_the_field_writes_them() -> None:
    assert words.score(0.78249) == "78.2"
    assert (words.change(0.004), words.change(-0.031), words.change(None)) == ("+0.4", "−3.1", "–")
    assert words.share(0.4567) == "46\u202f%"
    assert (words.number(18000), words.number(1.5, 1), words.number(None)) == ("18,000", "1.5", "–")
    assert (words.plural(1, "text"), words.plural(1200, "text")) == ("1 text", "1,200 texts")


def test_a_text_is_cut_where_spans_begin_and_end() -> None:
    text = "an apple, a pear"
    kept = SpanChange("kept", 3, 8, "apple", "Fruit", "apple", "Fruit")
    removed = SpanChange("removed", 12, 16, words_before="pear", label_before="Fruit")
    assert pieces(text, [removed, kept]) == [
        Piece("an "),
        Piece("apple", kept, ends=True),
        Piece(", a "),
        Piece("pear", removed, ends=True),
    ]


def test_pieces_of_overlapping_spans_make_up_the_text() -> None:
    text = "tube furnace wall"
    long = SpanChange("removed", 0, 12, words_before="tube furnace", label_before="A")
    late = SpanChange("added", 5, 17, "furnace wall", "B")
    found = pieces(text, [long, late])
    assert "".join(piece.text for piece in found) == text
    assert [(piece.text, piece.change, piece.ends) for piece in found] == [
        ("tube ", long, False),
        ("furnace", late, False),
        (" wall", late, True),
    ]


def test_a_text_without_spans_is_one_piece() -> None:
    assert pieces("rain", []) == [Piece("rain")]
    assert pieces("", []) == []
