"""Compiled comparison of new texts with all others, by float32 scores. Texts are rows as in ``_kernels``."""

# numba infers the types of these functions, per call, from the arrays it is given.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numba import njit

# New texts looked at together: seven registers of 16. Loops of a constant length leave no rest behind,
# and what they read stays in the processor's cache.
_AT_ONCE = 112
# A term that so many of them have is added up for all of them.
_COMMON = 3
# A text's place among the new ones and what a term has there, side by side.
_POSTING = np.dtype([("place", np.int32), ("impact", np.float32), ("count", np.float32)])


@njit(nogil=True, cache=True)
def meet(starts, terms, counts, impacts, n_terms, origin, added, growth, margin, indices, bounds, left_out):
    """Put the texts ``added`` on all others' lists, and all others on theirs.

    :param origin: (n,) below 0 for the texts ``added``.
    :param growth: a float32 score x this + ``margin`` is above the exact similarity.
    """
    lists = indices, bounds, left_out
    for first in range(0, len(added), _AT_ONCE):
        few = added[first : first + _AT_ONCE]
        _meet_few(starts, terms, counts, impacts, n_terms, origin, few, growth, margin, *lists)


@njit(nogil=True, cache=True)
def _meet_few(
    starts, terms, counts, impacts, n_terms, origin, added, growth, margin, indices, bounds, left_out
):
    """``meet`` for up to ``_AT_ONCE`` texts."""
    slot, dense_impacts, dense_counts, rest = _laid_out(starts, terms, counts, impacts, n_terms, added)
    longest = np.max(starts[1:] - starts[:-1])
    # Entries are unsigned: nothing is then lost on asking whether an index counts from the end.
    some = np.empty(longest + 1, dtype=np.uint64)
    rows = np.empty(longest + 8, dtype=np.uint32)
    row_counts = np.empty(longest + 8, dtype=np.float32)
    row_impacts = np.empty(longest + 8, dtype=np.float32)
    to_added, from_added = _zeros(1)[0], _zeros(1)[0]
    lowest = np.full(_AT_ONCE, np.inf, dtype=np.float32)
    lowest[: len(added)] = -np.inf
    for r in range(len(starts) - 1):
        # Sorted out without a branch: which entry is which cannot be predicted.
        n_dense = 0
        n_some = 0
        for j in range(np.uint64(starts[r]), np.uint64(starts[r + 1])):
            s = slot[np.uint32(terms[j])]
            rows[n_dense] = s
            row_counts[n_dense] = counts[j]
            row_impacts[n_dense] = impacts[j]
            some[n_some] = j
            n_dense += s > 0
            n_some += s < 0
        to_added[:] = 0.0
        from_added[:] = 0.0
        for j in some[:n_some]:
            count, impact = np.float32(counts[j]), np.float32(impacts[j])
            s = np.uint32(-slot[np.uint32(terms[j])])
            for p in range(_COMMON - 1):
                posting = rest[s, p]
                to_added[np.uint32(posting.place)] += count * posting.impact
                from_added[np.uint32(posting.place)] += impact * posting.count
        for i in range(n_dense, n_dense + 7):
            rows[i] = 0
            row_counts[i] = 0.0
            row_impacts[i] = 0.0
        _add(to_added, rows, row_counts, n_dense, dense_impacts)
        _add(from_added, rows, row_impacts, n_dense, dense_counts)
        enough = np.float32((left_out[r] - margin) / growth)
        if _any_reaches(to_added, enough):
            for x in range(len(added)):
                if to_added[x] >= enough and added[x] != r:
                    _list(indices[r], bounds[r], left_out, r, added[x], to_added[x] * growth + margin)
        if origin[r] >= 0 and _any_reaches_its_own(from_added, lowest):
            for x in range(len(added)):
                if from_added[x] >= lowest[x]:
                    q = added[x]
                    _list(indices[q], bounds[q], left_out, q, r, from_added[x] * growth + margin)
                    lowest[x] = np.float32((left_out[q] - margin) / growth)


