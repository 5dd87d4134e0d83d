"""From finished runs to the tables of the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from allabel_core.confidence import expected_calibration_error
from allabel_core.simulation.runs import as_counts
from allabel_core.simulation.statistics import (
    Correlation,
    Estimate,
    budget_needed,
    f1,
    f1_difference,
    f1_ratio,
    mean_f1,
    spearman,
)
from allabel_core.simulation.strategies import FULL
from allabel_core.types import FloatArray, IntArray

from .records import Finished

TARGET = 0.98
"""The part of full annotation's F1 that is looked for."""

_BINS = 5


class Setting(NamedTuple):
    """What runs must share to be compared."""

    dataset: str
    extractor: str
    similarity: str
    k: int


@dataclass(frozen=True, slots=True)
class Cell:
    """All seeds of one strategy at one budget. ``None``: there is nothing to compare with.

    ``calibration``: expected calibration error of ``confidences`` spans; None where nothing tells how sure.
    """

    setting: Setting
    strategy: str
    budget: str
    share: float
    seeds: int
    f1: Estimate
    span_f1: float
    of_full: Estimate
    over_random: Estimate | None
    over_allabel: Estimate | None
    calibration: float | None
    confidences: int


@dataclass(frozen=True, slots=True)
class SourceCell:
    """All seeds of one strategy at one budget, by one source alone. ``joined_over_it``: F1 of all sources
    less its own; ``joined_of_full``: F1 of all sources by the source's own with full annotation.
    """

    setting: Setting
    strategy: str
    budget: str
    source: str
    f1: Estimate
    joined_over_it: Estimate
    joined_of_full: Estimate


@dataclass(frozen=True, slots=True)
class Bin:
    """Texts whose nearest demonstration is about equally close."""

    closeness: float
    texts: int
    f1: float
    perplexity: float


@dataclass(frozen=True, slots=True)
class Closeness:
    """How scores depend on how close the nearest demonstration is, over one strategy's runs."""

    setting: Setting
    strategy: str
    budget: str
    f1: Correlation
    perplexity: Correlation
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class LabelCurve:
    """F1 of one label by budget, on the texts that the strategy left unannotated at every budget.

    ``drop``: F1 at the last budget less the best F1 before, None with a single budget.
    """

    setting: Setting
    strategy: str
    label: str
    points: tuple[tuple[str, float, float], ...]
    drop: Estimate | None

    @property
    def gets_worse(self) -> bool:
        return self.drop is not None and self.drop.high < 0


Grouped = Mapping[Setting, Mapping[tuple[str, str], Sequence[Finished]]]


def grouped(finished: Sequence[Finished]) -> Grouped:
    """Setting -> (strategy, budget) -> the runs, one a seed."""
    groups: dict[Setting, dict[tuple[str, str], list[Finished]]] = {}
    for run in finished:
        row = run.row
        setting = Setting(row.dataset, row.extractor, row.similarity, row.k)
        groups.setdefault(setting, {}).setdefault((row.strategy, row.budget), []).append(run)
    return groups


def summary(groups: Grouped) -> list[Cell]:
    """One cell per setting, strategy and budget; full annotation first."""
    return [
        _cell(setting, strategy, budget, cells)
        for setting, cells in groups.items()
        for strategy, budget in cells
    ]


def _cell(
    setting: Setting, strategy: str, budget: str, cells: Mapping[tuple[str, str], Sequence[Finished]]
) -> Cell:
    runs = cells[strategy, budget]
    counts, full = _counts(runs), _counts(cells[FULL, "100%"])

    def over(other: str) -> Estimate | None:
        against = cells.get((other, budget))
        if against is None or strategy in (other, FULL):
            return None
        return f1_difference(counts, _counts(against))

    sure = np.concatenate([run.scores.confidences for run in runs])
    return Cell(
        setting,
        strategy,
        budget,
        share=runs[0].row.n_annotated / runs[0].texts,
        seeds=len(runs),
        f1=mean_f1(counts),
        span_f1=float(np.mean([run.row.span_f1 for run in runs])),
        of_full=f1_ratio(counts, full * len(counts)),
        over_random=over("random"),
        over_allabel=over("allabel"),
        calibration=expected_calibration_error(sure[:, 0], sure[:, 1]) if len(sure) else None,
        confidences=len(sure),
    )


def _counts(runs: Sequence[Finished]) -> list[IntArray]:
    return [run.scores.by_text(run.texts) for run in runs]


