"""A pick's reason completed by the nearest text chosen before it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from allabel_core.selection.datatypes import Pick
from allabel_core.similarity.base import Similarity
from allabel_core.similarity.nearest import nearest_before
from allabel_core.types import Reason


def with_nearest(
    similarity: Similarity,
    order: Sequence[int],
    reasons: Sequence[Reason],
    *,
    annotated: Sequence[int],
    stage: str,
) -> list[Pick]:
    """Picks in ``order``; each reason gains the most similar text among those annotated or picked before."""
    texts = np.array([*annotated, *order], dtype=np.int64)
    nearest, similarities = nearest_before(similarity, texts, len(annotated))
    picks = []
    for place, (index, reason) in enumerate(zip(order, reasons, strict=True)):
        if nearest[place] >= 0:
            reason = reason._replace(nearest=int(nearest[place]), similarity=float(similarities[place]))
        picks.append(Pick(index, stage, reason))
    return picks
