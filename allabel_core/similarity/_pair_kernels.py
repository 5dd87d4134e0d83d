"""Compiled scores of single pairs of texts, and what is proved with few of them.

Texts are rows as in ``_kernels``. *Lists* are rows of ``indices`` (n, width), -1 behind the last, with
``similarities`` descending; where ``stale``, a similarity is only known to be lower than that.
``left_out``: (n,) as in ``Lists``.
"""

# numba infers the types of these functions, per call, from the arrays it is given.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numba import njit


# No fastmath: vector gathers, which it would bring, are slower here than one load after the other.
@njit(nogil=True, cache=True)
def score_pairs(starts, terms, counts, impacts, n_terms, queries, documents, out):
    """Exact S[queries[i], documents[i, j]] in float64; 0 where the document is -1."""
    asked = np.zeros(n_terms, dtype=counts.dtype)
    for row in range(len(queries)):
        ask(starts, terms, counts, queries[row], asked)
        for i in range(documents.shape[1]):
            d = documents[row, i]
            out[row, i] = answer(starts, terms, impacts, d, asked) if d >= 0 else 0.0
        forget(starts, terms, queries[row], asked)


@njit(nogil=True, cache=True)
def ask(starts, terms, values, text, asked):
    """Lay the ``values`` of the text's terms out in ``asked``: (terms,), zero on entry."""
    own = terms[starts[text] : starts[text + 1]]
    laid_out = values[starts[text] : starts[text + 1]]
    for i in range(len(own)):
        asked[np.uint32(own[i])] = laid_out[i]


# Slices spare each access the check for a negative index: a quarter of the time.
@njit(nogil=True, cache=True)
def answer(starts, terms, values, text, asked):
    """Sum of the products: S[q, d] where the counts of q meet the impacts of d, whichever is laid out."""
    own = terms[starts[text] : starts[text + 1]]
    factors = values[starts[text] : starts[text + 1]]
    total = 0.0
    for i in range(len(own)):
        total += asked[np.uint32(own[i])] * factors[i]
    return total


@njit(nogil=True, cache=True)
def forget(starts, terms, text, asked):
    for term in terms[starts[text] : starts[text + 1]]:
        asked[np.uint32(term)] = 0


@njit(nogil=True, cache=True)
def column_by_rows(starts, terms, counts, impacts, n_terms, d, out):
    """out = S[:, d]."""
    asked = np.zeros(n_terms)
    ask(starts, terms, impacts, d, asked)
    for q in range(len(out)):
        out[q] = answer(starts, terms, counts, q, asked)


@njit(nogil=True, cache=True)
def farthest(starts, terms, counts, impacts, asked, chosen, available, scale, below, best, nearest, compared):
    """The available text whose highest similarity to ``chosen`` is lowest, ties by the lower index.

    A text is compared with one chosen text after the other only until it is more similar than the
    farthest found so far; what was found out is kept for the next call, with more ``chosen``.

    :param below: (n,) what the highest similarity is at least; raised.
    :param best: (n,) highest rounded similarity of each text to the first ``compared`` (n,) chosen
        ones, ``nearest`` (n,) the first of those that reach it; -inf, -1 and 0 at first.
    """
    first = -1
    least = np.inf
    for q in range(len(below)):
        if below[q] < least and available[q]:
            first = q
            least = below[q]
    found = first
    lowest = np.inf
    for i in range(-1, len(below)):
        q = i if i >= 0 else first
        if below[q] > lowest or not available[q] or i == first:
            continue
        ask(starts, terms, counts, q, asked)
        while compared[q] < len(chosen) and best[q] <= lowest:
            d = chosen[compared[q]]
            value = np.rint(answer(starts, terms, impacts, d, asked) * scale) / scale
            if value > best[q]:
                best[q] = value
                nearest[q] = d
            compared[q] += 1
        forget(starts, terms, q, asked)
        below[q] = max(below[q], best[q])
        if compared[q] == len(chosen) and (best[q] < lowest or (best[q] == lowest and q < found)):
            lowest = best[q]
            found = q
    return found


