"""Compiled inner loops of BM25; imported only where numba is installed.

All release the interpreter lock: threads run them side by side over blocks of queries. Texts are
rows of (``starts``, ``terms``, ...) as in ``TermCounts``; postings list the texts of each term.
"""

# numba infers the types of these functions, per call, from the arrays it is given.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numba import njit

from allabel_core.similarity._meeting_kernels import meet
from allabel_core.similarity._pair_kernels import (
    column_by_rows,
    farthest,
    first_listed,
    nearest_before,
    raise_lists,
    row_sums,
    score_pairs,
)
from allabel_core.similarity._word_kernels import count_words

# One namespace for those who call them.
__all__ = [
    "add_column",
    "column_by_rows",
    "count_postings",
    "count_texts",
    "count_words",
    "exact_rows",
    "farthest",
    "fill_tiles",
    "first_listed",
    "frequent_counts",
    "meet",
    "nearest_before",
    "raise_lists",
    "row_sums",
    "scan_tile",
    "score_block",
    "score_pairs",
    "scores_to_others",
    "turn_rows",
    "weigh",
]

_CHUNK = 64


@njit(nogil=True, cache=True)
def weigh(starts, terms, counts, weights, saturation, scale, impacts):
    """impacts = weight x (count x ``scale`` / (count + the text's ``saturation``))."""
    for d in range(len(starts) - 1):
        own = terms[starts[d] : starts[d + 1]]
        times = counts[starts[d] : starts[d + 1]]
        of_text = impacts[starts[d] : starts[d + 1]]
        for j in range(len(own)):
            count = np.float64(times[j])
            of_text[j] = weights[np.uint32(own[j])] * (count * scale / (count + saturation[d]))


@njit(nogil=True, cache=True)
def scores_to_others(starts, terms, counts, impacts, n_terms, out):
    """out[q] = sum over d != q of S[q, d], linear in the impacts: summed once, they serve all queries."""
    of_terms = np.zeros(n_terms)
    for j in range(len(terms)):
        of_terms[np.uint32(terms[j])] += impacts[j]
    for q in range(len(starts) - 1):
        total = 0.0
        for j in range(starts[q], starts[q + 1]):
            total += counts[j] * (of_terms[np.uint32(terms[j])] - impacts[j])
        out[q] = total


@njit(nogil=True, cache=True)
def turn_rows(starts, terms, counts, impacts, pointers, documents, out_counts, out_impacts):
    """Rows to postings. ``pointers``: int64 (terms + 1,), zero on entry."""
    for term in terms:
        pointers[term + 1] += 1
    for term in range(len(pointers) - 1):
        pointers[term + 1] += pointers[term]
    place = pointers[:-1].copy()
    for d in range(len(starts) - 1):
        for j in range(starts[d], starts[d + 1]):
            p = place[terms[j]]
            documents[p] = d
            out_counts[p] = counts[j]
            out_impacts[p] = impacts[j]
            place[terms[j]] += 1


@njit(nogil=True, cache=True)
def count_texts(starts, terms, documents, out):
    """out[term] += how many of the documents have the term."""
    for d in documents:
        for j in range(starts[d], starts[d + 1]):
            out[np.uint32(terms[j])] += 1


@njit(nogil=True, cache=True)
def score_block(starts, terms, counts, impacts, n_terms, queries, documents, out):
    """out[i, j] += S[queries[i], documents[j]], along the documents' own postings."""
    # Where the term before ends, two places on until all terms are counted, one until all are filled in.
    ends = np.zeros(n_terms + 2, dtype=np.int32)
    for d in documents:
        for term in terms[starts[d] : starts[d + 1]]:
            ends[np.uint32(term) + 2] += 1
    for term in range(n_terms):
        ends[term + 2] += ends[term + 1]
    places = np.empty(ends[-1], dtype=np.uint32)
    values = np.empty(ends[-1])
    for i in range(len(documents)):
        for j in range(starts[documents[i]], starts[documents[i] + 1]):
            p = ends[terms[j] + 1]
            places[p] = i
            values[p] = impacts[j]
            ends[terms[j] + 1] += 1
    for i in range(len(queries)):
        row = out[i]
        for j in range(starts[queries[i]], starts[queries[i] + 1]):
            count = np.float64(counts[j])
            begin, end = ends[terms[j]], ends[terms[j] + 1]
            found, worth = places[begin:end], values[begin:end]
            for p in range(len(found)):
                row[found[p]] += count * worth[p]


