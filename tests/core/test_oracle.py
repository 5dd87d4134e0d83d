"""The selection equals the naive reading of the method, pick by pick."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from allabel_core import Embeddings, select

DATA = Path(__file__).parents[3] / "shared" / "data"
WORDS = st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "rare", "É", "1", "..."])
TEXTS = st.lists(st.lists(WORDS, max_size=6).map(" ".join), max_size=14)
SETTINGS = settings(max_examples=80, deadline=None)


@st.composite
def pools(draw: st.DrawFn) -> tuple[list[str], int, list[int]]:
    """Texts, with duplicates, empty, one-word and isolated ones; a budget; annotated indices."""
    texts = draw(TEXTS)
    texts += draw(st.lists(st.sampled_from(texts), max_size=4)) if texts else []
    texts += ["isolated" + "x" * i for i in range(draw(st.integers(0, 2)))]
    budget = draw(st.integers(0, len(texts) + 3))
    annotated = draw(st.permutations(range(len(texts))))[: draw(st.integers(0, 4))]
    return texts, budget, annotated


@SETTINGS
@given(pools(), st.integers(1, 5), st.sampled_from(["corpus", "diversity"]))
def test_bm25_queue_is_the_naive_queue(pool, k, weak_against):
    texts, budget, annotated = pool
    found = select(texts, budget, k=k, annotated=annotated, weak_against=weak_against)
    expected = oracle.queue(
        oracle.bm25_matrix(texts), budget, decimals=9, k=k, annotated=annotated, weak_against=weak_against
    )
    assert (list(found.order), list(found.stages)) == expected


@SETTINGS
@given(st.lists(st.tuples(*[st.integers(-2, 2)] * 3), max_size=14), st.integers(0, 16), st.integers(1, 4))
def test_cosine_queue_is_the_naive_queue(vectors, budget, k):
    matrix = np.array(vectors, dtype=np.float64).reshape(-1, 3)
    found = select([""] * len(vectors), budget, similarity=Embeddings(matrix), k=k)
    expected = oracle.queue(oracle.cosine_matrix(matrix), budget, decimals=6, k=k)
    assert (list(found.order), list(found.stages)) == expected


@SETTINGS
@given(pools(), st.data())
def test_annotating_a_prefix_leaves_the_rest_of_the_queue_unchanged(pool, data):
    texts, budget, annotated = pool
    queue = select(texts, budget, annotated=annotated)
    done = data.draw(st.integers(len(annotated), len(queue.order)))
    again = select(texts, budget, annotated=queue.order[:done])
    assert again.order == queue.order
    assert again.stages[done:] == queue.stages[done:]


@pytest.mark.parametrize("seed", range(5))
def test_every_prefix_of_a_longer_queue_leaves_the_rest_unchanged(seed):
    words = np.minimum(np.random.default_rng(seed).zipf(1.3, size=(90, 8)), 60)
    texts = [" ".join(f"w{word}" for word in row) for row in words]
    queue = select(texts, 60)
    assert queue.stages.count("uncertainty") == 12
    for done in range(1, 60):
        again = select(texts, 60, annotated=queue.order[:done])
        assert again.order == queue.order
        assert again.stages[done:] == queue.stages[done:]
    anyhow = list(range(70, 18, -1))
    expected = oracle.queue(oracle.bm25_matrix(texts), 60, decimals=9, annotated=anyhow)
    assert list(select(texts, 60, annotated=anyhow).order) == expected[0]


@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("texts", [["", "", ""], ["a", "a", "a"], ["a b", "", "c"], ["a a b", "b c", "c a"]])
def test_tiny_pools_with_any_budget(texts, n):
    for budget in range(n + 4):
        found = select(texts[:n], budget)
        expected = oracle.queue(oracle.bm25_matrix(texts[:n]), budget, decimals=9)
        assert (list(found.order), list(found.stages)) == expected
        assert len(found.order) == min(budget, n)


def _agrees_on_data(name: str, size: int) -> None:
    path = DATA / name / "gold.jsonl"
    if not path.exists():
        pytest.skip("the public data sets are not beside the repository")
    lines = path.read_text(encoding="utf-8").splitlines()[:size]
    texts = [json.loads(line)["data"]["text"] for line in lines]
    matrix = oracle.bm25_matrix(texts)
    for budget, annotated in [(15, []), (60, []), (60, [7, 150, 3, 99, *range(10, 30)])]:
        found = select(texts, budget, annotated=annotated)
        expected = oracle.queue(matrix, budget, decimals=9, annotated=annotated)
        assert (list(found.order), list(found.stages)) == expected


@pytest.mark.parametrize("name", ["cdr", "synthesis", "tweets"])
def test_data_sets_give_the_naive_queue(name):
    _agrees_on_data(name, 200)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cdr", "synthesis", "tweets"])
def test_whole_data_sets_give_the_naive_queue(name):
    _agrees_on_data(name, 700)
