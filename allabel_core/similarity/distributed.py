"""The neighbour stage on a Dask cluster; everything else stays here."""

from __future__ import annotations

import importlib
import logging
from types import ModuleType
from typing import Any

import numpy as np

from allabel_core.errors import MissingExtraError, UnreachableClusterError
from allabel_core.similarity.base import FindsFarthest, Floor, Neighbours
from allabel_core.similarity.nearest import nearest_before
from allabel_core.similarity.remembering import Lists, Rememberable
from allabel_core.similarity.topk import no_neighbours
from allabel_core.types import BoolArray, FloatArray, IntArray

logger = logging.getLogger(__name__)

_TASKS_PER_WORKER = 4
_FEW = 256
_CONNECT_SECONDS = 10


class Distributed:
    """The same answers as ``inner``, of which the workers compute neighbours, a part of the queries each.

    ``inner`` is sent to every worker once, when neighbours are first asked for; up to 256 queries are
    answered here, which is sooner than sending anything. A context manager: leaving it closes the
    connection, and asking again opens another.

    :param inner: a ``Bm25`` or ``Embeddings``; with one worker a core, build it with ``threads=1``.
    :param scheduler: address of a running scheduler, ``tcp://host:8786``.
    :raises MissingExtraError: if Dask distributed is not installed.
    """

    def __init__(self, inner: Rememberable, scheduler: str) -> None:
        self._library = distributed_library()
        self.decimals = inner.decimals
        self.inner = inner
        self._scheduler = scheduler
        self._client: Any = None
        self._sent: Any = None

    def __enter__(self) -> Distributed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if there is one."""
        client, self._client, self._sent = self._client, None, None
        if client is not None:
            client.close()

    def __len__(self) -> int:
        return len(self.inner)

    def mean_to_others(self) -> FloatArray:
        return self.inner.mean_to_others()

    def column(self, d: int) -> FloatArray:
        return self.inner.column(d)

    def block(self, queries: IntArray, documents: IntArray | None = None) -> FloatArray:
        return self.inner.block(queries, documents)

    def nearest_before(self, texts: IntArray, first: int) -> tuple[IntArray, FloatArray]:
        return nearest_before(self.inner, texts, first)

    def self_similarity(self) -> FloatArray:
        return self.inner.self_similarity()

    def first_listed(
        self, lists: Lists, k: int, queries: IntArray, candidates: BoolArray
    ) -> tuple[Neighbours, BoolArray]:
        return self.inner.first_listed(lists, k, queries, candidates)

    def lazily_closest(self, floor: Floor) -> FindsFarthest | None:
        return self.inner.lazily_closest(floor)

    def neighbours(
        self, k: int, *, queries: IntArray | None = None, candidates: BoolArray | None = None
    ) -> Neighbours:
        """See ``Similarity.neighbours``.

        :raises UnreachableClusterError: the scheduler does not answer, or its workers are gone.
        """
        queries = np.arange(len(self)) if queries is None else queries
        if not len(queries):
            return no_neighbours(0, k)
        if len(queries) <= _FEW:
            return self.inner.neighbours(k, queries=queries, candidates=candidates)
        # Dask raises all sorts of things where connections break: its own, Tornado's, the system's.
        try:
            solved = self._asked_of_workers(k, queries, candidates)
        except Exception as error:
            self.close()
            raise UnreachableClusterError(
                f"The Dask cluster at {self._scheduler} does not answer or broke off "
                f"({type(error).__name__}); check that its scheduler and workers are up and have "
                "the same version of allabel."
            ) from error
        indices, similarities, unrounded = (np.concatenate(pieces) for pieces in zip(*solved, strict=True))
        return Neighbours(indices, similarities, unrounded)

    def _asked_of_workers(self, k: int, queries: IntArray, candidates: BoolArray | None) -> list[Neighbours]:
        if self._client is None:
            self._client = self._library.Client(
                self._scheduler, set_as_default=False, timeout=_CONNECT_SECONDS
            )
            self._client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
            self._sent = self._client.scatter(self.inner, broadcast=True, hash=False)
        workers = len(self._client.nthreads())
        parts = np.array_split(queries, min(len(queries), _TASKS_PER_WORKER * max(1, workers)))
        logger.debug("neighbours of %d texts in %d parts on %d workers", len(queries), len(parts), workers)
        # Parts of equal content are different work: an impure call is never answered from another one.
        asked = self._client.map(
            _neighbours, parts, similarity=self._sent, k=k, candidates=candidates, pure=False
        )
        solved: list[Neighbours] = self._client.gather(asked)
        return solved


def distributed_library() -> ModuleType:
    """Dask distributed.

    :raises MissingExtraError: if it is not installed.
    """
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise MissingExtraError("distributed is not installed: pip install 'dask[distributed]'") from error


def _neighbours(
    queries: IntArray, *, similarity: Rememberable, k: int, candidates: BoolArray | None
) -> Neighbours:
    return similarity.neighbours(k, queries=queries, candidates=candidates)
