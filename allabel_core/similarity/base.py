"""What a similarity must offer, so that no stage needs an N x N matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

from allabel_core.types import BoolArray, FloatArray, IntArray


class Neighbours(NamedTuple):
    """Each query's best demonstrations, best first.

    ``indices``: int64 (q, k), padded with -1 where fewer exist. ``similarities``: float64 (q, k),
    rounded, padded with -inf. ``unrounded``: the same before rounding, padded with 0, for sums,
    which the method rounds as a whole.
    """

    indices: IntArray
    similarities: FloatArray
    unrounded: FloatArray


class Farthest(NamedTuple):
    """A text, how similar its most similar chosen text is, and which that is."""

    text: int
    max_similarity_to_chosen: float
    nearest: int


class FindsFarthest(Protocol):
    """What knows, as texts are chosen, which of the others is least similar to all of them."""

    def add(self, d: int) -> None:
        """Count text d among the chosen."""

    def farthest(self, available: BoolArray) -> Farthest:
        """The available text least similar to all chosen ones, ties by the lower index."""


Floor: TypeAlias = Callable[[int], FloatArray | None]
"""Of a text d (n,) numbers, or fewer, that S[:, d] are not below, or None where nothing is known."""


class Similarity(Protocol):
    """S[q, d] over one pool of n texts: how well demonstration d serves query q.

    Every value returned is rounded to ``decimals`` (spec, "Ties and order"), so that ties are
    decided by index alone and do not depend on the order of additions.
    """

    decimals: int

    def __len__(self) -> int:
        """n, the number of texts."""

    def mean_to_others(self) -> FloatArray:
        """(n,): for each query q the mean of S[q, d] over all d != q; 0 where n < 2."""

    def column(self, d: int) -> FloatArray:
        """(n,): S[:, d], how well text d serves each query."""

    def block(self, queries: IntArray, documents: IntArray | None = None) -> FloatArray:
        """(len(queries), n): the rows S[queries, :], or S[queries][:, documents] where given."""

    def self_similarity(self) -> FloatArray:
        """(n,): S[q, q]."""

    def neighbours(
        self, k: int, *, queries: IntArray | None = None, candidates: BoolArray | None = None
    ) -> Neighbours:
        """Each query's k most similar texts, itself excluded, ties by the lower index.

        ``queries``: indices, all texts by default. ``candidates``: mask (n,) of the texts that
        may be returned, all by default.
        """
