"""Which term occurs how often in which text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from allabel_core.similarity.accelerate import in_threads
from allabel_core.similarity.tokenize import Tokenizer, tokenize
from allabel_core.types import BoolArray, IntArray

Int32Array: TypeAlias = npt.NDArray[np.int32]
CountArray: TypeAlias = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
_TEXTS_AT_ONCE = 2_500


@dataclass(frozen=True, slots=True)
class TermCounts:
    """Compressed rows, one a text: ``terms[starts[i]:starts[i + 1]]`` are the ids of its distinct terms.

    ``counts`` runs parallel to ``terms``; their narrow type leaves more room in the processor's cache.
    Ids number the terms of the pool as they are first seen.
    ``lengths``: (n,) tokens of each text. ``texts_with``: (terms,) how many texts have each term.
    """

    starts: IntArray
    terms: Int32Array
    counts: CountArray
    vocabulary: dict[str, int]
    lengths: IntArray
    texts_with: IntArray

    @classmethod
    def summed(
        cls, starts: IntArray, terms: Int32Array, counts: CountArray, vocabulary: dict[str, int]
    ) -> TermCounts:
        """With what follows from the rows."""
        lengths: IntArray = np.zeros(len(starts) - 1, dtype=np.int64)
        filled = np.diff(starts) > 0
        if filled.any():
            lengths[filled] = np.add.reduceat(counts, starts[:-1][filled], dtype=np.int64)
        return cls(starts, terms, counts, vocabulary, lengths, np.bincount(terms, minlength=len(vocabulary)))


def chosen_rows(rows: TermCounts, which: IntArray) -> TermCounts:
    """The rows ``which``, in that order."""
    if np.array_equal(which, np.arange(len(rows.starts) - 1)):
        return rows
    sizes = np.diff(rows.starts)[which]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    entries = np.arange(starts[-1]) + np.repeat(rows.starts[which] - starts[:-1], sizes)
    return TermCounts.summed(starts, rows.terms[entries], rows.counts[entries], rows.vocabulary)


def joined_rows(first: TermCounts, second: TermCounts) -> TermCounts:
    """The rows of both, in the vocabulary of ``second``, which continues that of ``first``."""
    texts_with = second.texts_with.copy()
    texts_with[: len(first.texts_with)] += first.texts_with
    return TermCounts(
        starts=np.concatenate([first.starts, first.starts[-1] + second.starts[1:]]),
        terms=np.concatenate([first.terms, second.terms]),
        counts=np.concatenate([first.counts, second.counts]),
        vocabulary=second.vocabulary,
        lengths=np.concatenate([first.lengths, second.lengths]),
        texts_with=texts_with,
    )


class _Chunk(NamedTuple):
    """Rows of some of the texts; ``words`` are their distinct terms as first seen, ``terms`` index them."""

    starts: IntArray
    terms: Int32Array
    counts: Int32Array
    words: list[str]


def count_terms(
    texts: Sequence[str],
    tokenizer: Tokenizer,
    *,
    known: dict[str, int] | None = None,
    kernels: Any | None = None,
    threads: int = 1,
) -> TermCounts:
    """Tokenise every text and count its terms.

    :param known: terms that keep the ids that they have; new ones are put in after them.
    :param kernels: the compiled kernels, which know the default tokeniser and run in ``threads``
        threads; other tokenisers are called one text at a time.
    """
    if kernels is None or tokenizer is not tokenize:
        return _merged([_count_by_calling(texts, tokenizer)], known)
    parts = [texts[start : start + _TEXTS_AT_ONCE] for start in range(0, len(texts), _TEXTS_AT_ONCE)]
    return _merged(in_threads(lambda part: _count_compiled(part, kernels), parts, threads), known)


def _count_by_calling(texts: Sequence[str], tokenizer: Tokenizer) -> _Chunk:
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
    return _Chunk(
        starts, np.asarray(terms, dtype=np.int32), np.asarray(counts, dtype=np.int32), list(vocabulary)
    )


def _count_compiled(texts: Sequence[str], kernels: Any) -> _Chunk:
    lowered = [text.lower() for text in texts]
    ends = np.cumsum([len(text) + 1 for text in lowered])
    # The line break is no word character, so words end with their text.
    joined = "\n".join(lowered) + "\n"
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    starts, terms, counts, places, lengths = kernels.count_words(codes, ends, _word_characters())
    words = [
        joined[place : place + length]
        for place, length in zip(places.tolist(), lengths.tolist(), strict=True)
    ]
    return _Chunk(starts, terms, counts, words)


@cache
def _word_characters() -> BoolArray:
    r"""By code point, what ``\w`` matches: letters, digits and other numerals, the underscore."""
    table = np.fromiter((chr(code).isalnum() for code in range(0x110000)), dtype=np.bool_, count=0x110000)
    table[ord("_")] = True
    return table


def _merged(chunks: list[_Chunk], known: dict[str, int] | None) -> TermCounts:
    """One numbering for all chunks, in first-seen order since the chunks are in order."""
    vocabulary = {} if known is None else known
    terms: list[Int32Array] = []
    sizes: list[IntArray] = [np.zeros(1, dtype=np.int64)]
    for chunk in chunks:
        ids = [vocabulary.setdefault(word, len(vocabulary)) for word in chunk.words]
        terms.append(np.asarray(ids, dtype=np.int32)[chunk.terms])
        sizes.append(np.diff(chunk.starts))
    none = np.zeros(0, dtype=np.int32)
    return TermCounts.summed(
        starts=np.cumsum(np.concatenate(sizes)),
        terms=np.concatenate([none, *terms]),
        counts=_narrow(np.concatenate([none, *(chunk.counts for chunk in chunks)])),
        vocabulary=vocabulary,
    )


def _narrow(counts: Int32Array) -> CountArray:
    if counts.max(initial=0) < 2**16:
        return counts.astype(np.uint16)
    return counts.astype(np.uint32)
