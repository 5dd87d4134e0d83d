"""Draws the figures of docs/selection.md: strategies on points in a plane, standing for texts.

    python docs/figures/make_selection_figures.py

Needs matplotlib. The picks are those of the library; only the similarity, which falls with distance,
is made for the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from allabel_core.selection import SelectionRequest, select_by
from allabel_core.selection.coverage import covered_share
from allabel_core.similarity.base import Neighbours
from allabel_core.types import BoolArray, FloatArray, IntArray

HERE = Path(__file__).parent
BUDGET = 10
STAGE_COLOURS = {
    "diversity": "#d95f02",
    "similarity": "#1b6ca8",
    "uncertainty": "#7a3e9d",
    "coverage": "#1b7f4b",
}


class Nearness:
    """S[q, d] = exp(-distance**2 / 2) between points of a plane."""

    decimals = 9

    def __init__(self, points: FloatArray) -> None:
        squares = np.square(points[:, None] - points[None]).sum(axis=2)
        self._matrix: FloatArray = np.round(np.exp(-squares / 2), self.decimals)

    def __len__(self) -> int:
        return len(self._matrix)

    def mean_to_others(self) -> FloatArray:
        return np.round((self._matrix.sum(axis=1) - 1) / (len(self) - 1), self.decimals)

    def column(self, d: int) -> FloatArray:
        return self._matrix[:, d].copy()

    def block(self, queries: IntArray, documents: IntArray | None = None) -> FloatArray:
        rows = self._matrix[queries]
        return rows if documents is None else rows[:, documents]

    def self_similarity(self) -> FloatArray:
        return np.ones(len(self))

    def neighbours(
        self, k: int, *, queries: IntArray | None = None, candidates: BoolArray | None = None
    ) -> Neighbours:
        queries = np.arange(len(self)) if queries is None else queries
        rows = self._matrix[queries]
        if candidates is not None:
            rows[:, ~candidates] = -np.inf
        rows[np.arange(len(queries)), queries] = -np.inf
        best = np.argsort(-rows, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(rows, best, axis=1)
        missing = np.isneginf(found)
        return Neighbours(np.where(missing, -1, best), found, np.where(missing, 0.0, found))


def example_points() -> FloatArray:
    """A large group, two small ones, a row of texts that drift apart, and two outsiders."""
    rng = np.random.default_rng(4)
    drifting = np.column_stack([np.linspace(1.5, 8, 14), np.linspace(-3.2, -4.4, 14)])
    return np.concatenate(
        [
            rng.normal([0, 0], 0.8, (45, 2)),
            rng.normal([5, 2], 0.5, (18, 2)),
            rng.normal([4.5, -0.7], 0.35, (10, 2)),
            drifting + rng.normal(0, 0.25, drifting.shape),
            np.array([[-3.5, 3.6], [9.3, 4.2]]),
        ]
    )


def draw(axes: Axes, points: FloatArray, shares: FloatArray, title: str) -> None:
    axes.scatter(points[:, 0], points[:, 1], c=shares, cmap="Greys", vmin=-0.15, vmax=1.3, s=26, lw=0)
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal")


def mark(axes: Axes, points: FloatArray, order: Sequence[int], stages: Sequence[str]) -> None:
    for place, (index, stage) in enumerate(zip(order, stages, strict=True), start=1):
        x, y = points[index]
        axes.scatter(x, y, s=130, color=STAGE_COLOURS[stage], edgecolors="white", linewidths=1, zorder=3)
        axes.text(x, y, str(place), color="white", ha="center", va="center", fontsize=7, zorder=4)


def save(figure: plt.Figure, name: str) -> None:
    figure.savefig(HERE / name, dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


def draw_stages(points: FloatArray, similarity: Nearness) -> None:
    selection = select_by(similarity, SelectionRequest(budget=BUDGET), strategy="allabel")
    figure, all_axes = plt.subplots(1, 3, figsize=(12, 3.6))
    for axes, stage in zip(all_axes, ("diversity", "similarity", "uncertainty"), strict=True):
        end = max(place for place, of in enumerate(selection.stages, start=1) if of == stage)
        order, stages = selection.order[:end], selection.stages[:end]
        shares = covered_share(similarity, order)
        draw(axes, points, shares, f"after stage {stage}: {end} texts cover {shares.mean():.0%}")
        mark(axes, points, order, stages)
    save(figure, "stages.png")


def draw_coverage(points: FloatArray, similarity: Nearness) -> None:
    selection = select_by(similarity, SelectionRequest(budget=BUDGET), strategy="coverage")
    figure, all_axes = plt.subplots(1, 3, figsize=(12, 3.6))
    for axes, end in zip(all_axes, (1, 4, BUDGET), strict=True):
        order, stages = selection.order[:end], selection.stages[:end]
        shares = covered_share(similarity, order)
        texts = "text covers" if end == 1 else "texts cover"
        draw(axes, points, shares, f"coverage: {end} {texts} {shares.mean():.0%}")
        mark(axes, points, order, stages)
    save(figure, "coverage.png")


def draw_growth(similarity: Nearness) -> None:
    styles = {"coverage": "-", "allabel": "--", "coreset-warm": ":"}
    budgets = range(1, 31)
    figure, axes = plt.subplots(figsize=(6, 3.4))
    for name, style in styles.items():
        queues = (select_by(similarity, SelectionRequest(budget=b), strategy=name).order for b in budgets)
        axes.plot(
            budgets, [100 * covered_share(similarity, order).mean() for order in queues], style, label=name
        )
    draws = [
        [
            100 * covered_share(similarity, select_by(similarity, request, strategy="random").order).mean()
            for request in (SelectionRequest(budget=b, seed=seed) for b in budgets)
        ]
        for seed in range(20)
    ]
    axes.plot(budgets, np.mean(draws, axis=0), color="grey", lw=1, label="random (mean of 20)")
    axes.set_xlabel("texts annotated")
    axes.set_ylabel("% of the pool covered")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, "growth.png")


def main() -> None:
    points = example_points()
    similarity = Nearness(points)
    draw_stages(points, similarity)
    draw_coverage(points, similarity)
    draw_growth(similarity)


if __name__ == "__main__":
    main()
