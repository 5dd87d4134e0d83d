"""Which term occurs how often in which text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allabel_core.similarity.tokenize import Tokenizer
from allabel_core.types import IntArray

Int32Array = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TermCounts:
    """Compressed rows, one a text: ``terms[starts[i]:starts[i + 1]]`` are the ids of its distinct terms.

    ``counts`` runs parallel to ``terms``. Ids number the terms of the pool as they are first seen.
    """

    starts: IntArray
    terms: Int32Array
    counts: Int32Array
    vocabulary: dict[str, int]

    def lengths(self) -> IntArray:
        """(n,) tokens of each text."""
        sums = np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])
        lengths: IntArray = sums[self.starts[1:]] - sums[self.starts[:-1]]
        return lengths


def count_terms(texts: Sequence[str], tokenizer: Tokenizer) -> TermCounts:
    """Tokenise every text and count its terms."""
    vocabulary: dict[str, int] = {}
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    terms: list[int] = []
    counts: list[int] = []
    for i, text in enumerate(texts):
        row: dict[int, int] = {}
        for token in tokenizer(text):
            term = vocabulary.setdefault(token, len(vocabulary))
            row[term] = row.get(term, 0) + 1
        terms.extend(row)
        counts.extend(row.values())
        starts[i + 1] = len(terms)
    return TermCounts(
        starts, np.asarray(terms, dtype=np.int32), np.asarray(counts, dtype=np.int32), vocabulary
    )
