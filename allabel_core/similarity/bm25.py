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
from allabel_core.similarity.accelerate import Engine, default_threads, kernels
from allabel_core.similarity.base import Floor, Neighbours
from allabel_core.similarity.bm25_closest import LazilyClosestChosen
from allabel_core.similarity.bm25_index import Bm25Index, Bm25Parameters, Postings
from allabel_core.similarity.bm25_neighbours import compiled_neighbours, exact_neighbours
from allabel_core.similarity.bm25_update import Update
from allabel_core.similarity.counts import TermCounts, chosen_rows, count_terms, joined_rows
from allabel_core.similarity.nearest import nearest_by_blocks
from allabel_core.similarity.remembering import MOST_UNKNOWN, Lists, Memory, first_listed
from allabel_core.similarity.tokenize import Tokenizer, tokenize
from allabel_core.similarity.topk import best_of_rows, no_neighbours, rounded
from allabel_core.types import BoolArray, FloatArray, IntArray

logger = logging.getLogger(__name__)

_BLOCK_VALUES = 4_000_000
# Loading the compiled kernels takes longer than the plain path does for fewer texts.
_COMPILED_FROM = 2_000


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
        self._columns_by_rows = 0
        self._hold(count_terms(texts, tokenizer, kernels=self._kernels, threads=self._threads))

    def _hold(self, rows: TermCounts) -> None:
        self._rows = rows
        self._index = Bm25Index.build(rows, self._parameters, self._kernels)

    def __getstate__(self) -> dict[str, Any]:
        """Without what follows from the index, so that other processes are sent no more than that."""
        derived = ("_postings", "_frequencies", "_impacts")
        return {name: value for name, value in self.__dict__.items() if name not in derived}

    def replaced(self, texts: Sequence[str], origin: IntArray) -> Bm25:
        """The same over ``texts``, of which only the new ones are tokenised; the vocabulary is shared.

        :param origin: (len(texts),) index that each text has in this pool, -1 for new texts.
        """
        kept, added = np.flatnonzero(origin >= 0), np.flatnonzero(origin < 0)
        vocabulary = self._rows.vocabulary
        new = count_terms([texts[i] for i in added], self._tokenizer, known=vocabulary, kernels=self._kernels)
        rows = joined_rows(chosen_rows(self._rows, origin[kept]), new)
        in_order = np.concatenate([kept, added])
        if (np.diff(in_order) < 0).any():
            rows = chosen_rows(rows, np.argsort(in_order))
        replaced = copy.copy(self)
        replaced.__dict__ = self.__getstate__()
        replaced._hold(rows)
        # Turning the rows round, for quicker columns, takes as long as a dozen slow ones.
        replaced._columns_by_rows = MOST_UNKNOWN
        return replaced

    def carried(self, old: Bm25, memory: Memory, origin: IntArray) -> Memory:
        """What was remembered of ``old`` brought up to date for this pool; nothing where that is no gain.

        :param origin: as for ``replaced``.
        """
        if self._kernels is None or not (self._positive and old._positive):
            return Memory.empty(len(self))
        update = Update(old._index, self._index, origin, self._parameters.k1, self.decimals, self._kernels)
        return update.carried(memory)

    def first_listed(
        self, lists: Lists, k: int, queries: IntArray, candidates: BoolArray
    ) -> tuple[Neighbours, BoolArray]:
        """The first k listed candidates, and for which queries no other belongs among them.

        Scores stale ones that may be an answer, and leaves them in ``lists`` scored.
        """
        if self._kernels is None:
            return first_listed(lists, k, queries, candidates)
        found, complete = no_neighbours(len(queries), k), np.zeros(len(queries), dtype=np.bool_)
        self._kernels.first_listed(
            *self._index.scored,
            *lists.neighbours,
            lists.stale,
            lists.left_out,
            queries,
            candidates,
            10.0**self.decimals,
            *found,
            complete,
        )
        return found, complete

    def lazily_closest(self, floor: Floor) -> LazilyClosestChosen | None:
        """See ``Rememberable``; None without the compiled kernels."""
        if self._kernels is None:
            return None
        return LazilyClosestChosen(self._index, floor, self.decimals, self._kernels)

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
        found = [self._rows.vocabulary.get(token) for token in self._tokenizer(text)]
        size = len(self._index.term_weights)
        known = np.array([term for term in found if term is not None and term < size], dtype=np.int64)
        total = np.zeros(len(self))
        pointers, documents, _, impacts = self._postings
        for term, count in zip(*np.unique(known, return_counts=True), strict=True):
            part = slice(pointers[term], pointers[term + 1])
            total[documents[part]] += count * impacts[part]
        return rounded(total, self.decimals)

    def mean_to_others(self) -> FloatArray:
        n = len(self)
        if n < 2:
            return np.zeros(n)
        index = self._index
        if self._kernels is None:
            # Linear in the impacts: one product serves all queries.
            of_terms = np.bincount(index.terms, weights=index.impacts, minlength=len(index.term_weights))
            totals = index.row_sums(index.counts * (of_terms[index.terms] - index.impacts))
        else:
            totals = np.empty(n)
            self._kernels.scores_to_others(*index.scored, totals)
        return rounded(totals / (n - 1), self.decimals)

    def column(self, d: int) -> FloatArray:
        index = self._index
        if self._kernels is None:
            impacts = np.zeros(len(index.term_weights))
            part = slice(index.starts[d], index.starts[d + 1])
            impacts[index.terms[part]] = index.impacts[part]
            return rounded(self._frequencies @ impacts, self.decimals)
        total = np.zeros(len(self))
        if self._columns_by_rows > 0:
            self._columns_by_rows -= 1
            self._kernels.column_by_rows(*index.scored, d, total)
        else:
            pointers, documents, counts, _ = self._postings
            self._kernels.add_column(
                index.starts, index.terms, index.impacts, pointers, documents, counts, d, total
            )
        return rounded(total, self.decimals)

    def block(self, queries: IntArray, documents: IntArray | None = None) -> FloatArray:
        if self._kernels is not None and documents is not None:
            scores = np.zeros((len(queries), len(documents)))
            self._kernels.score_block(*self._index.scored, queries, documents, scores)
            return rounded(scores, self.decimals)
        impacts = self._impacts if documents is None else self._impacts[documents]
        return rounded((self._frequencies[queries] @ impacts.T).toarray(), self.decimals)

    def nearest_before(self, texts: IntArray, first: int) -> tuple[IntArray, FloatArray]:
        """See ``FindsNearest``."""
        if self._kernels is None:
            return nearest_by_blocks(self, texts, first)
        later = len(texts) - first
        nearest, similarities = np.full(later, -1, dtype=np.int64), np.empty(later)
        scale = 10.0**self.decimals
        self._kernels.nearest_before(*self._index.scored, texts, first, scale, nearest, similarities)
        return nearest, similarities

    def self_similarity(self) -> FloatArray:
        index = self._index
        return rounded(index.row_sums(index.counts * index.impacts), self.decimals)

    def neighbours(
        self, k: int, *, queries: IntArray | None = None, candidates: BoolArray | None = None
    ) -> Neighbours:
        queries = np.arange(len(self)) if queries is None else queries
        candidates = np.ones(len(self), dtype=np.bool_) if candidates is None else candidates
        if self._kernels is None:
            return self._plain_neighbours(k, queries, np.flatnonzero(candidates))

        def exact(part: IntArray) -> Neighbours:
            return exact_neighbours(
                self._index,
                self._postings,
                k,
                queries=part,
                candidates=candidates,
                decimals=self.decimals,
                kernels=self._kernels,
            )

        if not self._positive:
            return exact(queries)
        return compiled_neighbours(
            self._index,
            k,
            queries=queries,
            candidates=candidates,
            decimals=self.decimals,
            kernels=self._kernels,
            threads=self._threads,
            exact=exact,
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


def _use_compiled(engine: Engine, texts: int) -> bool:
    if engine == "plain" or (engine == "auto" and texts < _COMPILED_FROM):
        return False
    if kernels() is None:
        if engine == "compiled":
            raise MissingExtraError("numba is not installed: pip install 'allabel[fast]'")
        logger.info("numba is not installed: %d texts are compared by the slower plain path", texts)
        return False
    return True
