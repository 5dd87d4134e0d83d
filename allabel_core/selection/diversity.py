"""Stage 1: a warm-start core-set by farthest-first traversal (spec, "Stage 1")."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from allabel_core.selection.datatypes import Pick
from allabel_core.similarity.base import Similarity
from allabel_core.types import BoolArray, FloatArray, IntArray, Reason

STAGE = "diversity"


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
    closest = ClosestChosen(similarity, chosen)
    if picks:
        closest.add(picks[0].index)
        available[picks[0].index] = False
    while len(picks) < count:
        index = int(np.argmin(np.where(available, closest.max_similarity_to_chosen, np.inf)))
        picks.append(_farthest(closest, index))
        available[index] = False
        if len(picks) < count:
            closest.add(index)
    return picks


def _seed(similarity: Similarity, available: BoolArray) -> Pick:
    means = similarity.mean_to_others()
    index = int(np.argmin(np.where(available, means, np.inf)))
    words = "the text least like all the others"
    return Pick(index, STAGE, Reason(words=words, score=float(means[index])))


def _farthest(closest: ClosestChosen, index: int) -> Pick:
    nearest = int(closest.nearest_chosen[index])
    similarity = float(closest.max_similarity_to_chosen[index])
    words = f"the text least like everything chosen before it (at most {similarity:.3g} similar)"
    return Pick(index, STAGE, Reason(words=words, score=similarity, nearest=nearest, similarity=similarity))
