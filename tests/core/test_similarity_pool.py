"""A pool that is kept and updated gives what a fresh one gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allabel_core import Bm25, InvalidInputError, Pool, select
from allabel_core.similarity import bm25, bm25_update, remembering
from allabel_core.similarity.pool import origins
from allabel_core.similarity.remembering import Remembering

WORDS = np.array([f"w{i}" for i in range(300)])


def made_up(count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    drawn = np.minimum(rng.zipf(1.3, size=(count, 15)), 300) - 1
    topic = rng.integers(0, 300, size=(count, 1))
    return [" ".join(row) for row in WORDS[np.hstack([drawn, (topic + np.arange(4)) % 300])]]


def same_neighbours(found, expected):
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.similarities, expected.similarities)
    np.testing.assert_allclose(found.unrounded, expected.unrounded, atol=1e-10)


@pytest.fixture
def compiled(monkeypatch):
    monkeypatch.setattr(bm25, "_COMPILED_FROM", 0)


def test_origins_pair_equal_texts_once():
    assert origins(["a", "b", "a"], ["a", "b", "a", "c"]).tolist() == [0, 1, 2, -1]
    assert origins(["a", "b", "a"], ["c", "a", "a", "a"]).tolist() == [-1, 0, 2, -1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 7), st.floats(0, 0.5))
def test_remembered_neighbours_are_the_neighbours(seed, k, left_out):
    texts = made_up(60, seed) + ["w1 w2"] * 3 + [""] * 2
    fresh, remembering = Bm25(texts), Remembering(Bm25(texts))
    rng = np.random.default_rng(seed)
    for _ in range(3):
        candidates = rng.random(len(texts)) >= left_out
        queries = rng.integers(0, len(texts), size=20)
        expected = fresh.neighbours(k, queries=queries, candidates=candidates)
        same_neighbours(remembering.neighbours(k, queries=queries, candidates=candidates), expected)
    np.testing.assert_array_equal(remembering.column(3), fresh.column(3))
    np.testing.assert_array_equal(remembering.mean_to_others(), fresh.mean_to_others())


def test_long_lists_are_kept_for_the_same_question_alone(monkeypatch):
    texts = made_up(60, 1)
    fresh, kept = Bm25(texts), Remembering(Bm25(texts))
    asked = []
    monkeypatch.setattr(
        kept.inner,
        "neighbours",
        lambda k, **rest: asked.append(k) or Bm25.neighbours(kept.inner, k, **rest),
    )
    everyone, some = np.ones(60, dtype=np.bool_), np.arange(60) % 3 > 0
    questions = [(20, everyone), (20, everyone), (20, some), (20, some), (30, some), (30, None)]
    for k, candidates in questions:
        same_neighbours(kept.neighbours(k, candidates=candidates), fresh.neighbours(k, candidates=candidates))
    assert asked == [20, 20, 30, 30]
    with pytest.raises(ValueError, match="read-only"):
        kept.neighbours(30).indices[0] = 1


@pytest.mark.parametrize("most_added", [0, 3, 64])
@pytest.mark.parametrize("with_lists", [False, True])
def test_the_nearest_of_a_changing_corpus(monkeypatch, most_added, with_lists):
    monkeypatch.setattr(remembering, "_MOST_ADDED", most_added)
    texts = made_up(60, 1) * 2 + ["w1 w2"] * 3 + [""] * 2
    fresh, kept = Bm25(texts), Remembering(Bm25(texts))
    if with_lists:
        kept.lists  # noqa: B018 - made when first needed
    rng = np.random.default_rng(2)
    corpus = rng.random(len(texts)) < 0.2
    for changed in (0, 0, 1, 2, 2, 4, 8, 20):
        corpus[rng.integers(0, len(texts), size=changed)] ^= True
        queries = rng.permutation(len(texts))[:80]
        expected = fresh.neighbours(1, queries=queries, candidates=corpus)
        same_neighbours(kept.neighbours(1, queries=queries, candidates=corpus), expected)
    nobody = kept.neighbours(1, candidates=np.zeros(len(texts), dtype=np.bool_))
    assert (nobody.indices == -1).all()


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("seed", range(4))
def test_updated_pools_equal_fresh_ones(seed):
    rng = np.random.default_rng(seed)
    texts = made_up(400, seed) + ["w1 w2"] * 3 + [""] * 2
    pool = Pool()
    for step in range(4):
        found = select(texts, 40, similarity=pool.similarity(texts), annotated=range(step))
        expected = select(texts, 40, similarity=Bm25(texts), annotated=range(step))
        assert found == expected
        lists, fresh = pool.similarity(texts).lists, Bm25(texts).neighbours(3)
        listed = lists.neighbours.indices[:, :3] >= 0
        np.testing.assert_array_equal(lists.neighbours.indices[:, :3][listed], fresh.indices[listed])
        removed = set(rng.integers(0, len(texts), size=5 * (seed % 2)).tolist())
        texts = [text for i, text in enumerate(texts) if i not in removed]
        texts = (
            made_up(3, seed + 100 + step) + texts if seed % 4 == 3 else texts + made_up(9, seed + 50 + step)
        )


@pytest.mark.usefixtures("compiled")
def test_most_lists_survive_a_few_new_texts(monkeypatch):
    texts = made_up(600, 0)
    pool = Pool()
    assert pool.similarity(texts).lists.neighbours.indices.shape == (600, 16)
    asked = []
    plain = Bm25.neighbours
    monkeypatch.setattr(
        Bm25,
        "neighbours",
        lambda self, k, **given: asked.append(len(given["queries"])) or plain(self, k, **given),
    )
    pool.similarity(texts + made_up(6, 1))
    assert asked
    assert asked[0] < 200


def test_a_bound_that_promises_too_much_would_be_noticed(monkeypatch, compiled):
    monkeypatch.setattr(bm25_update, "_slack", lambda old, new, *_: np.full(len(new), -1e9))
    texts = made_up(400, 5)
    pool = Pool()
    pool.similarity(texts).lists  # noqa: B018 - made when first needed
    texts += made_up(40, 6)
    lists = pool.similarity(texts).lists
    assert not np.array_equal(lists.neighbours.indices[:, :12], Bm25(texts).neighbours(12).indices)


def test_unchanged_texts_give_the_same_object():
    pool = Pool()
    assert pool.similarity(["a", "b"]) is pool.similarity(["a", "b"])


def test_only_new_texts_are_embedded():
    class Letters:
        asked: list[str] = []  # noqa: RUF012

        def encode(self, texts, **options):
            self.asked += texts
            return np.array([[len(text), text.count("a")] for text in texts], dtype=np.float32)

    pool = Pool("sbert", model=Letters())
    pool.similarity(["a", "ba", "c"])
    similarity = pool.similarity(["ba", "d", "a"])
    assert Letters.asked == ["a", "ba", "c", "d"]
    np.testing.assert_allclose(similarity.column(1), [2 / 5**0.5, 1, 0.5**0.5], atol=1e-6)


def test_an_unknown_similarity_is_named():
    with pytest.raises(InvalidInputError, match="bm25, sbert"):
        Pool("tfidf")
