"""The ``Similarity`` protocol over a plain matrix, for hand-made values."""

from __future__ import annotations

import numpy as np

from allabel_core.similarity.base import Neighbours


class Dense:
    """S given as an (n, n) array; row q, column d."""

    def __init__(self, matrix, decimals=9):
        self.decimals = decimals
        self.matrix = np.round(np.array(matrix, dtype=np.float64), decimals)

    def __len__(self):
        return len(self.matrix)

    def mean_to_others(self):
        n = len(self)
        if n < 2:
            return np.zeros(n)
        return np.round((self.matrix.sum(axis=1) - np.diag(self.matrix)) / (n - 1), self.decimals)

    def column(self, d):
        return self.matrix[:, d].copy()

    def block(self, queries, documents=None):
        rows = self.matrix[queries]
        return rows if documents is None else rows[:, documents]

    def self_similarity(self):
        return np.diag(self.matrix).copy()

    def neighbours(self, k, *, queries=None, candidates=None):
        n = len(self)
        queries = np.arange(n) if queries is None else queries
        indices = np.full((len(queries), k), -1, dtype=np.int64)
        similarities = np.full((len(queries), k), -np.inf)
        for row, q in enumerate(queries):
            others = [d for d in range(n) if d != q and (candidates is None or candidates[d])]
            best = sorted(others, key=lambda d: (-self.matrix[q, d], d))[:k]
            indices[row, : len(best)] = best
            similarities[row, : len(best)] = self.matrix[q, best]
        return Neighbours(indices, similarities, np.where(np.isfinite(similarities), similarities, 0.0))


def grid_matrix(numbers, n):
    """(n, n) from a list of whole numbers, repeated as needed: few distinct values, hence many ties."""
    return np.resize(np.array(numbers, dtype=np.float64), (n, n)) / 4
