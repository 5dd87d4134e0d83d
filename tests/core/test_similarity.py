"""BM25 equals rank_bm25, cosine equals the plain formula, through every method of the protocol."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from allabel_core import Bm25, Embeddings, InvalidInputError

WORDS = st.sampled_from(["a", "b", "c", "d", "e", "f", "rare", "É", "1", "..."])
POOLS = st.lists(st.lists(WORDS, max_size=6).map(" ".join), min_size=1, max_size=12)
SETTINGS = settings(max_examples=100, deadline=None)


def check_against(similarity, matrix, decimals, k, queries, candidates):
    n = len(matrix)
    reference = oracle.MatrixSimilarity(matrix, decimals)
    np.testing.assert_allclose(
        similarity.mean_to_others(), reference.mean_to_others(), atol=2 * 10**-decimals
    )
    np.testing.assert_array_equal(similarity.self_similarity(), reference.self_similarity())
    np.testing.assert_array_equal(similarity.block(queries), reference.block(queries))
    documents = np.flatnonzero(candidates)
    np.testing.assert_array_equal(similarity.block(queries, documents), reference.block(queries, documents))
    for d in range(n):
        np.testing.assert_array_equal(similarity.column(d), reference.column(d))
    found = similarity.neighbours(k, queries=queries, candidates=candidates)
    expected = reference.neighbours(k, queries=queries, candidates=candidates)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.similarities, expected.similarities)
    np.testing.assert_allclose(found.unrounded, expected.unrounded, atol=1e-12)


@SETTINGS
@given(POOLS, st.integers(1, 5), st.data())
def test_bm25_is_rank_bm25(texts, k, data):
    indices = st.integers(0, len(texts) - 1)
    queries = np.array(data.draw(st.lists(indices, max_size=5)), dtype=np.int64)
    candidates = np.zeros(len(texts), dtype=np.bool_)
    candidates[data.draw(st.lists(indices, max_size=9))] = True
    check_against(Bm25(texts), np.array(oracle.bm25_matrix(texts)), 9, k, queries, candidates)


@SETTINGS
@given(st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=1, max_size=12), st.integers(1, 5), st.data())
def test_cosine_is_the_plain_formula(vectors, k, data):
    indices = st.integers(0, len(vectors) - 1)
    queries = np.array(data.draw(st.lists(indices, max_size=5)), dtype=np.int64)
    candidates = np.zeros(len(vectors), dtype=np.bool_)
    candidates[data.draw(st.lists(indices, max_size=9))] = True
    matrix = np.array(oracle.cosine_matrix(np.array(vectors)))
    check_against(Embeddings(vectors), matrix, 6, k, queries, candidates)


@SETTINGS
@given(POOLS, st.lists(st.sampled_from(["a", "b", "rare", "unseen", "?"]), max_size=6).map(" ".join))
def test_scores_of_a_text_outside_the_pool_are_get_scores(texts, question):
    tokens = [text.lower().replace("...", "").split() for text in texts]
    expected = np.zeros(len(texts))
    if any(tokens):
        expected = BM25Okapi(tokens).get_scores(question.replace("?", "").split())
    np.testing.assert_array_equal(Bm25(texts).scores(question), expected.round(9))


def test_parameters_are_those_of_rank_bm25():
    texts = ["a b b", "b c", "c c c d", "b"]
    index = BM25Okapi([text.split() for text in texts], k1=0.9, b=0.3, epsilon=0.5)
    similarity = Bm25(texts, k1=0.9, b=0.3, epsilon=0.5)
    np.testing.assert_array_equal(similarity.scores("b c c"), index.get_scores(["b", "c", "c"]).round(9))


def test_scores_of_a_vector_outside_the_pool():
    similarity = Embeddings([[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    assert similarity.scores([0.0, 2.0]).tolist() == [0.0, 0.8, 0.0]


def test_pools_without_a_token_score_0():
    similarity = Bm25(["", "..."])
    assert similarity.scores("a").tolist() == [0, 0]
    assert similarity.mean_to_others().tolist() == [0, 0]
    assert len(Bm25([])) == 0
    assert Bm25([]).neighbours(3).indices.shape == (0, 3)


@pytest.mark.parametrize("vectors", [[1.0, 2.0], [[np.nan]]])
def test_vectors_must_be_a_finite_matrix(vectors):
    with pytest.raises(InvalidInputError, match="finite matrix"):
        Embeddings(vectors)
