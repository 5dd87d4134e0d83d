"""BM25 with the scores of ``rank_bm25.BM25Okapi`` (spec, "Words")."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from allabel_core.similarity.base import Neighbours
from allabel_core.similarity.counts import TermCounts, count_terms
from allabel_core.similarity.tokenize import Tokenizer, tokenize
from allabel_core.similarity.topk import best_of_rows, no_neighbours, rounded
from allabel_core.types import BoolArray, FloatArray, IntArray

_BLOCK_VALUES = 4_000_000


class Bm25:
    """S[q, d] = score of document d for query q; the index is built over ``texts``.

    A pool without a single token, where rank_bm25 divides by zero, scores 0 everywhere.

    :param tokenizer: text to tokens.
    :param k1: term frequency saturation.
    :param b: length normalisation.
    :param epsilon: floor of negative term weights, as a part of the average weight.
    """

    def __init__(
        self,
        texts: Sequence[str],
        tokenizer: Tokenizer = tokenize,
        *,
        k1: float = 1.5,
        b: float = 0.75,
        epsilon: float = 0.25,
        decimals: int = 9,
    ) -> None:
        self.decimals = decimals
        self._tokenizer = tokenizer
        self._n = len(texts)
        self._terms = count_terms(texts, tokenizer)
        shape = (self._n, len(self._terms.vocabulary))
        counts = self._terms.counts.astype(np.float64)
        self._frequencies = sparse.csr_array((counts, self._terms.terms, self._terms.starts), shape=shape)
        lengths = self._terms.lengths()
        weights = _term_weights(self._terms, self._n, epsilon)
        saturation = k1 * (1 - b + b * lengths / max(lengths.mean(), 1e-300)) if self._n else lengths
        row_lengths = np.diff(self._terms.starts)
        impacts = weights[self._terms.terms] * (
            counts * (k1 + 1) / (counts + np.repeat(saturation, row_lengths))
        )
        # (term, text): what one occurrence of the term in a query adds to the text's score.
        self._impacts = sparse.csr_array(
            (impacts, self._terms.terms, self._terms.starts), shape=shape
        ).T.tocsr()

    def __len__(self) -> int:
        return self._n

    def scores(self, text: str) -> FloatArray:
        """(n,): S[text, .] for a text that need not be in the pool, rounded."""
        found = [self._terms.vocabulary.get(token) for token in self._tokenizer(text)]
        terms, counts = np.unique([term for term in found if term is not None], return_counts=True)
        total = np.zeros(self._n)
        for term, count in zip(terms.astype(np.int64), counts, strict=True):
            start, end = self._impacts.indptr[term : term + 2]
            total[self._impacts.indices[start:end]] += count * self._impacts.data[start:end]
        return rounded(total, self.decimals)

    def mean_to_others(self) -> FloatArray:
        if self._n < 2:
            return np.zeros(self._n)
        # Linear in the impacts: one product serves all queries.
        totals = self._frequencies @ self._impacts.sum(axis=1)
        return rounded((totals - self._unrounded_self_similarity()) / (self._n - 1), self.decimals)

    def column(self, d: int) -> FloatArray:
        return rounded(self._frequencies @ self._impacts[:, [d]].toarray()[:, 0], self.decimals)

    def block(self, queries: IntArray, documents: IntArray | None = None) -> FloatArray:
        return rounded(self._rows(queries, documents), self.decimals)

    def self_similarity(self) -> FloatArray:
        return rounded(self._unrounded_self_similarity(), self.decimals)

    def neighbours(
        self, k: int, *, queries: IntArray | None = None, candidates: BoolArray | None = None
    ) -> Neighbours:
        queries = np.arange(self._n) if queries is None else queries
        documents = np.arange(self._n) if candidates is None else np.flatnonzero(candidates)
        found = no_neighbours(len(queries), k)
        step = max(1, _BLOCK_VALUES // max(1, len(documents)))
        for start in range(0, len(queries), step):
            part = queries[start : start + step]
            rows = self._rows(part, documents)
            best = best_of_rows(rows, k, queries=part, documents=documents, decimals=self.decimals)
            for whole, piece in zip(found, best, strict=True):
                whole[start : start + step] = piece
        return found

    def _rows(self, queries: IntArray, documents: IntArray | None) -> FloatArray:
        impacts = self._impacts if documents is None else self._impacts[:, documents]
        rows: FloatArray = (self._frequencies[queries] @ impacts).toarray()
        return rows

    def _unrounded_self_similarity(self) -> FloatArray:
        own = self._frequencies.multiply(self._impacts.T.tocsr()).sum(axis=1)
        return np.asarray(own, dtype=np.float64).ravel()


def _term_weights(terms: TermCounts, n: int, epsilon: float) -> FloatArray:
    """(terms,) inverse document frequencies; negative ones become ``epsilon`` x the average."""
    documents = np.bincount(terms.terms, minlength=len(terms.vocabulary))
    weights: FloatArray = np.log(n - documents + 0.5) - np.log(documents + 0.5)
    if len(weights):
        weights[weights < 0] = epsilon * weights.mean()
    return weights