@njit(nogil=True, cache=True)
def first_listed(
    starts,
    terms,
    counts,
    impacts,
    n_terms,
    indices,
    similarities,
    unrounded,
    stale,
    left_out,
    queries,
    candidates,
    scale,
    found,
    compared,
    values,
    complete,
):
    """The first k listed candidates of each query; of stale ones only those are scored that may be.

    :param found: int64 (queries, k), -1 on entry; ``compared`` and ``values`` their rounded and
        unrounded similarities. ``complete``: bool (queries,), whether nothing left out belongs there.
    """
    width = indices.shape[1]
    k = found.shape[1]
    asked = np.zeros(n_terms, dtype=counts.dtype)
    for row in range(len(queries)):
        q = queries[row]
        laid_out = False
        taken = 0
        place = 0
        while taken < k and place < width and indices[q, place] >= 0:
            d = indices[q, place]
            if not candidates[d]:
                place += 1
            elif stale[q, place]:
                if not laid_out:
                    ask(starts, terms, counts, q, asked)
                    laid_out = True
                value = answer(starts, terms, impacts, d, asked)
                key = np.rint(value * scale) / scale
                _sink(indices, similarities, unrounded, stale, q, place, key, value)
            else:
                found[row, taken] = d
                compared[row, taken] = similarities[q, place]
                values[row, taken] = unrounded[q, place]
                taken += 1
                place += 1
        if laid_out:
            forget(starts, terms, q, asked)
        complete[row] = left_out[q] == -np.inf or (taken == k and compared[row, k - 1] >= left_out[q])


@njit(nogil=True, cache=True)
def _sink(indices, similarities, unrounded, stale, q, place, key, value):
    """Let the text at ``place`` of the list of q, now scored, sink to where it belongs."""
    d = indices[q, place]
    last = indices.shape[1] - 1
    while place < last and indices[q, place + 1] >= 0:
        other = similarities[q, place + 1]
        if other < key or (other == key and not stale[q, place + 1] and indices[q, place + 1] > d):
            break
        indices[q, place] = indices[q, place + 1]
        similarities[q, place] = other
        unrounded[q, place] = unrounded[q, place + 1]
        stale[q, place] = stale[q, place + 1]
        place += 1
    indices[q, place] = d
    similarities[q, place] = key
    unrounded[q, place] = value
    stale[q, place] = False


@njit(nogil=True, cache=True)
def nearest_before(starts, terms, counts, impacts, n_terms, texts, first, scale, nearest, similarities):
    """Of each of ``texts[first:]`` the most similar of all that stand before it, the first of several.

    :param nearest: int64 (len(texts) - first,), -1 on entry; ``similarities``: rounded.
    """
    ends = np.zeros(n_terms + 1, dtype=np.int32)
    for d in texts:
        for term in terms[starts[d] : starts[d + 1]]:
            ends[np.uint32(term) + 1] += 1
    for term in range(n_terms):
        ends[term + 1] += ends[term]
    places = np.empty(ends[-1], dtype=np.uint32)
    values = np.empty(ends[-1])
    begins = ends.copy()
    row = np.empty(len(texts))
    for i in range(len(texts)):
        own = terms[starts[texts[i]] : starts[texts[i] + 1]]
        own_counts = counts[starts[texts[i]] : starts[texts[i] + 1]]
        own_impacts = impacts[starts[texts[i]] : starts[texts[i] + 1]]
        row[:i] = 0.0
        for j in range(len(own)):
            term = np.uint32(own[j])
            if i >= first:
                count = np.float64(own_counts[j])
                found, worth = places[begins[term] : ends[term]], values[begins[term] : ends[term]]
                for p in range(len(found)):
                    row[found[p]] += count * worth[p]
            # Those that come after this text find it there.
            places[ends[term]] = i
            values[ends[term]] = own_impacts[j]
            ends[term] += 1
        if i >= first:
            best = -np.inf
            for x in range(i):
                # Rounding adds less than the last digit.
                if row[x] > best - 1 / scale and np.rint(row[x] * scale) / scale > best:
                    best = np.rint(row[x] * scale) / scale
                    nearest[i - first] = texts[x]
            similarities[i - first] = best


@njit(nogil=True, cache=True)
def row_sums(starts, terms, counts, values, first, second):
    """first[i] = sum over the terms of text i of count x ``values[term, 0]``, second[i] of the same x 1."""
    for i in range(len(starts) - 1):
        own = terms[starts[i] : starts[i + 1]]
        times = counts[starts[i] : starts[i + 1]]
        of_first = of_second = 0.0
        for j in range(len(own)):
            of_first += times[j] * values[np.uint32(own[j]), 0]
            of_second += times[j] * values[np.uint32(own[j]), 1]
        first[i] = of_first
        second[i] = of_second


@njit(nogil=True, cache=True)
def raise_lists(
    old_indices, old_similarities, old_left_out, origin, place, growth, slack, indices, bounds, left_out
):
    """Lists of the kept texts with every similarity as a bound: ``growth`` x it + ``slack`` (n,).

    :param origin: (n,) row of each text in the old lists, -1 for none; ``place`` turns that round.
    """
    for q in range(len(origin)):
        o = origin[q]
        if o < 0:
            continue
        left_out[q] = growth * old_left_out[o] + slack[q]
        filled = 0
        for i in range(old_indices.shape[1]):
            d = old_indices[o, i]
            if d >= 0 and place[d] >= 0:
                indices[q, filled] = place[d]
                bounds[q, filled] = growth * old_similarities[o, i] + slack[q]
                filled += 1
