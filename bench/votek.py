"""Fast vote-k beside the published algorithm; the graph is given to both, not timed.

The peer does what the authors' own program does (Su et al., 2022): at every step it sums every text's
votes afresh, and looks each voter up in the list of those chosen, O(M^2 N k) in all. Sums are rounded,
as ours are, so that the picks can be compared.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from allabel_core import Embeddings, SelectionRequest
from allabel_core.selection.votek import DISCOUNT, GRAPH_SIZE, fast_votek
from allabel_core.similarity.base import Neighbours

DIMENSIONS = 64
ROUNDS = 5


class Comparison(NamedTuple):
    """Core seconds for the whole budget; the peer's are extrapolated from its first ``steps`` picks, of
    which ``equal`` are the same as ours."""

    ours: float
    published: float
    steps: int
    equal: int


class KnownNeighbours:
    """A similarity whose neighbour lists are computed once, so that only the choice is timed."""

    def __init__(self, similarity: Embeddings, k: int) -> None:
        self._similarity = similarity
        self.found = similarity.neighbours(k)

    def __len__(self) -> int:
        return len(self._similarity)

    def __getattr__(self, name: str) -> object:
        return getattr(self._similarity, name)

    def neighbours(self, k: int, **_: object) -> Neighbours:
        return self.found


def clustered(n: int) -> Embeddings:
    """n vectors about 50 centres."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(50, DIMENSIONS))
    return Embeddings(centres[rng.integers(50, size=n)] + 0.6 * rng.normal(size=(n, DIMENSIONS)))


def published_fast_votek(
    favourites: list[list[int]], budget: int, *, step_seconds: list[float] | None = None
) -> list[int]:
    """The picks; ``step_seconds`` gains the core seconds of each."""
    voters: list[list[int]] = [[] for _ in favourites]
    for v, of_v in enumerate(favourites):
        for u in of_v:
            voters[u].append(v)
    favourites_chosen = [0] * len(favourites)
    chosen: list[int] = []
    while len(chosen) < budget:
        began = time.process_time()
        best, most = -1, -1.0
        for u, voting in enumerate(voters):
            if u in chosen:
                continue
            votes = round(sum(DISCOUNT ** -favourites_chosen[v] for v in voting if v not in chosen), 9)
            if votes > most:
                best, most = u, votes
        chosen.append(best)
        for v in voters[best]:
            favourites_chosen[v] += 1
        if step_seconds is not None:
            step_seconds.append(time.process_time() - began)
    return chosen


def compare(n: int, steps: int) -> Comparison:
    """5% of n texts. A step of the peer takes longer in proportion to the number of texts chosen."""
    budget = n // 20
    similarity = KnownNeighbours(clustered(n), GRAPH_SIZE)
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        picks = [pick.index for pick in fast_votek(similarity, SelectionRequest(budget=budget))]
        times.append(time.process_time() - began)
    step_seconds: list[float] = []
    theirs = published_fast_votek(similarity.found.indices.tolist(), steps, step_seconds=step_seconds)
    slope, start = np.polyfit(np.arange(steps), step_seconds, 1)
    published = sum(step_seconds) + float((start + slope * np.arange(steps, budget)).sum())
    equal = sum(a == b for a, b in zip(picks, theirs, strict=False))
    return Comparison(float(np.median(times)), published, steps, equal)
