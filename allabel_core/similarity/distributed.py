"""The neighbour stage on a Dask cluster; everything else stays here."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from allabel_core.errors import MissingExtraError
from allabel_core.similarity.base import Neighbours, Similarity
from allabel_core.similarity.topk import no_neighbours
from allabel_core.types import BoolArray, FloatArray, IntArray

_TASKS_PER_WORKER = 4


class Distributed:
    """The same answers as ``inner``, of which the workers compute neighbours, a part of the queries each.

    ``inner`` is sent to every worker once. A context manager: leaving it closes the connection.

    :param inner: a ``Bm25`` or ``Embeddings``; with one worker a core, build it with ``threads=1``.
    :param scheduler: address of a running scheduler, ``tcp://host:8786``.
    :raises MissingExtraError: if Dask distributed is not installed.
    """

    def __init__(self, inner: Similarity, scheduler: str) -> None:
        try:
            library = importlib.import_module("distributed")
        except ImportError as error:
            raise MissingExtraError(
                "distributed is not installed: pip install 'dask[distributed]'"
            ) from error
        self.decimals = inner.decimals
        self._inner = inner
        self._client: Any = library.Client(scheduler, set_as_default=False)
        self._sent: Any = self._client.scatter(inner, broadcast=True, hash=False)

    def __enter__(self) -> Distributed:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def __len__(self) -> int:
        return len(self._inner)

    def mean_to_others(self) -> FloatArray:
        return self._inner.mean_to_others()

    def column(self, d: int) -> FloatArray:
        return self._inner.column(d)

    def block(self, queries: IntArray, documents: IntArray | None = None) -> FloatArray:
        return self._inner.block(queries, documents)

    def self_similarity(self) -> FloatArray:
        return self._inner.self_similarity()

    def neighbours(
        self, k: int, *, queries: IntArray | None = None, candidates: BoolArray | None = None
    ) -> Neighbours:
        queries = np.arange(len(self)) if queries is None else queries
        if not len(queries):
            return no_neighbours(0, k)
        tasks = min(len(queries), _TASKS_PER_WORKER * max(1, len(self._client.scheduler_info()["workers"])))
        parts = np.array_split(queries, tasks)
        # Parts of equal content are different work: an impure call is never answered from another one.
        asked = self._client.map(
            _neighbours, parts, similarity=self._sent, k=k, candidates=candidates, pure=False
        )
        solved: list[Neighbours] = self._client.gather(asked)
        indices, similarities, unrounded = (np.concatenate(pieces) for pieces in zip(*solved, strict=True))
        return Neighbours(indices, similarities, unrounded)


def _neighbours(
    queries: IntArray, *, similarity: Similarity, k: int, candidates: BoolArray | None
) -> Neighbours:
    return similarity.neighbours(k, queries=queries, candidates=candidates)
