"""Stage 1's question, which text is least like all chosen ones, answered with few scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from allabel_core.similarity.base import Farthest, Floor
from allabel_core.similarity.bm25_index import Bm25Index
from allabel_core.types import BoolArray, FloatArray, IntArray


class LazilyClosestChosen:
    """What ``ClosestChosen`` answers; a text is compared with chosen ones only while it might be farthest.

    Its highest similarity to some of the chosen texts bounds that to all of them from below.

    So does what is known before any comparison.

    :param floor: asked once for each chosen text.
    """

    def __init__(self, index: Bm25Index, floor: Floor, decimals: int, kernels: Any) -> None:
        n = len(index)
        *rows, n_terms = index.scored
        self._rows = (*rows, np.zeros(n_terms, dtype=index.counts.dtype))
        self._floor = floor
        self._scale = 10.0**decimals
        self._kernels = kernels
        self._chosen: IntArray = np.empty(n, dtype=np.int64)
        self._many = 0
        self._below: FloatArray = np.full(n, -np.inf)
        self._best: FloatArray = np.full(n, -np.inf)
        self._nearest: IntArray = np.full(n, -1, dtype=np.int64)
        self._compared: IntArray = np.zeros(n, dtype=np.int64)

    def add(self, d: int) -> None:
        """Count text d among the chosen."""
        self._chosen[self._many] = d
        self._many += 1
        floor = self._floor(d)
        if floor is not None:
            below = self._below[: len(floor)]
            np.maximum(below, floor, out=below)

    def farthest(self, available: BoolArray) -> Farthest:
        """The available text least similar to all chosen ones, ties by the lower index."""
        state = (self._below, self._best, self._nearest, self._compared)
        chosen = self._chosen[: self._many]
        text = self._kernels.farthest(*self._rows, chosen, available, self._scale, *state)
        return Farthest(text, float(self._best[text]), int(self._nearest[text]))
