"""The picture of a corpus."""

from __future__ import annotations

import numpy as np
import pytest

from allabel_core.quality import plane
from allabel_core.quality.plane import project

COOKING = [f"boil the soup with {v} and salt" for v in ("leek", "carrot", "onion", "celery", "garlic")]
SAILING = [f"the boat left the harbour under {v} wind" for v in ("strong", "light", "north", "west", "no")]


def test_texts_that_share_words_stand_together() -> None:
    points = project([*COOKING, *SAILING])
    assert points.shape == (10, 2)
    assert np.abs(points).max() < 1
    first, second = points[:5], points[5:]
    within = max(np.ptp(first, axis=0).max(), np.ptp(second, axis=0).max())
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) > within
    assert np.array_equal(points, project([*COOKING, *SAILING]))


def test_many_texts_are_drawn_like_few(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    common, topics = [f"w{i}" for i in range(20)], [[f"{t}{i}" for i in range(9)] for t in "abc"]
    texts = [" ".join([*rng.choice(topics[i % 3], 4), *rng.choice(common, 2)]) for i in range(90)]
    exact = project(texts)
    monkeypatch.setattr(plane, "_FEW_TEXTS", 0)
    assert project(texts) == pytest.approx(exact, abs=0.02)


def test_too_little_to_draw() -> None:
    assert project([]).shape == (0, 2)
    assert not project(["a b", "a b", "c"]).any()
    assert not project(["alone", "words", "everywhere", "nothing", "shared"]).any()
