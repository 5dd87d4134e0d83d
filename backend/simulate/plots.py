"""The report's plots, a panel per data set. The only place that needs matplotlib."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from allabel_core.errors import MissingExtraError
from allabel_core.simulation.strategies import FULL

from .analysis import Cell, Closeness, LabelCurve, Setting

_DOTS_PER_INCH = 100
_PANEL = (4.6, 3.8)
_STYLES = ("-", "--", ":", "-.")


def plot_curves(path: Path, cells: Sequence[Cell]) -> bool:
    """F1 by share annotated, a line per strategy, full annotation dashed; False for a single budget."""
    if len({cell.budget for cell in cells if cell.strategy != FULL}) < 2:
        return False
    cells = _first_setting(cells)

    def draw(axes: Any, here: Sequence[Cell]) -> None:
        for style, strategy in enumerate(_strategies(here)):
            line = sorted((c for c in here if c.strategy == strategy), key=lambda cell: cell.share)
            _line(axes, [100 * c.share for c in line], line, strategy, style)
        _full_line(axes, here)
        axes.set_xlabel("texts annotated, %")
        axes.set_ylabel("F1")

    _panels(path, cells, draw)
    return True


def plot_ks(path: Path, cells: Sequence[Cell]) -> bool:
    """F1 by k at the largest budget; False for a single k."""
    if len({cell.setting.k for cell in cells}) < 2:
        return False
    largest = max((c for c in cells if c.strategy != FULL), key=lambda cell: cell.share).budget

    def draw(axes: Any, here: Sequence[Cell]) -> None:
        for style, strategy in enumerate([*_strategies(here), FULL]):
            line = [c for c in here if c.strategy == strategy and c.budget in (largest, "100%")]
            line.sort(key=lambda cell: cell.setting.k)
            _line(axes, [c.setting.k for c in line], line, strategy, style)
        axes.set_xlabel(f"demonstrations (k), {largest} annotated")
        axes.set_ylabel("F1")

    _panels(path, [c for c in cells if c.setting.similarity == cells[0].setting.similarity], draw)
    return True


def plot_similarities(path: Path, cells: Sequence[Cell]) -> bool:
    """F1 by similarity at the largest budget; False for a single one."""
    names = list(dict.fromkeys(cell.setting.similarity for cell in cells))
    if len(names) < 2:
        return False
    largest = max((c for c in cells if c.strategy != FULL), key=lambda cell: cell.share).budget

    def draw(axes: Any, here: Sequence[Cell]) -> None:
        for style, strategy in enumerate([*_strategies(here), FULL]):
            line = [c for c in here if c.strategy == strategy and c.budget in (largest, "100%")]
            _line(axes, [names.index(c.setting.similarity) for c in line], line, strategy, style)
        axes.set_xticks(range(len(names)), names)
        axes.set_xlabel(f"similarity, {largest} annotated")
        axes.set_ylabel("F1")

    _panels(path, [c for c in cells if c.setting.k == cells[0].setting.k], draw)
    return True


def plot_closeness(path: Path, found: Sequence[Closeness]) -> bool:
    """F1, and perplexity where a model told it, by closeness; False where there is nothing to plot."""
    kept = [each for each in _first_setting(found) if each.strategy != FULL and each.bins]
    if not kept:
        return False
    budget = kept[-1].budget
    kept = [each for each in kept if each.budget == budget]
    has_perplexity = any(bin.perplexity == bin.perplexity for each in kept for bin in each.bins)

    def draw(axes: Any, here: Sequence[Closeness]) -> None:
        beside = axes.twinx() if has_perplexity else None
        for number, each in enumerate(here):
            where = [bin.closeness for bin in each.bins]
            axes.plot(where, [bin.f1 for bin in each.bins], "o-", color=f"C{number}", label=each.strategy)
            if beside is not None:
                values = [bin.perplexity for bin in each.bins]
                beside.plot(where, values, "x:", color=f"C{number}")
                beside.set_ylabel("median perplexity (dotted)")
        axes.set_xlabel(f"closeness of the nearest demonstration, {budget} annotated")
        axes.set_ylabel("F1 (micro, fifths of the texts)")

    _panels(path, kept, draw)
    return True


def plot_labels(path: Path, curves: Sequence[LabelCurve]) -> bool:
    """F1 of each label by share annotated, for the first strategy that does not draw at random."""
    curves = _first_setting(curves)
    names = list(dict.fromkeys(c.strategy for c in curves))
    if not names:
        return False
    chosen = next((name for name in names if name != "random"), names[0])

    def draw(axes: Any, here: Sequence[LabelCurve]) -> None:
        for number, curve in enumerate(here):
            where, values = zip(*((100 * share, value) for _, share, value in curve.points), strict=True)
            axes.plot(where, values, "o" + _STYLES[number // 10 % len(_STYLES)], label=curve.label)
        axes.set_xlabel(f"texts annotated, % ({chosen})")
        axes.set_ylabel("F1")

    _panels(path, [curve for curve in curves if curve.strategy == chosen], draw)
    return True


def _strategies(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.strategy for cell in cells if cell.strategy != FULL))


def _line(axes: Any, where: Sequence[float], line: Sequence[Cell], name: str, style: int) -> None:
    values = [cell.f1.value for cell in line]
    below = [max(0.0, cell.f1.value - cell.f1.low) for cell in line]
    above = [max(0.0, cell.f1.high - cell.f1.value) for cell in line]
    shape = "o" + _STYLES[style % len(_STYLES)]
    axes.errorbar(where, values, yerr=[below, above], fmt=shape, capsize=2, markersize=4, label=name)


def _full_line(axes: Any, cells: Sequence[Cell]) -> None:
    for cell in cells:
        if cell.strategy == FULL:
            axes.axhline(cell.f1.value, color="grey", linestyle="--", label="full annotation")


def _first_setting(items: Sequence[Any]) -> list[Any]:
    """Of each data set only the first similarity and k."""
    first: dict[tuple[str, str], Setting] = {}
    for item in items:
        first.setdefault((item.setting.dataset, item.setting.extractor), item.setting)
    return [item for item in items if first[item.setting.dataset, item.setting.extractor] == item.setting]


def _panels(path: Path, items: Sequence[Any], draw: Callable[[Any, Sequence[Any]], None]) -> None:
    try:
        figures = importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise MissingExtraError(
            "matplotlib is not installed: pip install -r requirements-simulate.txt"
        ) from error
    names = list(dict.fromkeys(item.setting.dataset for item in items))
    size = (_PANEL[0] * len(names), _PANEL[1])
    figure = figures.Figure(figsize=size, layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        here = [item for item in items if item.setting.dataset == name]
        draw(axes, here)
        axes.set_title(f"{name}, {here[0].setting.extractor}")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=_DOTS_PER_INCH, metadata={"Software": None})
