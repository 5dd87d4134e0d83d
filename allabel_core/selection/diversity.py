"""Stage 1: a warm-start core-set by farthest-first traversal (spec, "Stage 1")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from allabel_core.selection.datatypes import Pick
from allabel_core.similarity.base import Farthest, FindsFarthest, Similarity
from allabel_core.types import BoolArray, FloatArray, IntArray, Reason

STAGE = "diversity"
_MOST_CONTENDERS = 64


@runtime_checkable
class HasRoughColumns(Similarity, Protocol):
    """A similarity with columns in float32, each value at most ``rough_error`` off."""

    @property
    def rough_error(self) -> float: ...

    def rough_column(self, d: int) -> npt.NDArray[np.float32]:
        """(n,): S[:, d], roughly."""


@runtime_checkable
class MayCompareLazily(Similarity, Protocol):
    """A similarity that may have a quicker ``ClosestChosen`` of its own."""

    def closest_chosen(self) -> FindsFarthest | None:
        """With nothing chosen yet."""


class ClosestChosen:
    """For every text its most similar chosen one, kept up to date as texts are chosen.

    ``max_similarity_to_chosen``: (n,) max over d in chosen of S[q, d], -inf while none is chosen.
    ``nearest_chosen``: (n,) that d (the first chosen of several), -1 while none is chosen.
    """

    def __init__(self, similarity: Similarity, chosen: Sequence[int] = ()) -> None:
        self._similarity = similarity
        self.max_similarity_to_chosen: FloatArray = np.full(len(similarity), -np.inf)
        self.nearest_chosen: IntArray = np.full(len(similarity), -1, dtype=np.int64)
        for d in chosen:
            self.add(d)

    def add(self, d: int) -> None:
        """Count text d among the chosen."""
        column = self._similarity.column(d)
        closer = column > self.max_similarity_to_chosen
        self.max_similarity_to_chosen[closer] = column[closer]
        self.nearest_chosen[closer] = d

    def farthest(self, available: BoolArray) -> Farthest:
        """The available text least similar to all chosen ones, ties by the lower index."""
        index = int(np.argmin(np.where(available, self.max_similarity_to_chosen, np.inf)))
        return Farthest(index, float(self.max_similarity_to_chosen[index]), int(self.nearest_chosen[index]))


class RoughlyClosestChosen:
    """The same answers from float32 columns: only texts that might be the farthest are compared exactly.

    Where too many might be, as among duplicates of chosen texts, exact columns take over.
    """

    def __init__(self, similarity: HasRoughColumns, chosen: Sequence[int] = ()) -> None:
        self._similarity = similarity
        self._rough = np.full(len(similarity), -np.inf, dtype=np.float32)
        self._chosen: list[int] = []
        self._exact: ClosestChosen | None = None
        for d in chosen:
            self.add(d)

    def add(self, d: int) -> None:
        """Count text d among the chosen."""
        self._chosen.append(d)
        if self._exact is None:
            np.maximum(self._rough, self._similarity.rough_column(d), out=self._rough)
        else:
            self._exact.add(d)

    def farthest(self, available: BoolArray) -> Farthest:
        """The available text least similar to all chosen ones, ties by the lower index."""
        if self._exact is None:
            lowest = np.where(available, self._rough, np.inf).min()
            contenders = np.flatnonzero(
                available & (self._rough <= lowest + 2 * self._similarity.rough_error)
            )
            if len(contenders) <= _MOST_CONTENDERS:
                return self._farthest_of(contenders)
            self._exact = ClosestChosen(self._similarity, self._chosen)
        return self._exact.farthest(available)

    def _farthest_of(self, contenders: IntArray) -> Farthest:
        block = self._similarity.block(contenders, np.array(self._chosen, dtype=np.int64))
        row = int(np.argmin(block.max(axis=1)))
        nearest = int(np.argmax(block[row]))
        return Farthest(int(contenders[row]), float(block[row, nearest]), self._chosen[nearest])


def pick_diverse(
    similarity: Similarity, count: int, *, chosen: Sequence[int], eligible: BoolArray
) -> list[Pick]:
    """The next ``count`` texts of the core-set that begins with ``chosen``; fewer if none is left."""
    available = eligible.copy()
    available[list(chosen)] = False
    count = min(count, int(available.sum()))
    if count <= 0:
        return []
    picks = [] if chosen else [_seed(similarity, available)]
    closest = _closest_chosen(similarity, chosen)
    for pick in picks:
        closest.add(pick.index)
        available[pick.index] = False
    while len(picks) < count:
        farthest = closest.farthest(available)
        picks.append(_explained(farthest))
        available[farthest.text] = False
        if len(picks) < count:
            closest.add(farthest.text)
    return picks


def _closest_chosen(similarity: Similarity, chosen: Sequence[int]) -> FindsFarthest:
    lazily = similarity.closest_chosen() if isinstance(similarity, MayCompareLazily) else None
    if lazily is not None:
        for d in chosen:
            lazily.add(d)
        return lazily
    if isinstance(similarity, HasRoughColumns):
        return RoughlyClosestChosen(similarity, chosen)
    return ClosestChosen(similarity, chosen)


def _seed(similarity: Similarity, available: BoolArray) -> Pick:
    means = similarity.mean_to_others()
    index = int(np.argmin(np.where(available, means, np.inf)))
    words = "the text least like all the others"
    return Pick(index, STAGE, Reason(words=words, score=float(means[index])))


def _explained(farthest: Farthest) -> Pick:
    index, similarity, nearest = farthest
    words = f"the text least like everything chosen before it (at most {similarity:.3g} similar)"
    return Pick(index, STAGE, Reason(words=words, score=similarity, nearest=nearest, similarity=similarity))
