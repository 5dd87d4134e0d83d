"""BM25 equals rank_bm25, cosine equals the plain formula, through every method of the protocol."""

from __future__ import annotations

import re
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

import oracle
from allabel_core import Bm25, Embeddings, InvalidInputError, MissingExtraError, select
from allabel_core.similarity import bm25, bm25_neighbours, counts
from allabel_core.similarity.accelerate import kernels
from allabel_core.similarity.counts import count_terms
from allabel_core.similarity.tokenize import tokenize

WORDS = st.sampled_from(["a", "b", "c", "d", "e", "f", "rare", "É", "1", "..."])
POOLS = st.lists(st.lists(WORDS, max_size=6).map(" ".join), min_size=1, max_size=12)
SETTINGS = settings(max_examples=50, deadline=None)


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


@contextmanager
def small_blocks(spare):
    """Many tiles, many blocks and few spare candidates, so that small pools meet every path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bm25_neighbours, "_TILE", 4)
        patch.setattr(bm25_neighbours, "_QUERIES_AT_ONCE", 2)
        patch.setattr(bm25_neighbours, "SPARE", spare)
        patch.setattr(counts, "_TEXTS_AT_ONCE", 3)
        patch.setattr(bm25, "_BLOCK_VALUES", 10)
        yield


@pytest.mark.parametrize("engine", ["plain", "compiled"])
@SETTINGS
@given(POOLS, st.integers(1, 5), st.integers(0, 2), st.data())
def test_bm25_is_rank_bm25(engine, texts, k, spare, data):
    indices = st.integers(0, len(texts) - 1)
    queries = np.array(data.draw(st.lists(indices, max_size=5)), dtype=np.int64)
    candidates = np.zeros(len(texts), dtype=np.bool_)
    candidates[data.draw(st.lists(indices, max_size=9))] = True
    with small_blocks(spare):
        similarity = Bm25(texts, engine=engine, threads=2)
        check_against(similarity, np.array(oracle.bm25_matrix(texts)), 9, k, queries, candidates)


@pytest.mark.parametrize("engine", ["plain", "compiled"])
def test_a_word_may_come_more_often_than_two_bytes_count(engine):
    texts = ["a b", "a " * 70_000 + "b", "b c c", "d"]
    similarity = Bm25(texts, engine=engine)
    np.testing.assert_array_equal(similarity.block(np.arange(4)), np.round(oracle.bm25_matrix(texts), 9))


@SETTINGS
@given(
    st.lists(
        st.text(
            st.sampled_from("aB_\u00e9\u0130\u03a3\u03c2\u0661\u2460\U0001d7ce\U0001f600e\u0301 \n-"),
            max_size=12,
        ),
        max_size=7,
    )
)
def test_compiled_tokens_are_those_of_the_default_tokenizer(texts):
    with small_blocks(0):
        compiled = count_terms(texts, tokenize, kernels=kernels(), threads=2)
    called = count_terms(texts, lambda text: tokenize(text))
    assert list(compiled.vocabulary.items()) == list(called.vocabulary.items())
    for name in ("starts", "terms", "counts"):
        np.testing.assert_array_equal(getattr(compiled, name), getattr(called, name))


def test_word_characters_are_those_of_the_regular_expression():
    everything = "".join(map(chr, range(0x110000)))
    matched = {ord(character) for character in re.findall(r"\w", everything)}
    assert set(np.flatnonzero(counts._word_characters()).tolist()) == matched


def test_large_pools_agree_between_engines():
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(500)])
    drawn = words[np.minimum(rng.zipf(1.4, size=(2_500, 12)), 500) - 1]
    texts = [" ".join(row) for row in drawn] + ["w0"] * 20 + [""] * 3
    plain, compiled = Bm25(texts, engine="plain"), Bm25(texts)
    candidates = rng.random(len(texts)) < 0.9
    expected = plain.neighbours(3, candidates=candidates)
    found = compiled.neighbours(3, candidates=candidates)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.similarities, expected.similarities)
    assert select(texts, 60, similarity=compiled).order == select(texts, 60, similarity=plain).order


def test_rows_whose_certificate_fails_are_computed_exactly(monkeypatch):
    candidates = bm25_neighbours._candidates

    def without_the_best(index, tiles, queries, width, compiled):
        best, found = candidates(index, tiles, queries, width + 1, compiled)
        # As if float32 had lost the best text: it is what was left out.
        best[:, 0] = best[:, -1]
        return best[:, :-1], found[:, :-1]

    monkeypatch.setattr(bm25_neighbours, "_candidates", without_the_best)
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{i}" for i in row) for row in rng.integers(0, 40, size=(60, 6))]
    found = Bm25(texts, engine="compiled").neighbours(3)
    np.testing.assert_array_equal(found.indices, Bm25(texts, engine="plain").neighbours(3).indices)


def test_without_numba_the_plain_path_serves(monkeypatch):
    monkeypatch.setattr(bm25, "kernels", lambda: None)
    texts = ["a", "b", "c"] * 1_000
    assert Bm25(texts).neighbours(1).indices[:4, 0].tolist() == [3, 4, 5, 0]
    with pytest.raises(MissingExtraError, match="fast"):
        Bm25(texts, engine="compiled")


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
