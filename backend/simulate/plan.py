"""What is to be run: the options, and the paper's experiments by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from allabel_core.errors import InvalidInputError
from allabel_core.simulation.runs import RunSpec
from allabel_core.simulation.strategies import FULL, check_strategy, is_drawn

from ..usecases.ranking import budget_tasks

ALL_BUDGETS = ("1%", "2%", "5%", "10%", "15%", "20%")


@dataclass(frozen=True, slots=True)
class Grid:
    """Everything is combined with everything; ``seeds`` counts for strategies that draw at random."""

    strategies: tuple[str, ...] = ("allabel", "coverage", "random")
    budgets: tuple[str, ...] = ("5%", "10%")
    similarities: tuple[str, ...] = ("bm25",)
    ks: tuple[int, ...] = (3,)
    seeds: int = 3


EXPERIMENTS: Mapping[str, Grid] = {
    "main": Grid(
        ("allabel", "coverage", "random", "coreset", "coreset-warm", "votek", "fast-votek"), ALL_BUDGETS
    ),
    "stages": Grid(("allabel", "allabel@0:3:1", "allabel@1:0:1", "allabel@1:3:0", "random")),
    "warmstart": Grid(("allabel", "allabel@cold", "coreset-warm", "coreset")),
    "proportions": Grid(("allabel", "allabel@1:1:1", "allabel@1:5:1")),
    "k": Grid(ks=(1, 2, 3, 4, 6, 8, 12, 16)),
    "similarity": Grid(similarities=("bm25", "sbert", "fused")),
    "correlation": Grid(budgets=("10%",)),
    "per-label": Grid(budgets=ALL_BUDGETS),
}
"""By name; what the paper did is described in docs/simulate.md."""


def make_grid(
    experiment: str | None,
    *,
    strategies: str | None = None,
    budgets: str | None = None,
    similarities: str | None = None,
    ks: str | None = None,
    seeds: int | None = None,
) -> Grid:
    """The named experiment's grid, or the default one, with what was given put in its place.

    :raises InvalidInputError: an unknown experiment, strategy or similarity, or a k below 1.
    """
    if experiment is not None and experiment not in EXPERIMENTS:
        raise InvalidInputError(f"There is no experiment {experiment!r}; there are {', '.join(EXPERIMENTS)}.")
    grid = Grid() if experiment is None else EXPERIMENTS[experiment]
    if strategies is not None:
        grid = replace(grid, strategies=_listed(strategies))
    if budgets is not None:
        grid = replace(grid, budgets=_listed(budgets))
    if similarities is not None:
        grid = replace(grid, similarities=_listed(similarities))
    if ks is not None:
        grid = replace(grid, ks=tuple(_at_least_one(k) for k in _listed(ks)))
    if seeds is not None:
        grid = replace(grid, seeds=seeds)
    for strategy in grid.strategies:
        check_strategy(strategy)
    for similarity in grid.similarities:
        if similarity not in ("bm25", "sbert", "fused"):
            raise InvalidInputError(f"similarity {similarity!r} is none of bm25, sbert, fused")
    return grid


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """``budget`` as the person gave it."""

    spec: RunSpec
    budget: str


def planned_runs(grid: Grid, texts: int) -> list[PlannedRun]:
    """The runs on a pool of so many texts; full annotation, which belongs to every grid, is not listed.

    :raises InvalidInputError: a budget that is no number or share, or leaves nothing to be evaluated.
    """
    runs = []
    for similarity, k, budget, strategy in product(grid.similarities, grid.ks, grid.budgets, grid.strategies):
        if strategy == FULL:
            continue
        size = budget_tasks(budget, texts)
        if not 0 < size < texts:
            raise InvalidInputError(f"A budget of {budget} of {texts} texts leaves nothing to simulate.")
        for seed in range(grid.seeds if is_drawn(strategy) else 1):
            runs.append(PlannedRun(RunSpec(strategy, size, similarity, k, seed), budget))
    return runs


def _listed(given: str) -> tuple[str, ...]:
    parts: Sequence[str] = [part.strip() for part in given.split(",")]
    return tuple(dict.fromkeys(part for part in parts if part))


def _at_least_one(k: str) -> int:
    if not k.isdecimal() or int(k) < 1:
        raise InvalidInputError(f"k must be a number of demonstrations, 1 or more, not {k!r}.")
    return int(k)
