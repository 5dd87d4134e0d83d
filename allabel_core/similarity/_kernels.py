"""Compiled inner loops of BM25; imported only where numba is installed.

All release the interpreter lock: threads run them side by side over blocks of queries. Texts are
rows of (``starts``, ``terms``, ...) as in ``TermCounts``; postings list the texts of each term.
"""

# numba infers the types of these functions, per call, from the arrays it is given.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numba import njit

_CHUNK = 64


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


# The order of additions may change: it is far below what similarities are rounded to.
@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def score_pairs(starts, terms, counts, impacts, n_terms, queries, documents, out):
    """Exact S[queries[i], documents[i, j]] in float64; 0 where the document is -1."""
    asked = np.zeros(n_terms, dtype=np.float64)
    for row in range(len(queries)):
        q = queries[row]
        for j in range(starts[q], starts[q + 1]):
            asked[terms[j]] = counts[j]
        for i in range(documents.shape[1]):
            d = documents[row, i]
            total = 0.0
            if d >= 0:
                for j in range(starts[d], starts[d + 1]):
                    total += asked[terms[j]] * impacts[j]
            out[row, i] = total
        for j in range(starts[q], starts[q + 1]):
            asked[terms[j]] = 0.0


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
def row_sums(starts, terms, counts, values, out):
    """out[i] = sum over the terms of text i of count x value of the term."""
    for i in range(len(starts) - 1):
        for j in range(starts[i], starts[i + 1]):
            out[i] += counts[j] * values[terms[j]]


@njit(nogil=True, cache=True)
def insert_sorted(queries, documents, values, scale, left_out, found, compared, unrounded):
    """Insert (query, document, value) where the rounded value is above ``left_out``, best first.

    What falls off the end of a list raises its ``left_out``.
    """
    last = found.shape[1] - 1
    for i in range(len(queries)):
        q, d, value = queries[i], documents[i], values[i]
        if d < 0 or d == q or value <= left_out[q]:
            continue
        key = np.rint(value * scale) / scale
        place = last + 1
        while place > 0 and _precedes(key, d, compared[q, place - 1], found[q, place - 1]):
            place -= 1
        if place > last:
            left_out[q] = max(left_out[q], key)
            continue
        if found[q, last] >= 0:
            left_out[q] = max(left_out[q], compared[q, last])
        for later in range(last, place, -1):
            found[q, later] = found[q, later - 1]
            compared[q, later] = compared[q, later - 1]
            unrounded[q, later] = unrounded[q, later - 1]
        found[q, place] = d
        compared[q, place] = key
        unrounded[q, place] = value


@njit(nogil=True, cache=True, inline="always")
def _precedes(key, document, other_key, other_document):
    return other_document < 0 or key > other_key or (key == other_key and document < other_document)


@njit(nogil=True, cache=True)
def add_column(starts, terms, impacts, pointers, documents, counts, d, out):
    """out += S[:, d]: for each term of d, its impact times its count in every text that has it."""
    for j in range(starts[d], starts[d + 1]):
        for p in range(pointers[terms[j]], pointers[terms[j] + 1]):
            out[documents[p]] += counts[p] * impacts[j]


@njit(nogil=True, cache=True)
def count_words(codes, ends, is_word):
    """Distinct words of each text, numbered as first seen.

    :param codes: uint32 code points of all texts, one after the other. ``ends``: int64 (texts,).
    :param is_word: bool, by code point.
    :returns: (starts, words, counts) of the rows, and where each word was first seen: (place, length).
    """
    tokens = 0
    inside = False
    for code in codes:
        now = is_word[code]
        if now and not inside:
            tokens += 1
        inside = now
    slots = 16
    while slots < 2 * tokens:
        slots *= 2
    table = np.full(slots, -1, dtype=np.int32)
    hashes = np.empty(tokens, dtype=np.uint64)
    places = np.empty(tokens, dtype=np.int64)
    lengths = np.empty(tokens, dtype=np.int64)
    last_text = np.full(tokens, -1, dtype=np.int64)
    row_place = np.empty(tokens, dtype=np.int64)
    starts = np.zeros(len(ends) + 1, dtype=np.int64)
    words = np.empty(tokens, dtype=np.int32)
    counts = np.empty(tokens, dtype=np.int32)
    seen = 0
    filled = 0
    i = 0
    for text in range(len(ends)):
        while i < ends[text]:
            if not is_word[codes[i]]:
                i += 1
                continue
            begin = i
            code_hash = np.uint64(14695981039346656037)
            while i < ends[text] and is_word[codes[i]]:
                code_hash = (code_hash ^ np.uint64(codes[i])) * np.uint64(1099511628211)
                i += 1
            slot = _slot(table, hashes, places, lengths, codes, code_hash, begin, i - begin)
            word = table[slot]
            if word < 0:
                word = seen
                table[slot] = word
                hashes[word] = code_hash
                places[word] = begin
                lengths[word] = i - begin
                seen += 1
            if last_text[word] != text:
                last_text[word] = text
                row_place[word] = filled
                words[filled] = word
                counts[filled] = 0
                filled += 1
            counts[row_place[word]] += 1
        starts[text + 1] = filled
    return starts, words[:filled].copy(), counts[:filled].copy(), places[:seen].copy(), lengths[:seen].copy()


@njit(nogil=True, cache=True)
def _slot(table, hashes, places, lengths, codes, code_hash, begin, length):
    mask = np.uint64(len(table) - 1)
    # The multiplication leaves the low bits least mixed; fold the high ones in.
    slot = (code_hash ^ (code_hash >> np.uint64(29))) & mask
    while table[slot] >= 0:
        word = table[slot]
        if hashes[word] == code_hash and lengths[word] == length:
            same = True
            for i in range(length):
                if codes[places[word] + i] != codes[begin + i]:
                    same = False
                    break
            if same:
                break
        slot = (slot + np.uint64(1)) & mask
    return slot