def source_cells(groups: Grouped) -> list[SourceCell]:
    """One per setting, strategy, budget and source, where there are several sources."""
    found = []
    for setting, cells in groups.items():
        for (strategy, budget), runs in cells.items():
            for source in runs[0].scores.by_source:
                alone = [run.scores.source_by_text(source, run.texts) for run in runs]
                full = [run.scores.source_by_text(source, run.texts) for run in cells[FULL, "100%"]]
                joined = _counts(runs)
                over = f1_difference(joined, alone, in_pairs=True)
                of_full = f1_ratio(joined, full * len(joined))
                found.append(SourceCell(setting, strategy, budget, source, mean_f1(alone), over, of_full))
    return found


def needed(cells: Sequence[Cell]) -> list[tuple[Setting, str, float | None, Cell]]:
    """Per setting and strategy: the share needed for 98% of full annotation, and its largest budget."""
    curves: dict[tuple[Setting, str], list[Cell]] = {}
    for cell in cells:
        if cell.strategy != FULL:
            curves.setdefault((cell.setting, cell.strategy), []).append(cell)
    found = []
    for (setting, strategy), curve in curves.items():
        curve.sort(key=lambda cell: cell.share)
        share = budget_needed([(cell.share, cell.of_full.value) for cell in curve], TARGET)
        found.append((setting, strategy, share, curve[-1]))
    return found


def closeness(groups: Grouped) -> list[Closeness]:
    """Per setting, strategy and budget, over the texts in which there is anything to score."""
    return [
        _closeness(setting, strategy, budget, runs)
        for setting, cells in groups.items()
        for (strategy, budget), runs in cells.items()
    ]


def _closeness(setting: Setting, strategy: str, budget: str, runs: Sequence[Finished]) -> Closeness:
    near = np.concatenate([run.scores.closeness for run in runs])
    counts = np.concatenate([run.scores.entities.sum(axis=0) for run in runs])
    perplexity = np.concatenate([run.scores.perplexity for run in runs])
    texts = np.concatenate([np.array(run.scores.evaluated) for run in runs])
    scored = counts.sum(axis=1) > 0
    near, counts, perplexity, texts = near[scored], counts[scored], perplexity[scored], texts[scored]
    return Closeness(
        setting,
        strategy,
        budget,
        f1=spearman(near, f1(counts), texts),
        perplexity=spearman(near, perplexity, texts),
        bins=tuple(_bins(near, counts, perplexity)),
    )


def _bins(near: FloatArray, counts: IntArray, perplexity: FloatArray) -> Iterator[Bin]:
    for part in np.array_split(np.argsort(near, kind="stable"), _BINS):
        if len(part):
            told = perplexity[part][np.isfinite(perplexity[part])]
            yield Bin(
                closeness=float(near[part].mean()),
                texts=len(part),
                f1=as_counts(counts[part]).f1,
                perplexity=float(np.median(told)) if len(told) else float("nan"),
            )


def label_curves(groups: Grouped) -> list[LabelCurve]:
    """For every strategy with at least two budgets."""
    curves: list[LabelCurve] = []
    for setting, cells in groups.items():
        for strategy in dict.fromkeys(strategy for strategy, _ in cells if strategy != FULL):
            runs = [here for (name, _), here in cells.items() if name == strategy]
            if len(runs) > 1:
                runs.sort(key=lambda here: here[0].row.n_annotated)
                curves += _label_curves(setting, strategy, runs)
    return curves


def _label_curves(
    setting: Setting, strategy: str, by_budget: Sequence[Sequence[Finished]]
) -> Iterator[LabelCurve]:
    seeds = min(len(runs) for runs in by_budget)
    common = [
        set.intersection(*(set(runs[seed].scores.evaluated) for runs in by_budget)) for seed in range(seeds)
    ]
    for which, label in enumerate(by_budget[0][0].scores.labels):
        counts = [
            [_label_counts(runs[seed], which, common[seed]) for seed in range(seeds)] for runs in by_budget
        ]
        means = [float(np.mean([as_counts(c[:, :3]).f1 for c in each])) for each in counts]
        best = int(np.argmax(means[:-1]))
        points = tuple(
            (runs[0].row.budget, runs[0].row.n_annotated / runs[0].texts, mean)
            for runs, mean in zip(by_budget, means, strict=True)
        )
        drop = f1_difference(counts[-1], counts[best], in_pairs=True)
        yield LabelCurve(setting, strategy, label, points, drop)


def _label_counts(run: Finished, label: int, texts: set[int]) -> IntArray:
    """(n, 4), as ``RunScores.by_text``, of one label on some texts."""
    counts = np.zeros((run.texts, 4), dtype=np.int64)
    kept = [i for i, text in enumerate(run.scores.evaluated) if text in texts]
    at = [run.scores.evaluated[i] for i in kept]
    counts[at, :3] = run.scores.entities[label, kept]
    counts[at, 3] = 1
    return counts
