"""BM25 with the scores of ``rank_bm25.BM25Okapi`` (spec, "Words")."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from allabel_core.errors import MissingExtraError
from allabel_core.similarity.accelerate import Engine, default_threads, in_threads, kernels
from allabel_core.similarity.base import Neighbours
from allabel_core.similarity.bm25_index import Bm25Index, Bm25Parameters, Postings
from allabel_core.similarity.bm25_neighbours import compiled_neighbours, exact_neighbours
from allabel_core.similarity.bm25_update import carried_lists
from allabel_core.similarity.counts import TermCounts, chosen_rows, count_terms, joined_rows
from allabel_core.similarity.remembering import WIDTH, Lists
from allabel_core.similarity.tokenize import Tokenizer, tokenize
from allabel_core.similarity.topk import best_of_rows, no_neighbours, rounded
from allabel_core.types import BoolArray, FloatArray, IntArray

logger = logging.getLogger(__name__)

_BLOCK_VALUES = 4_000_000
# Loading the compiled kernels takes longer than the plain path does for fewer texts.
_COMPILED_FROM = 2_000
# A carried list with fewer texts than this is made anew: stages leave some of them out.
SHORTEST = 4


class Bm25:
    """S[q, d] = score of document d for query q; the index is built over ``texts``.

    A pool without a single token, where rank_bm25 divides by zero, scores 0 everywhere.

    :param tokenizer: text to tokens.
    :param k1: term frequency saturation.
    :param b: length normalisation.
    :param epsilon: floor of negative term weights, as a part of the average weight.
    :param engine: ``compiled`` (numba) or ``plain`` (numpy and scipy), which give the same; ``auto``
        takes compiled ones for large pools where numba is installed.
    :param threads: for the compiled engine; all processors by default.
    :raises MissingExtraError: if ``compiled`` is asked for and numba is not installed.
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
        engine: Engine = "auto",
        threads: int | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._parameters = Bm25Parameters(k1, b, epsilon)
        self.decimals = decimals
        self._compiled = _use_compiled(engine, len(texts))
        self._threads = default_threads() if threads is None else threads
        self._hold(count_terms(texts, tokenizer, kernels=self._kernels, threads=self._threads))

    def _hold(self, rows: TermCounts) -> None:
        self._vocabulary = rows.vocabulary
        self._index = Bm25Index.build(rows, self._parameters)

    def __getstate__(self) -> dict[str, Any]:
        """Without what follows from the index, so that other processes are sent no more than that."""
        derived = ("_postings", "_frequencies", "_impacts")
        return {name: value for name, value in self.__dict__.items() if name not in derived}

    def replaced(self, texts: Sequence[str], origin: IntArray) -> Bm25:
        """The same over ``texts``, of which only the new ones are tokenised.

        :param origin: (len(texts),) index that each text has in this pool, -1 for new texts.
        """
        kept, added = np.flatnonzero(origin >= 0), np.flatnonzero(origin < 0)
        index = self._index
        known = TermCounts(index.starts, index.terms, index.counts.astype(np.int32), self._vocabulary)
        new = count_terms(
            [texts[i] for i in added], self._tokenizer, known=self._vocabulary, kernels=self._kernels
        )
        rows = joined_rows(chosen_rows(known, origin[kept]), new)
        in_order = np.concatenate([kept, added])
        if (np.diff(in_order) < 0).any():
            rows = chosen_rows(rows, np.argsort(in_order))
        replaced = copy.copy(self)
        replaced.__dict__ = self.__getstate__()
        replaced._hold(rows)
        return replaced

    def carried_lists(self, old: Bm25, lists: Lists, origin: IntArray) -> Lists | None:
        """Neighbour lists of ``old`` brought up to date for this pool; None where that is no gain.

        :param origin: as for ``replaced``.
        """
        if self._kernels is None or not (self._positive and old._positive):
            return None
        added = np.flatnonzero(origin < 0)
        columns = in_threads(self.unrounded_column, added.tolist(), self._threads)
        carried = carried_lists(
            old._index,
            self._index,
            lists,
            origin=origin,
            new_columns=np.array(columns).reshape(len(added), len(self)),
            k1=self._parameters.k1,
            decimals=self.decimals,
            kernels=self._kernels,
            threads=self._threads,
        )
        short = np.flatnonzero(
            (carried.neighbours.indices[:, SHORTEST - 1] < 0) & (carried.left_out > -np.inf)
        )
        asked = self.neighbours(WIDTH, queries=short)
        for whole, piece in zip(carried.neighbours, asked, strict=True):
            whole[short] = piece
        carried.left_out[short] = asked.similarities[:, -1]
        logger.debug(
            "neighbour lists: %d new texts, %d of %d lists made anew", len(added), len(short), len(self)
        )
        return carried

    def __len__(self) -> int:
        return len(self._index)

    @property
    def _kernels(self) -> Any | None:
        return kernels() if self._compiled else None

    @property
    def _positive(self) -> bool:
        """Whether sums are free of cancellation, on which the bounds of fast paths rest."""
        return bool((self._index.term_weights >= 0).all())

    @cached_property
    def _postings(self) -> Postings:
        return self._index.postings(self._kernels)

    @cached_property
    def _frequencies(self) -> sparse.csr_array:
        return self._index.matrix(self._index.counts)

    @cached_property
    def _impacts(self) -> sparse.csr_array:
        return self._index.matrix(self._index.impacts)

    def scores(self, text: str) -> FloatArray:
        """(n,): S[text, .] for a text that need not be in the pool, rounded."""
        found = [self._vocabulary.get(token) for token in self._tokenizer(text)]
        known = np.array([term for term in found if term is not None], dtype=np.int64)
        total = np.zeros(len(self))
        pointers, documents, _, impacts = self._postings
        for term, count in zip(*np.unique(known, return_counts=True), strict=True):
            part = slice(pointers[term], pointers[term + 1])
            total[documents[part]] += count * impacts[part]
        return rounded(total, self.decimals)

    def mean_to_others(self) -> FloatArray:
        if len(self) < 2:
            return np.zeros(len(self))
        # Linear in the impacts: one product serves all queries.
        index = self._index
        of_terms = np.bincount(index.terms, weights=index.impacts, minlength=len(index.term_weights))
        totals = index.row_sums(index.counts * of_terms[index.terms])
        return rounded((totals - self._unrounded_self_similarity()) / (len(self) - 1), self.decimals)

    def column(self, d: int) -> FloatArray:
        return rounded(self.unrounded_column(d), self.decimals)

    def unrounded_column(self, d: int) -> FloatArray:
        """(n,): S[:, d]."""
        index = self._index
        if self._kernels is None:
            impacts = np.zeros(len(index.term_weights))
            part = slice(index.starts[d], index.starts[d + 1])
            impacts[index.terms[part]] = index.impacts[part]
            product: FloatArray = self._frequencies @ impacts
            return product
        total = np.zeros(len(self))
        pointers, documents, counts, _ = self._postings
        self._kernels.add_column(
            index.starts, index.terms, index.impacts, pointers, documents, counts, d, total
        )
        return total

    def block(self, queries: IntArray, documents: IntArray | None = None) -> FloatArray:
        impacts = self._impacts if documents is None else self._impacts[documents]
        return rounded((self._frequencies[queries] @ impacts.T).toarray(), self.decimals)

    def self_similarity(self) -> FloatArray:
        return rounded(self._unrounded_self_similarity(), self.decimals)

    def neighbours(
        self, k: int, *, queries: IntArray | None = None, candidates: BoolArray | None = None
    ) -> Neighbours:
        queries = np.arange(len(self)) if queries is None else queries
        candidates = np.ones(len(self), dtype=np.bool_) if candidates is None else candidates
        if self._kernels is None:
            return self._plain_neighbours(k, queries, np.flatnonzero(candidates))
        if not self._positive:
            return exact_neighbours(
                self._index,
                self._postings,
                k,
                queries=queries,
                candidates=candidates,
                decimals=self.decimals,
                kernels=self._kernels,
            )
        return compiled_neighbours(
            self._index,
            self._postings,
            k,
            queries=queries,
            candidates=candidates,
            decimals=self.decimals,
            kernels=self._kernels,
            threads=self._threads,
        )

    def _plain_neighbours(self, k: int, queries: IntArray, documents: IntArray) -> Neighbours:
        impacts = self._impacts[documents].T.tocsr()
        found = no_neighbours(len(queries), k)
        step = max(1, _BLOCK_VALUES // max(1, len(documents)))
        for start in range(0, len(queries), step):
            part = queries[start : start + step]
            rows = (self._frequencies[part] @ impacts).toarray()
            best = best_of_rows(rows, k, queries=part, documents=documents, decimals=self.decimals)
            for whole, piece in zip(found, best, strict=True):
                whole[start : start + step] = piece
        return found

    def _unrounded_self_similarity(self) -> FloatArray:
        return self._index.row_sums(self._index.counts * self._index.impacts)


def _use_compiled(engine: Engine, texts: int) -> bool:
    if engine == "plain" or (engine == "auto" and texts < _COMPILED_FROM):
        return False
    if kernels() is None:
        if engine == "compiled":
            raise MissingExtraError("numba is not installed: pip install 'allabel[fast]'")
        logger.info("numba is not installed: %d texts are compared by the slower plain path", texts)
        return False
    return True
