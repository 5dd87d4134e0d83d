"""What a study comes to, in a sentence for each data set."""

from __future__ import annotations

from collections.abc import Sequence

from allabel_core.simulation.statistics import Estimate
from allabel_core.simulation.strategies import FULL

from .analysis import Cell

BASELINE = "random"


def verdicts(cells: Sequence[Cell]) -> list[str]:
    """Of the strategies at the largest budget the best: how near full annotation, how far above chance."""
    names = dict.fromkeys(cell.setting.dataset for cell in cells)
    return [_verdict(name, [cell for cell in cells if cell.setting.dataset == name]) for name in names]


def _verdict(name: str, cells: Sequence[Cell]) -> str:
    tried = [cell for cell in cells if cell.strategy not in (FULL, BASELINE)]
    tried = tried or [cell for cell in cells if cell.strategy != FULL]
    if not tried:
        return f"{name}: only full annotation was tried, so there is nothing to compare."
    largest = max(cell.share for cell in tried)
    best = max((cell for cell in tried if cell.share == largest), key=lambda cell: cell.f1.value)
    return (
        f"{name}: annotating {100 * best.share:.0f}% of the texts as '{best.strategy}' chooses them gives F1 "
        f"{best.f1.value:.2f}, {_percent(best.of_full)} of what annotating everything gives"
        f"{_against_chance(best.over_random)}."
    )


def _percent(part: Estimate) -> str:
    return f"{100 * part.value:.0f}% (between {100 * part.low:.0f} and {100 * part.high:.0f}%)"


def _against_chance(over: Estimate | None) -> str:
    if over is None:
        return ""
    interval = f"{over.low:+.2f} to {over.high:+.2f}"
    if over.low > 0:
        return f", and {over.value:.2f} more than texts drawn at random ({interval})"
    if over.high < 0:
        return f", but {-over.value:.2f} less than texts drawn at random ({interval})"
    return f"; these runs do not tell whether that beats texts drawn at random ({interval})"
