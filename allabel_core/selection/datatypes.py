"""What a strategy is asked and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from allabel_core.similarity.base import Similarity
from allabel_core.types import BoolArray, FloatArray, Reason


@dataclass(frozen=True, slots=True)
class SelectionRequest:
    """One question to a strategy about the n texts of a ``Similarity``.

    :param budget: how many texts a human will annotate, the annotated ones included; at most n.
        With ``costs`` it is the sum of costs that may be spent, the annotated ones included.
    :param k: demonstrations shown to the model for each text.
    :param annotated: distinct indices, in the order in which they were annotated.
    :param stage_ratio: diversity : similarity : uncertainty (strategy ``allabel``).
    :param weak_against: what stage 3 measures weakness against: everything chosen so far, or
        stage 1 alone (strategy ``allabel``).
    :param seed: for strategies that draw at random.
    :param eligible: mask (n,) of the texts that may be picked; None means all. Texts outside it
        still are queries.
    :param costs: (n,) what each text costs; None means that every text costs 1.
    :param weakness: (n,) how badly a model does on each text, the weakest highest (strategy
        ``allabel``): stage 3's weak points are the weakest texts in place of the worst served.
    :param combine_weakness: the weak points are then those with the lowest sum of both ranks.
    """

    budget: int
    k: int = 3
    annotated: tuple[int, ...] = ()
    stage_ratio: tuple[int, int, int] = (1, 3, 1)
    weak_against: Literal["corpus", "diversity"] = "corpus"
    seed: int = 0
    eligible: BoolArray | None = None
    costs: FloatArray | None = None
    weakness: FloatArray | None = None
    combine_weakness: bool = False


@dataclass(frozen=True, slots=True)
class Pick:
    """One text that a strategy asks for; ``index`` refers to the similarity's texts."""

    index: int
    stage: str
    reason: Reason


Strategy: TypeAlias = Callable[[Similarity, SelectionRequest], Sequence[Pick]]
"""Returns the picks after the annotated texts, first to annotate first, none of them annotated.

A strategy is prefix stable: with its first j picks moved to the end of ``annotated``, the
remaining picks are unchanged.
"""
