"""Sumrank: texts voted for by the queries that they serve best (spec, "Stage 2")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from allabel_core.selection.datatypes import Pick
from allabel_core.similarity.base import Similarity
from allabel_core.similarity.nearest import nearest_before
from allabel_core.types import BoolArray, FloatArray, IntArray, Reason

STAGE = "similarity"


@dataclass(frozen=True, slots=True)
class Votes:
    """``counts``: (n,) how many queries have the text among their k best candidates;
    ``similarity_sums``: (n,) sum of the similarities that earned the count, rounded."""

    counts: IntArray
    similarity_sums: FloatArray

    def ranking(self, eligible: BoolArray, count: int) -> IntArray:
        """The first ``count`` eligible texts, best first: higher count, then higher sum, then lower index."""
        texts = np.flatnonzero(eligible)
        if 0 < count < len(texts):
            counts = self.counts[texts]
            texts = texts[counts >= np.sort(counts)[-count]]
        best_first = np.lexsort((texts, -self.similarity_sums[texts], -self.counts[texts]))
        ranked: IntArray = texts[best_first][:count]
        return ranked


def count_votes(
    similarity: Similarity, k: int, *, candidates: BoolArray, queries: IntArray | None = None
) -> Votes:
    """Every query, all texts by default, votes for its k best candidates, itself excluded."""
    found = similarity.neighbours(k, queries=queries, candidates=candidates)
    voted = found.indices >= 0
    n = len(similarity)
    indices = found.indices[voted]
    sums = np.bincount(indices, weights=found.unrounded[voted], minlength=n)
    return Votes(np.bincount(indices, minlength=n), np.round(sums, similarity.decimals))


def pick_central(
    similarity: Similarity,
    count: int,
    *,
    k: int,
    core: Sequence[int],
    chosen: Sequence[int],
    eligible: BoolArray,
) -> list[Pick]:
    """The ``count`` best-voted texts outside the core-set ``core`` that are not chosen yet."""
    available = eligible.copy()
    available[list(chosen)] = False
    if count <= 0 or not available.any():
        return []
    candidates = eligible.copy()
    candidates[list(chosen)] = True
    candidates[list(core)] = False
    votes = count_votes(similarity, k, candidates=candidates)
    picked = votes.ranking(available, count)
    words = f"among the {k} best examples for {{serves}} texts"
    return explained(similarity, picked, votes, chosen=chosen, stage=STAGE, words=words)


def explained(
    similarity: Similarity, picked: IntArray, votes: Votes, *, chosen: Sequence[int], stage: str, words: str
) -> list[Pick]:
    """Picks with reasons; ``words`` may contain ``{serves}``, the number of votes."""
    texts = np.concatenate([np.asarray(chosen, dtype=np.int64), picked])
    found = (picked, votes.counts[picked], votes.similarity_sums[picked])
    picks = []
    for index, serves, score, nearest, closeness in zip(
        *(values.tolist() for values in (*found, *nearest_before(similarity, texts, len(chosen)))),
        strict=True,
    ):
        reason = Reason(
            words=words.format(serves=serves),
            score=score,
            serves=serves,
            nearest=nearest if nearest >= 0 else None,
            similarity=closeness if nearest >= 0 else None,
        )
        picks.append(Pick(index, stage, reason))
    return picks
