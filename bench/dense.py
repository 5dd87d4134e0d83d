"""A core-set of 5% on dense vectors, ours beside small-text's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from small_text.query_strategies.coresets import greedy_coreset

from allabel_core import Embeddings
from allabel_core.selection.diversity import pick_diverse

DIMENSIONS = 384


def contenders(n: int) -> dict[str, Callable[[], object]]:
    """Name -> a call that chooses n / 20 of n clustered vectors."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((200, DIMENSIONS))
    vectors = centres[rng.integers(0, 200, n)] + 0.5 * rng.standard_normal((n, DIMENSIONS))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    eligible = np.ones(n, dtype=np.bool_)
    return {
        "allabel": lambda: pick_diverse(Embeddings(vectors), n // 20, chosen=[0], eligible=eligible),
        "small-text": lambda: greedy_coreset(
            vectors, np.arange(n), np.array([0]), n // 20, distance_metric="cosine", normalized=True
        ),
    }
