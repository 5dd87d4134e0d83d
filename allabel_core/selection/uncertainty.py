"""Stage 3: texts that serve the pool's weak points (spec, "Stage 3")."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from allabel_core.selection.datatypes import Pick
from allabel_core.selection.sumrank import count_votes, explained
from allabel_core.similarity.base import Similarity
from allabel_core.types import BoolArray, IntArray

STAGE = "uncertainty"


def weak_points(similarity: Similarity, count: int, *, corpus: Sequence[int], among: BoolArray) -> IntArray:
    """The ``count`` texts of ``among`` whose best demonstration in ``corpus`` is the worst, worst first."""
    in_corpus = np.zeros(len(similarity), dtype=np.bool_)
    in_corpus[list(corpus)] = True
    queries = np.flatnonzero(among)
    best = similarity.neighbours(1, queries=queries, candidates=in_corpus).similarities[:, 0]
    return queries[np.argsort(best, kind="stable")[:count]]


def pick_for_weak_points(
    similarity: Similarity,
    count: int,
    *,
    quota: int,
    k: int,
    earlier: Sequence[int],
    corpus: Sequence[int],
    chosen: Sequence[int],
    eligible: BoolArray,
) -> list[Pick]:
    """The ``count`` texts that best serve the ``quota`` weak points and are not chosen yet.

    ``earlier`` are the texts of stages 1 and 2, ``corpus`` those against which weakness is
    measured; ``chosen`` also holds what this stage has picked already.
    """
    available = eligible.copy()
    available[list(chosen)] = False
    if count <= 0 or not available.any():
        return []
    unchosen = np.ones(len(similarity), dtype=np.bool_)
    unchosen[list(earlier)] = False
    weak = weak_points(similarity, quota, corpus=corpus, among=unchosen)
    candidates = eligible.copy()
    candidates[list(chosen)] = True
    candidates &= unchosen
    votes = count_votes(similarity, k, queries=weak, candidates=candidates)
    picked = votes.ranking(available)[:count]
    words = f"among the {k} best demonstrations for {{serves}} of the {len(weak)} texts worst served so far"
    return explained(similarity, picked, votes, chosen=chosen, stage=STAGE, words=words)
