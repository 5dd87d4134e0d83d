"""A naive O(N^2) reading of the method, line by line, that the fast code must equal pick by pick.

Plain loops over a full matrix of ``rank_bm25.BM25Okapi.get_scores``; nothing is shared with
``allabel_core`` but the shape of an answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from rank_bm25 import BM25Okapi

from allabel_core.similarity import Neighbours


def bm25_matrix(texts: Sequence[str]) -> list[list[float]]:
    """S[q][d] unrounded; all 0 where no text has a token, which BM25Okapi cannot index."""
    tokens = [re.findall(r"\w+", text.lower()) for text in texts]
    if not any(tokens):
        return [[0.0] * len(texts) for _ in texts]
    index = BM25Okapi(tokens)
    return [index.get_scores(query).tolist() for query in tokens]


def cosine_matrix(vectors: np.ndarray) -> list[list[float]]:
    """S[q][d] unrounded, one pair at a time; 0 where a vector is all 0."""
    rows = [np.asarray(vector, dtype=np.float64) for vector in vectors]
    matrix = []
    for a in rows:
        lengths = [float(np.sqrt(a @ a) * np.sqrt(b @ b)) for b in rows]
        matrix.append(
            [float(a @ b) / length if length else 0.0 for b, length in zip(rows, lengths, strict=True)]
        )
    return matrix


def quotas(budget: int) -> tuple[int, int, int]:
    """div, sim, unc of a budget that the pool can fill."""
    if budget == 0:
        return 0, 0, 0
    div = max(1, round(budget / 5))
    unc = 0 if budget == 1 else round(budget / 5)
    return div, budget - div - unc, unc


def queue(
    matrix: list[list[float]],
    budget: int,
    *,
    decimals: int,
    k: int = 3,
    annotated: Sequence[int] = (),
    weak_against: str = "corpus",
) -> tuple[list[int], list[str]]:
    """The ordered queue and the stage of each text in it."""
    n = len(matrix)
    div, sim, unc = quotas(min(budget, n))
    order = list(annotated)
    stages = ["annotated"] * len(order)

    def similarity(q: int, d: int) -> float:
        return round(matrix[q][d], decimals)

    while len(order) < div:
        unchosen = [q for q in range(n) if q not in order]
        if order:
            key = {q: max(similarity(q, d) for d in order) for q in unchosen}
        else:
            key = {q: _mean_to_others(matrix, q, decimals) for q in unchosen}
        order.append(min(unchosen, key=lambda q: (key[q], q)))
        stages.append("diversity")

    first = order[:div]
    candidates = [d for d in range(n) if d not in first]
    for d in _by_votes(matrix, range(n), candidates, k, decimals):
        if len(order) < div + sim and d not in order:
            order.append(d)
            stages.append("similarity")

    second = order[: div + sim]
    corpus = second if weak_against == "corpus" else first
    unchosen = [q for q in range(n) if q not in second]
    best = {q: max((similarity(q, d) for d in corpus), default=-np.inf) for q in unchosen}
    weak = sorted(unchosen, key=lambda q: (best[q], q))[:unc]
    for d in _by_votes(matrix, weak, unchosen, k, decimals):
        if len(order) < div + sim + unc and d not in order:
            order.append(d)
            stages.append("uncertainty")
    return order, stages


def _mean_to_others(matrix: list[list[float]], q: int, decimals: int) -> float:
    others = [matrix[q][d] for d in range(len(matrix)) if d != q]
    return round(sum(others) / len(others), decimals) if others else 0.0


def _by_votes(
    matrix: list[list[float]], queries: Sequence[int], candidates: Sequence[int], k: int, decimals: int
) -> list[int]:
    count = dict.fromkeys(candidates, 0)
    total = dict.fromkeys(candidates, 0.0)
    for q in queries:
        others = [d for d in candidates if d != q]
        for d in sorted(others, key=lambda d: (-round(matrix[q][d], decimals), d))[:k]:
            count[d] += 1
            total[d] += matrix[q][d]
    return sorted(candidates, key=lambda d: (-count[d], -round(total[d], decimals), d))


class MatrixSimilarity:
    """A ``Similarity`` read off a full matrix, for examples that can be solved by hand."""

    def __init__(self, matrix: Sequence[Sequence[float]], decimals: int = 9) -> None:
        self.matrix = np.array(matrix, dtype=np.float64)
        self.decimals = decimals

    def __len__(self) -> int:
        return len(self.matrix)

    def mean_to_others(self) -> np.ndarray:
        return np.array([_mean_to_others(self.matrix.tolist(), q, self.decimals) for q in range(len(self))])

    def column(self, d: int) -> np.ndarray:
        return self.matrix[:, d].round(self.decimals)

    def block(self, queries: np.ndarray, documents: np.ndarray | None = None) -> np.ndarray:
        rows = self.matrix[queries].round(self.decimals)
        return rows if documents is None else rows[:, documents]

    def self_similarity(self) -> np.ndarray:
        return self.matrix.diagonal().round(self.decimals)

    def neighbours(
        self, k: int, *, queries: np.ndarray | None = None, candidates: np.ndarray | None = None
    ) -> Neighbours:
        queries = np.arange(len(self)) if queries is None else queries
        allowed = np.arange(len(self)) if candidates is None else np.flatnonzero(candidates)
        indices = np.full((len(queries), k), -1)
        similarities, unrounded = np.full((len(queries), k), -np.inf), np.zeros((len(queries), k))
        for row, q in enumerate(queries):
            others = [d for d in allowed if d != q]
            best = sorted(others, key=lambda d: (-round(self.matrix[q, d], self.decimals), d))[:k]
            indices[row, : len(best)] = best
            similarities[row, : len(best)] = self.matrix[q, best].round(self.decimals)
            unrounded[row, : len(best)] = self.matrix[q, best]
        return Neighbours(indices, similarities, unrounded)
