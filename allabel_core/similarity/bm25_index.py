"""The numbers behind BM25: what each term of each text adds to the text's score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from allabel_core.similarity.counts import CountArray, Int32Array, TermCounts
from allabel_core.types import FloatArray, IntArray


class Bm25Parameters(NamedTuple):
    """``k1``: term frequency saturation. ``b``: length normalisation. ``epsilon``: floor of negative
    term weights, as a part of the average weight."""

    k1: float = 1.5
    b: float = 0.75
    epsilon: float = 0.25


class Postings(NamedTuple):
    """The rows turned round: ``[pointers[t], pointers[t + 1])`` are the texts that have term t, ascending."""

    pointers: IntArray
    documents: Int32Array
    counts: npt.NDArray[np.float32]
    impacts: FloatArray


@dataclass(frozen=True, slots=True)
class Bm25Index:
    """Rows as in ``TermCounts``; ``impacts``: what one occurrence of the term in a query adds.

    ``average_length``: tokens of a text, on average; 1 where no text has any.
    """

    starts: IntArray
    terms: Int32Array
    counts: CountArray
    impacts: FloatArray
    term_weights: FloatArray
    average_length: float

    @classmethod
    def build(cls, rows: TermCounts, parameters: Bm25Parameters, kernels: Any | None = None) -> Bm25Index:
        """In rank_bm25's order of operations, so that impacts equal its own to the last bit."""
        k1, b, epsilon = parameters
        n = len(rows.starts) - 1
        lengths = rows.lengths
        average_length = int(lengths.sum()) / n if lengths.any() else 1.0
        weights = term_weights(rows, epsilon)
        saturation = k1 * (1 - b + b * lengths / average_length)
        if kernels is None:
            of_entries = np.repeat(saturation, np.diff(rows.starts))
            impacts = weights[rows.terms] * (rows.counts * (k1 + 1) / (rows.counts + of_entries))
        else:
            impacts = np.empty(len(rows.terms))
            kernels.weigh(rows.starts, rows.terms, rows.counts, weights, saturation, k1 + 1, impacts)
        return cls(rows.starts, rows.terms, rows.counts, impacts, weights, average_length)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def scored(self) -> tuple[IntArray, Int32Array, CountArray, FloatArray, int]:
        """What the kernels that score whole texts take first."""
        return self.starts, self.terms, self.counts, self.impacts, len(self.term_weights)

    def matrix(self, values: npt.NDArray[np.generic]) -> sparse.csr_array:
        """(texts, terms) sparse, with ``values`` parallel to ``terms``."""
        shape = (len(self), len(self.term_weights))
        return sparse.csr_array((values, self.terms, self.starts), shape=shape)

    def row_sums(self, values: FloatArray) -> FloatArray:
        """(texts,): the sum, for each text, of ``values`` parallel to ``terms``."""
        texts = np.repeat(np.arange(len(self)), np.diff(self.starts))
        sums: FloatArray = np.bincount(texts, weights=values, minlength=len(self)).astype(np.float64)
        return sums

    def postings(self, kernels: Any | None = None) -> Postings:
        """The rows turned round, by the compiled kernels where given."""
        if kernels is None:
            places = self.matrix(np.arange(len(self.terms))).T.tocsr()
            return Postings(
                pointers=places.indptr.astype(np.int64),
                documents=places.indices.astype(np.int32, copy=False),
                counts=self.counts[places.data].astype(np.float32),
                impacts=self.impacts[places.data],
            )
        size = len(self.terms)
        postings = Postings(
            pointers=np.zeros(len(self.term_weights) + 1, dtype=np.int64),
            documents=np.empty(size, dtype=np.int32),
            counts=np.empty(size, dtype=np.float32),
            impacts=np.empty(size, dtype=np.float64),
        )
        kernels.turn_rows(self.starts, self.terms, self.counts, self.impacts, *postings)
        return postings


def term_weights(rows: TermCounts, epsilon: float) -> FloatArray:
    """(terms,) inverse document frequencies; negative ones become ``epsilon`` x the average.

    Terms that no text has (any more) weigh 0 and do not count in the average.
    """
    n = len(rows.starts) - 1
    documents = rows.texts_with
    by_frequency = np.zeros(n + 1)
    for f in np.flatnonzero(np.bincount(documents)).tolist():
        by_frequency[f] = math.log(n - f + 0.5) - math.log(f + 0.5) if f else 0.0
    weights: FloatArray = by_frequency[documents]
    present = int(np.count_nonzero(documents))
    if present:
        # Added one by one in first-seen order, as rank_bm25 does; ``sum`` compensates from Python 3.12 on.
        weights[weights < 0] = epsilon * (float(np.cumsum(weights)[-1]) / present)
    return weights