@njit(nogil=True, cache=True)
def _list(indices, bounds, left_out, q, d, bound):
    """Insert d; what falls off the end of the list raises its ``left_out``."""
    last = len(indices) - 1
    if indices[last] >= 0:
        left_out[q] = max(left_out[q], min(bound, bounds[last]))
        if bound <= bounds[last]:
            return
    place = last
    while place > 0 and (indices[place - 1] < 0 or bounds[place - 1] < bound):
        indices[place] = indices[place - 1]
        bounds[place] = bounds[place - 1]
        place -= 1
    indices[place] = d
    bounds[place] = bound


@njit(nogil=True, cache=True)
def _laid_out(starts, terms, counts, impacts, n_terms, added):
    """The texts ``added`` by their terms.

    :returns: int32 (terms,) slots: 0 for terms that no added text has, above 0 rows of the next two,
        below 0 minus rows of the last; float32 (common + 1, _AT_ONCE) impacts and the same of counts,
        zero in row 0; postings (rest + 1, _COMMON - 1), those that a term does not fill add zero.
    """
    frequency = np.zeros(n_terms, dtype=np.int32)
    for q in added:
        for j in range(starts[q], starts[q + 1]):
            frequency[terms[j]] += 1
    slot = np.zeros(n_terms, dtype=np.int32)
    common = 0
    few = 0
    for q in added:
        for j in range(starts[q], starts[q + 1]):
            if slot[terms[j]] == 0 and frequency[terms[j]] >= _COMMON:
                common += 1
                slot[terms[j]] = common
            elif slot[terms[j]] == 0:
                few += 1
                slot[terms[j]] = -few
    dense_impacts, dense_counts = _zeros(common + 1), _zeros(common + 1)
    rest = np.zeros((few + 1, _COMMON - 1), dtype=_POSTING)
    for x in range(len(added)):
        for j in range(starts[added[x]], starts[added[x] + 1]):
            s = slot[terms[j]]
            if s > 0:
                dense_impacts[s, x] = impacts[j]
                dense_counts[s, x] = counts[j]
            else:
                frequency[terms[j]] -= 1
                posting = rest[-s, frequency[terms[j]]]
                posting.place = x
                posting.impact = impacts[j]
                posting.count = counts[j]
    return slot, dense_impacts, dense_counts, rest


@njit(nogil=True, cache=True)
def _zeros(rows):
    """float32 (rows, _AT_ONCE), from the beginning of a cache line: registers that span two load slower."""
    room = np.zeros(rows * _AT_ONCE + 16, dtype=np.float32)
    first = -(room.ctypes.data // room.itemsize) % 16
    return room[first : first + rows * _AT_ONCE].reshape((rows, _AT_ONCE))


# Eight rows at once: sums are loaded and stored once for all. A product and a sum may be rounded together.
@njit(nogil=True, cache=True, fastmath={"contract"})
def _add(sums, rows, factors, size, table):
    """sums += the first ``size`` of ``factors`` x ``rows`` of the table; up to seven more must be zero."""
    for i in range(0, size, 8):
        a, b, c, d = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        e, f, g, h = rows[i + 4], rows[i + 5], rows[i + 6], rows[i + 7]
        by_a, by_b, by_c, by_d = factors[i], factors[i + 1], factors[i + 2], factors[i + 3]
        by_e, by_f, by_g, by_h = factors[i + 4], factors[i + 5], factors[i + 6], factors[i + 7]
        for x in range(_AT_ONCE):
            half = sums[x] + by_a * table[a, x] + by_b * table[b, x] + by_c * table[c, x] + by_d * table[d, x]
            sums[x] = half + by_e * table[e, x] + by_f * table[f, x] + by_g * table[g, x] + by_h * table[h, x]


# These look at all scores, since a loop that could end early would look at one after the other.
@njit(nogil=True, cache=True)
def _any_reaches(scores, enough):
    found = False
    for x in range(_AT_ONCE):
        found |= scores[x] >= enough
    return found


@njit(nogil=True, cache=True)
def _any_reaches_its_own(scores, enough):
    found = False
    for x in range(_AT_ONCE):
        found |= scores[x] >= enough[x]
    return found