@njit(nogil=True, cache=True)
def count_postings(starts, terms, documents, column, tile_size, pointers):
    """Where the postings of each tile's rare terms begin.

    :param column: int32 (terms,), -1 for rare terms.
    :param pointers: int32 (tiles, terms + 1), zero on entry; on exit tile t's postings of a term are
        ``[pointers[t, term], pointers[t, term + 1])``.
    """
    for i in range(len(documents)):
        d = documents[i]
        for j in range(starts[d], starts[d + 1]):
            if column[terms[j]] < 0:
                pointers[i // tile_size, terms[j] + 1] += 1
    base = 0
    for tile in range(pointers.shape[0]):
        pointers[tile, 0] = base
        for term in range(pointers.shape[1] - 1):
            pointers[tile, term + 1] += pointers[tile, term]
        base = pointers[tile, -1]


@njit(nogil=True, cache=True)
def fill_tiles(starts, terms, impacts, documents, column, tile_size, pointers, offsets, weights, dense):
    """Postings of the rare terms, rows of the frequent ones.

    :param offsets: uint16, place of the document in its tile. ``weights``: float32, its impact.
    :param dense: float32 (frequent terms, documents), zero on entry.
    """
    filled = np.zeros(pointers.shape[1], dtype=np.int32)
    for i in range(len(documents)):
        tile = i // tile_size
        if i % tile_size == 0:
            filled[:] = 0
        d = documents[i]
        for j in range(starts[d], starts[d + 1]):
            term = terms[j]
            if column[term] >= 0:
                dense[column[term], i] = impacts[j]
                continue
            place = pointers[tile, term] + filled[term]
            offsets[place] = i - tile * tile_size
            weights[place] = impacts[j]
            filled[term] += 1


@njit(nogil=True, cache=True)
def frequent_counts(starts, terms, counts, queries, column, out):
    """``out``: float32 (queries, frequent terms), zero on entry; how often each query has each of them."""
    for row in range(len(queries)):
        for j in range(starts[queries[row]], starts[queries[row] + 1]):
            if column[terms[j]] >= 0:
                out[row, column[terms[j]]] = counts[j]


@njit(nogil=True, cache=True, fastmath=True)
def scan_tile(
    sums, starts, terms, counts, queries, pointers, offsets, weights, documents, first, best, found
):
    """Add the rare terms' postings of one tile to ``sums`` and keep each query's best documents.

    :param sums: float32 (queries, tile), the frequent terms' part of each score.
    :param first: place of the tile's first document in ``documents``.
    :param best: float32 (queries, c), ascending, and ``found`` int64 the documents; updated.
    """
    width = sums.shape[1]
    for row in range(len(queries)):
        q = queries[row]
        scores = sums[row]
        for j in range(starts[q], starts[q + 1]):
            term = terms[j]
            count = np.float32(counts[j])
            for p in range(pointers[term], pointers[term + 1]):
                scores[offsets[p]] += count * weights[p]
        lowest = best[row, 0]
        for start in range(0, width, _CHUNK):
            end = min(start + _CHUNK, width)
            highest = scores[start]
            for i in range(start, end):
                highest = max(highest, scores[i])
            if highest > lowest:
                for i in range(start, end):
                    if scores[i] > lowest and documents[first + i] != q:
                        _insert(best[row], found[row], scores[i], documents[first + i])
                        lowest = best[row, 0]


@njit(nogil=True, cache=True, inline="always")
def _insert(best, found, score, document):
    place = 0
    while place + 1 < len(best) and best[place + 1] < score:
        best[place] = best[place + 1]
        found[place] = found[place + 1]
        place += 1
    best[place] = score
    found[place] = document


@njit(nogil=True, cache=True)
def exact_rows(starts, terms, counts, pointers, documents, impacts, queries, allowed, scale, found, values):
    """Each query's best allowed documents by value rounded to 1 / ``scale``, ties by the lower index.

    :param pointers: (terms + 1,) where each term's postings begin in ``documents`` and ``impacts``.
    :param found: int64 (queries, k), -1 on entry; ``values`` float64 unrounded; filled best first.
    """
    k = found.shape[1]
    scores = np.zeros(len(allowed))
    compared = np.empty(k)
    for row in range(len(queries)):
        q = queries[row]
        scores[:] = 0.0
        for j in range(starts[q], starts[q + 1]):
            for p in range(pointers[terms[j]], pointers[terms[j] + 1]):
                scores[documents[p]] += counts[j] * impacts[p]
        compared[:] = -np.inf
        for d in range(len(allowed)):
            if not allowed[d] or d == q or scores[d] < compared[k - 1] - 1.0 / scale:
                continue
            value = np.rint(scores[d] * scale) / scale
            if value > compared[k - 1]:
                place = k - 1
                while place > 0 and compared[place - 1] < value:
                    compared[place] = compared[place - 1]
                    found[row, place] = found[row, place - 1]
                    values[row, place] = values[row, place - 1]
                    place -= 1
                compared[place] = value
                found[row, place] = d
                values[row, place] = scores[d]


@njit(nogil=True, cache=True)
def add_column(starts, terms, impacts, pointers, documents, counts, d, out):
    """out += S[:, d]: for each term of d, its impact times its count in every text that has it."""
    for j in range(starts[d], starts[d + 1]):
        for p in range(pointers[terms[j]], pointers[terms[j] + 1]):
            out[documents[p]] += counts[p] * impacts[j]
