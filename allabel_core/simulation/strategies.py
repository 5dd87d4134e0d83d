"""Strategies by name for replay: those of ``select``, and variants of the three stages.

``allabel@1:1:1`` has other proportions, ``allabel@0:3:1`` lacks a stage, ``allabel@cold`` begins with
a text drawn at random instead of the warm start.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from allabel_core.errors import InvalidInputError
from allabel_core.selection.core import STRATEGIES, select_by
from allabel_core.selection.datatypes import SelectionRequest
from allabel_core.similarity.base import Similarity

FULL = "full"
"""No strategy: every other text is annotated. What each run is measured against."""

_COLD = "cold"
_DRAWING = ("random", "coreset")


def is_drawn(strategy: str) -> bool:
    """Whether the strategy's choice depends on the seed."""
    return strategy in _DRAWING or strategy.endswith(f"@{_COLD}")


def check_strategy(strategy: str) -> None:
    """:raises InvalidInputError: there is no strategy or variant of this name."""
    name, _, variant = strategy.partition("@")
    if name != FULL and name not in STRATEGIES:
        known = ", ".join([*sorted(STRATEGIES), FULL])
        raise InvalidInputError(f"There is no strategy {name!r}; there are {known}.")
    if variant and name != "allabel":
        raise InvalidInputError(f"{strategy!r}: only allabel has variants, such as allabel@1:1:1.")
    if variant and variant != _COLD:
        _ratio(variant)


def annotated_by(strategy: str, similarity: Similarity, *, budget: int, k: int, seed: int) -> tuple[int, ...]:
    """The texts that the strategy has annotated when the budget is spent, in order.

    :raises InvalidInputError: as ``check_strategy``.
    """
    check_strategy(strategy)
    name, _, variant = strategy.partition("@")
    request = SelectionRequest(budget=budget, k=k, seed=seed)
    if variant == _COLD:
        first = int(np.random.default_rng(seed).integers(len(similarity)))
        request = replace(request, annotated=(first,))
    elif variant:
        request = replace(request, stage_ratio=_ratio(variant))
    return select_by(similarity, request, strategy=name).order


def _ratio(variant: str) -> tuple[int, int, int]:
    parts = variant.split(":")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise InvalidInputError(f"{variant!r} is neither 'cold' nor three proportions such as 1:3:1.")
    return int(parts[0]), int(parts[1]), int(parts[2])
