"""The picture of a corpus."""

from __future__ import annotations

import numpy as np

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


def test_too_little_to_draw() -> None:
    assert project([]).shape == (0, 2)
    assert not project(["a b", "a b", "c"]).any()
    assert not project(["alone", "words", "everywhere", "nothing", "shared"]).any()
