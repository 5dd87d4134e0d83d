"""A study's report begins with what it comes to."""

from __future__ import annotations

import pytest

from allabel_core.simulation.statistics import Estimate
from backend.simulate.analysis import Cell, Setting
from backend.simulate.verdict import verdicts

NOTES = Setting("notes", "copy", "bm25", 3)


def cell(strategy: str, share: float, f1: float, over: Estimate | None = None) -> Cell:
    of_full = Estimate(f1 / 0.8, f1 / 0.8 - 0.05, f1 / 0.8 + 0.05)
    near = Estimate(f1, f1 - 0.02, f1 + 0.02)
    return Cell(NOTES, strategy, f"{share:.0%}", share, 3, near, f1, of_full, over, None, None, 0)


@pytest.mark.parametrize(
    ("over", "ending"),
    [
        (Estimate(0.04, 0.01, 0.07), ", and 0.04 more than texts drawn at random (+0.01 to +0.07)."),
        (Estimate(-0.04, -0.07, -0.01), ", but 0.04 less than texts drawn at random (-0.07 to -0.01)."),
        (
            Estimate(0.01, -0.02, 0.04),
            "; these runs do not tell whether that beats texts drawn at random (-0.02 to +0.04).",
        ),
        (None, "of what annotating everything gives."),
    ],
)
def test_the_best_strategy_at_the_largest_budget_is_told(over: Estimate | None, ending: str) -> None:
    cells = [
        cell("full", 1.0, 0.8),
        cell("random", 0.1, 0.56),
        cell("coverage", 0.05, 0.7, over),
        cell("coverage", 0.1, 0.6, over),
        cell("votek", 0.1, 0.5),
    ]
    [words] = verdicts(cells)
    assert words.startswith(
        "notes: annotating 10% of the texts as 'coverage' chooses them gives F1 0.60, 75% "
    )
    assert words.endswith(ending)


def test_where_there_is_nothing_to_compare_that_is_said() -> None:
    assert verdicts([cell("full", 1.0, 0.8)])[0].endswith("nothing to compare.")
    assert verdicts([]) == []
