"""Stage 3: texts that serve the pool's weak points (spec, "Stage 3")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from allabel_core.selection.datatypes import Pick
from allabel_core.selection.sumrank import count_votes, explained
from allabel_core.similarity.base import Similarity
from allabel_core.types import BoolArray, FloatArray, IntArray

STAGE = "uncertainty"


@runtime_checkable
class FindsWorstServed(Similarity, Protocol):
    """A similarity that need not look up every query's best to know which are the worst."""

    def worst_served(self, count: int, queries: IntArray, candidates: BoolArray) -> IntArray:
        """The ``count`` queries whose most similar candidate is least similar, worst first, ties by the
        earlier query."""


def weak_points(
    similarity: Similarity,
    count: int,
    *,
    corpus: Sequence[int],
    among: BoolArray,
    weakness: FloatArray | None = None,
    combine_weakness: bool = False,
) -> IntArray:
    """The ``count`` weakest texts of ``among``, weakest first.

    Weak is a text whose best demonstration in ``corpus`` is bad; where ``weakness`` (n,) is given, one
    for which it is high; combined, one for which the sum of both ranks is low. Ties: lower index.
    """
    queries = np.flatnonzero(among)
    if weakness is not None and not combine_weakness:
        return queries[np.argsort(-weakness[queries], kind="stable")[:count]]
    in_corpus = np.zeros(len(similarity), dtype=np.bool_)
    in_corpus[list(corpus)] = True
    if weakness is None and isinstance(similarity, FindsWorstServed):
        return similarity.worst_served(count, queries, in_corpus)
    best = similarity.neighbours(1, queries=queries, candidates=in_corpus).similarities[:, 0]
    order = best if weakness is None else _ranks(best) + _ranks(-weakness[queries])
    return queries[np.argsort(order, kind="stable")[:count]]


def _ranks(values: FloatArray) -> FloatArray:
    """(n,): how many values are lower; equal ones share a rank."""
    return np.searchsorted(np.sort(values), values, side="left").astype(np.float64)


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
    weakness: FloatArray | None = None,
    combine_weakness: bool = False,
) -> list[Pick]:
    """The ``count`` texts that best serve the ``quota`` weak points and are not chosen yet.

    ``earlier`` are the texts of stages 1 and 2, ``corpus`` those against which weakness is
    measured; ``chosen`` also holds what this stage has picked already; ``weakness`` as in ``weak_points``.
    """
    available = eligible.copy()
    available[list(chosen)] = False
    if count <= 0 or not available.any():
        return []
    unchosen = np.ones(len(similarity), dtype=np.bool_)
    unchosen[list(earlier)] = False
    weak = weak_points(
        similarity,
        quota,
        corpus=corpus,
        among=unchosen,
        weakness=weakness,
        combine_weakness=combine_weakness,
    )
    candidates = eligible.copy()
    candidates[list(chosen)] = True
    candidates &= unchosen
    votes = count_votes(similarity, k, queries=weak, candidates=candidates)
    picked = votes.ranking(available, count)
    kind = "weakest texts" if combine_weakness else "texts that the model is least sure of"
    if weakness is None:
        kind = "texts worst served so far"
    words = f"among the {k} best examples for {{serves}} of the {len(weak)} {kind}"
    return explained(similarity, picked, votes, chosen=chosen, stage=STAGE, words=words)
