"""Fast vote-k against a naive reading of the published algorithm, picks compared, times printed.

    python tests/bench/votek_published.py --texts 3000 --budget 150

The peer follows the description in the paper (Su et al., 2022, algorithm 1, first phase): at every step
every unchosen text's score is summed over its voters, and every voter's weight is counted anew over
the texts chosen so far. The graph is given to both and not timed. ``--steps`` limits the peer to the
first picks; its time for the whole budget is then extrapolated from the time of each step, which
grows in proportion to the number of texts chosen.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from allabel_core.selection.datatypes import SelectionRequest
from allabel_core.selection.votek import DISCOUNT, GRAPH_SIZE, fast_votek
from allabel_core.similarity.base import Neighbours
from allabel_core.similarity.embeddings import Embeddings


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


def published_fast_votek(favourites: list[list[int]], budget: int, step_seconds: list[float]) -> list[int]:
    voters: list[list[int]] = [[] for _ in favourites]
    for v, of_v in enumerate(favourites):
        for u in of_v:
            voters[u].append(v)
    favourite_sets = [set(of_v) for of_v in favourites]
    chosen: list[int] = []
    unchosen = set(range(len(favourites)))
    while len(chosen) < budget:
        began = time.perf_counter()
        best, best_score = -1, -1.0
        for u in sorted(unchosen):
            score = 0.0
            for v in voters[u]:
                if v in unchosen:
                    already = sum(1 for chosen_text in chosen if chosen_text in favourite_sets[v])
                    score += DISCOUNT**-already
            if round(score, 9) > best_score:
                best, best_score = u, round(score, 9)
        chosen.append(best)
        unchosen.remove(best)
        step_seconds.append(time.perf_counter() - began)
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=3_000)
    parser.add_argument("--budget", type=int, default=150)
    parser.add_argument("--steps", type=int, help="of the peer; the whole budget by default")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(50, 64))
    vectors = centres[rng.integers(50, size=arguments.texts)] + 0.6 * rng.normal(size=(arguments.texts, 64))
    similarity = KnownNeighbours(Embeddings(vectors), GRAPH_SIZE)
    steps = min(arguments.steps or arguments.budget, arguments.budget)

    times = []
    for _ in range(5):
        began = time.perf_counter()
        picks = [pick.index for pick in fast_votek(similarity, SelectionRequest(budget=arguments.budget))]
        times.append(time.perf_counter() - began)
    ours = float(np.median(times))
    step_seconds: list[float] = []
    peer_picks = published_fast_votek(similarity.found.indices.tolist(), steps, step_seconds)
    slope, start = np.polyfit(np.arange(steps), step_seconds, 1) if steps > 2 else (0.0, step_seconds[0])
    rest = np.arange(steps, arguments.budget)
    peer = sum(step_seconds) + float((start + slope * rest).sum())

    same = sum(a == b for a, b in zip(picks, peer_picks, strict=False))
    print(
        f"{arguments.texts} texts, {arguments.budget} chosen: ours {ours:.3f} s, published {peer:.1f} s",
        end="",
    )
    print(" (extrapolated)" if steps < arguments.budget else "", end="")
    print(f", {peer / ours:.0f} times; the first {steps} picks: {same} equal")


if __name__ == "__main__":
    main()
