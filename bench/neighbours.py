"""The neighbour stage: every text's 3 most similar others by BM25, ours beside its peers.

All contenders get rank_bm25's term weights and the same queries; tokenising and building an index
are not counted here (``bench.whole`` counts everything).
"""

from __future__ import annotations

from collections.abc import Callable

import bm25s
import numpy as np
from rank_bm25 import BM25Okapi
from scipy import sparse
from sparse_dot_topn import sp_matmul_topn

from allabel_core import Bm25
from allabel_core.similarity.tokenize import tokenize

K = 3
SAMPLED = 10


def contenders(texts: list[str], queries: np.ndarray, threads: int) -> dict[str, Callable[[], float]]:
    """Name -> a call that answers ``queries`` and returns what its time must be multiplied by."""
    ours = Bm25(texts, engine="compiled", threads=threads)
    index = ours._index
    impacts = index.matrix(index.impacts)
    counts = index.matrix(index.counts)
    asked = counts[queries]
    return {
        "allabel": lambda: _whole(lambda: ours.neighbours(K, queries=queries)),
        "bm25s, numba": _bm25s(impacts, asked, threads),
        "sparse_dot_topn": _sparse_dot_topn(impacts, asked, threads),
        "rank_bm25 (sampled)": _rank_bm25(texts, queries),
    }


def _whole(call: Callable[[], object]) -> float:
    call()
    return 1.0


def _bm25s(impacts: sparse.csr_array, asked: sparse.csr_array, threads: int) -> Callable[[], float]:
    by_term = impacts.tocsc()
    searcher = bm25s.BM25(backend="numba", dtype="float64")
    searcher.scores = {
        "data": by_term.data,
        "indices": by_term.indices,
        "indptr": by_term.indptr,
        "num_docs": impacts.shape[0],
    }
    searcher.nonoccurrence_array = None
    searcher.vocab_dict = {"": impacts.shape[1]}
    searcher.unique_token_ids_set = set(range(impacts.shape[1]))
    tokens = np.repeat(asked.indices, asked.data.astype(np.int64))
    ends = np.cumsum(asked.sum(axis=1).astype(np.int64))
    questions = [part.tolist() for part in np.split(tokens, ends[:-1])]
    options = {"k": K + 1, "n_threads": threads, "show_progress": False}
    return lambda: _whole(lambda: searcher.retrieve(questions, **options))


def _sparse_dot_topn(impacts: sparse.csr_array, asked: sparse.csr_array, threads: int) -> Callable[[], float]:
    left, right = sparse.csr_matrix(asked.astype(np.float64)), sparse.csr_matrix(impacts.T.tocsr())
    return lambda: _whole(lambda: sp_matmul_topn(left, right, top_n=K + 1, n_threads=threads))


def _rank_bm25(texts: list[str], queries: np.ndarray) -> Callable[[], float]:
    tokens = [tokenize(text) for text in texts]
    index = BM25Okapi(tokens)

    def sampled() -> float:
        for query in queries[:SAMPLED]:
            scores = index.get_scores(tokens[query])
            np.argpartition(scores, -K - 1)
        return len(queries) / SAMPLED

    return sampled
