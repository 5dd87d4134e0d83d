"""The texts of one project over time: index, neighbour lists and embeddings are kept and updated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from allabel_core.errors import InvalidInputError
from allabel_core.similarity.base import Similarity
from allabel_core.similarity.bm25 import Bm25
from allabel_core.similarity.distributed import Distributed
from allabel_core.similarity.embeddings import Embeddings
from allabel_core.similarity.remembering import Rememberable, Remembering
from allabel_core.similarity.sbert import encode
from allabel_core.similarity.tokenize import Tokenizer, tokenize
from allabel_core.types import FloatArray, IntArray

# With more new texts than this part of the pool, starting afresh is as quick.
_MOST_NEW = 0.1


class Pool:
    """Gives ``select`` a similarity that equals a fresh one, sooner. Not for use by two threads at once.

    ``select(texts, budget, similarity=pool.similarity(texts), annotated=...)``

    :param similarity: ``bm25`` or ``sbert``.
    :param tokenizer: for ``bm25``.
    :param model: for ``sbert``, see ``encode``.
    :param scheduler: address of a Dask scheduler whose workers compute the neighbours, see ``Distributed``;
        ``close`` ends the connection.
    :raises InvalidInputError: if ``similarity`` is neither.
    :raises MissingExtraError: if there is a scheduler and Dask distributed is not installed.
    """

    def __init__(
        self,
        similarity: Literal["bm25", "sbert"] = "bm25",
        *,
        tokenizer: Tokenizer = tokenize,
        model: Any = None,
        threads: int | None = None,
        scheduler: str | None = None,
    ) -> None:
        if similarity not in ("bm25", "sbert"):
            raise InvalidInputError(f"similarity {similarity!r} is none of bm25, sbert")
        self._kind = similarity
        self._tokenizer = tokenizer
        self._model = model
        self._threads = threads
        self._scheduler = scheduler
        self._texts: list[str] = []
        self._vectors: FloatArray = np.zeros((0, 0))
        self._current: Remembering | None = None

    def similarity(self, texts: Sequence[str]) -> Similarity:
        """S over ``texts``; quick if they are mostly those of the last call, in any order."""
        texts = list(texts)
        if self._current is None or texts != self._texts:
            origin = origins(self._texts, texts)
            self._current = self._bm25(texts, origin) if self._kind == "bm25" else self._sbert(texts, origin)
            self._texts = texts
        return self._current

    def close(self) -> None:
        """Leave the cluster; what it has computed stays, and the next question connects anew."""
        if self._current is not None and isinstance(self._current.inner, Distributed):
            self._current.inner.close()

    def _spread(self, similarity: Rememberable) -> Rememberable:
        return similarity if self._scheduler is None else Distributed(similarity, self._scheduler)

    def _bm25(self, texts: list[str], origin: IntArray) -> Remembering:
        current = self._current
        changes = len(self._texts) + len(texts) - 2 * int((origin >= 0).sum())
        if current is None or changes > _MOST_NEW * len(texts):
            return Remembering(self._spread(Bm25(texts, self._tokenizer, threads=self._threads)))
        old = current.inner.inner if isinstance(current.inner, Distributed) else current.inner
        assert isinstance(old, Bm25)  # noqa: S101 - what _bm25 itself put there
        new = old.replaced(texts, origin)
        return Remembering(self._spread(new), new.carried(old, current.memory, origin))

    def _sbert(self, texts: list[str], origin: IntArray) -> Remembering:
        added = np.flatnonzero(origin < 0)
        encoded = encode([texts[i] for i in added], model=self._model)
        width = max(encoded.shape[1], self._vectors.shape[1])
        vectors = np.zeros((len(texts), width))
        vectors[added] = encoded.reshape(len(added), width)
        kept = np.flatnonzero(origin >= 0)
        if len(kept):
            vectors[kept] = self._vectors[origin[kept]]
        self._vectors = vectors
        return Remembering(self._spread(Embeddings(vectors)))


def origins(before: Sequence[str], after: Sequence[str]) -> IntArray:
    """(len(after),): index in ``before`` of the same text, no index twice, -1 where there is none left."""
    size = len(before)
    if list(after[:size]) == list(before):
        indices = np.arange(len(after))
        return np.where(indices < size, indices, -1)
    rows: dict[str, list[int]] = {}
    for i in range(size - 1, -1, -1):
        rows.setdefault(before[i], []).append(i)
    return np.array([found.pop() if (found := rows.get(text)) else -1 for text in after], dtype=np.int64)
