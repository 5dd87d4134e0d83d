"""A pool that is kept and updated gives what a fresh one gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allabel_core import Bm25, InvalidInputError, Pool, select
from allabel_core.similarity import bm25
from allabel_core.similarity.bm25_update import Update
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
    # Sums in another order may be rounded to the next ninth decimal.
    np.testing.assert_allclose(found.similarities, expected.similarities, rtol=0, atol=1.1e-9)
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


@pytest.mark.parametrize("engine", ["plain", "compiled"])
def test_the_worst_served_by_a_changing_corpus(engine):
    texts = made_up(60, 1) * 2 + ["w1 w2"] * 3 + [""] * 2
    fresh, kept = Bm25(texts, engine=engine), Remembering(Bm25(texts, engine=engine))
    rng = np.random.default_rng(2)
    corpus = rng.random(len(texts)) < 0.2
    for changed in (0, 0, 1, 2, 2, 4, 8, 20):
        corpus[rng.integers(0, len(texts), size=changed)] ^= True
        queries = np.sort(rng.permutation(len(texts))[:80])
        best = fresh.neighbours(1, queries=queries, candidates=corpus).similarities[:, 0]
        expected = queries[np.argsort(best, kind="stable")]
        for count in (0, 1, 7, 80):
            np.testing.assert_array_equal(kept.worst_served(count, queries, corpus), expected[:count])
    nobody = np.zeros(len(texts), dtype=np.bool_)
    np.testing.assert_array_equal(kept.worst_served(3, queries, nobody), queries[:3])


def test_the_worst_served_are_found_with_few_look_ups(compiled):
    texts = made_up(600, 1)
    kept = Remembering(Bm25(texts))
    corpus = np.arange(600) < 60
    queries = np.flatnonzero(~corpus)
    kept.worst_served(10, queries, corpus)
    asked = []
    kept.inner.neighbours = lambda k, **rest: (
        asked.append(len(rest["queries"])) or Bm25.neighbours(kept.inner, k, **rest)
    )
    corpus[3] = False
    kept.worst_served(10, queries, corpus)
    assert sum(asked) < 100
    assert kept.memory.lists is None


def changed(texts, rng):
    """The texts after a few were added, removed, moved, emptied or repeated, or a word became common."""
    texts = list(texts)
    kind = rng.integers(0, 6)
    if kind == 0:
        texts += made_up(int(rng.integers(1, 15)), int(rng.integers(10_000)))
    elif kind == 1:
        gone = set(rng.integers(0, len(texts), size=8).tolist())
        texts = [text for i, text in enumerate(texts) if i not in gone]
    elif kind == 2:
        i, j = rng.integers(0, len(texts), size=2)
        texts[i], texts[j] = texts[j], texts[i]
        texts = made_up(2, int(rng.integers(10_000))) + texts
    elif kind == 3:
        texts += ["", texts[0], "unseen", "w1 w2"]
    elif kind == 4:
        # One word comes to be in more than half of the texts, so that its weight is floored, or leaves them.
        half = sum("half" in text for text in texts) > len(texts) // 2
        texts[: len(texts) // 30] = [text + " w0" for text in texts[: len(texts) // 30]]
        texts += ["half half w5" if not half else "w5 w6"] * 12
    else:
        texts = texts[:-3] + [" ".join(reversed(text.split())) + " w7" for text in texts[-3:]]
    return texts


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["plain", "compiled"])
@pytest.mark.parametrize("seed", range(6))
def test_updated_pools_equal_fresh_ones(monkeypatch, seed, engine):
    monkeypatch.setattr(bm25, "_COMPILED_FROM", 0 if engine == "compiled" else 10**9)
    rng = np.random.default_rng(seed)
    texts = made_up(300, seed) + ["w1 w2"] * 3 + [""] * 2
    texts += [text + " half" for text in made_up(len(texts) - 6 * (seed % 3), seed + 1)]
    pool = Pool()
    for step in range(10):
        kept, fresh = pool.similarity(texts), Bm25(texts)
        annotated = tuple(rng.permutation(len(texts))[: step // 2].tolist())
        for strategy in ("allabel", "coverage")[: 1 + (step % 4 == 0)]:
            found = select(texts, 40, similarity=kept, annotated=annotated, strategy=strategy)
            assert found == select(texts, 40, similarity=fresh, annotated=annotated, strategy=strategy)
        assert select(texts, 40, similarity=kept) == select(texts, 40, similarity=fresh)
        candidates = rng.random(len(texts)) < 0.9
        same_neighbours(kept.neighbours(3, candidates=candidates), fresh.neighbours(3, candidates=candidates))
        same_neighbours(kept.neighbours(5), fresh.neighbours(5))
        texts = changed(texts, rng)


@pytest.mark.usefixtures("compiled")
def test_texts_may_change_places_and_nothing_else():
    texts = made_up(300, 1)
    pool = Pool()
    for _ in range(3):
        found = select(texts, 60, similarity=pool.similarity(texts), stage_ratio=(1, 0, 0))
        assert found == select(texts, 60, similarity=Bm25(texts), stage_ratio=(1, 0, 0))
        texts = texts[::-1]


@pytest.mark.usefixtures("compiled")
def test_a_few_new_texts_leave_little_to_score(monkeypatch):
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
    updated = pool.similarity(texts + made_up(6, 1))
    updated.neighbours(3)
    assert (~updated.lists.stale).sum() < 6 * len(updated)
    assert sum(asked) < 100


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("side", ["above", "below"])
def test_a_bound_that_promises_too_much_would_be_noticed(monkeypatch, side):
    exact = Update._sums
    too_much = 1e3 * np.array([[side == "above"], [side == "below"]])
    monkeypatch.setattr(Update, "_sums", lambda *given: exact(*given) - too_much)
    texts, new = made_up(400, 5), made_up(40, 6)
    pool = Pool()
    select(texts, 60, similarity=pool.similarity(texts))
    texts += new
    kept, fresh = pool.similarity(texts), Bm25(texts)
    if side == "above":
        assert not np.array_equal(kept.neighbours(5).indices, fresh.neighbours(5).indices)
    else:
        found, expected = (select(texts, 60, similarity=s, stage_ratio=(1, 0, 0)) for s in (kept, fresh))
        assert found != expected


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("added", [9, 130])
def test_bounds_hold(added):
    texts = [*made_up(300, 3), "w1 w2", ""]
    old = Remembering(Bm25(texts))
    order = select(texts, 40, similarity=old).order
    after = [text + " w3" if i % 50 == 0 else text for i, text in enumerate(texts[5:])] + made_up(added, 4)
    origin = origins(texts, after)
    new = old.inner.replaced(after, origin)
    nearest_before = old.memory.nearest
    carried = new.carried(old.inner, old.memory, origin)
    lists = carried.lists
    rows = new.block(np.arange(len(after)))
    listed = lists.neighbours.indices >= 0
    rows_of_listed = np.take_along_axis(rows, np.maximum(lists.neighbours.indices, 0), axis=1)
    assert (lists.neighbours.similarities >= rows_of_listed)[listed].all()
    np.fill_diagonal(rows, -np.inf)
    for q, row in enumerate(rows):
        row[lists.neighbours.indices[q][listed[q]]] = -np.inf
    assert (rows.max(axis=1) <= lists.left_out).all()
    for q in np.flatnonzero(carried.nearest >= 0):
        assert after[carried.nearest[q]] == texts[nearest_before[origin[q]]]
        assert carried.at_least[q] <= new.column(carried.nearest[q])[q]
    assert (carried.nearest >= 0).sum() > len(after) // 2
    floors = {d: carried.floors.get(d) for d in carried.floors.columns}
    assert len(floors) >= len([d for d in order[:7] if d in origin])
    for d, floor in floors.items():
        column = new.column(d)
        assert (floor <= column[: len(floor)]).all()
    assert max(floor.max() for floor in floors.values()) > 0


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
