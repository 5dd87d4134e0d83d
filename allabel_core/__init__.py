"""Choosing texts, retrieving demonstrations, grounding answers: pure functions, no I/O."""

from allabel_core.errors import AllabelError, InvalidInputError, MissingExtraError, UnreachableClusterError
from allabel_core.selection import STRATEGIES, SelectionRequest, select, select_by
from allabel_core.similarity import Bm25, Embeddings, Similarity
from allabel_core.similarity.pool import Pool
from allabel_core.types import Reason, Selection

__all__ = [
    "STRATEGIES",
    "AllabelError",
    "Bm25",
    "Embeddings",
    "InvalidInputError",
    "MissingExtraError",
    "Pool",
    "Reason",
    "Selection",
    "SelectionRequest",
    "Similarity",
    "UnreachableClusterError",
    "select",
    "select_by",
]
