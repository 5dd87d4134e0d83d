"""How well one text serves another: BM25 and sentence embeddings behind one protocol."""

from allabel_core.similarity.base import Neighbours, Similarity
from allabel_core.similarity.bm25 import Bm25
from allabel_core.similarity.embeddings import Embeddings

__all__ = ["Bm25", "Embeddings", "Neighbours", "Similarity"]
