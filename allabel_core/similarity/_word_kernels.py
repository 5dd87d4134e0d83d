"""Compiled counting of words; imported only where numba is installed."""

# numba infers the types of these functions, per call, from the arrays it is given.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numba import njit


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
