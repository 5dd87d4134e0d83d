"""Names for the regions of the corpus' picture: the words that set their texts apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from allabel_core.similarity.tokenize import Tokenizer, tokenize
from allabel_core.types import FloatArray

SIDE = 3
WORDS = 3
LEAST_SHARE = 0.04
LEAST_TEXTS = 5
LEAST_LIFT = 1.5
MOST_READ = 5_000


class Region(NamedTuple):
    """``x``, ``y``: the mean of its texts' places; ``words``: its characteristic words, best first."""

    x: float
    y: float
    words: tuple[str, ...]


def name_regions(texts: Sequence[str], points: FloatArray, tokenizer: Tokenizer = tokenize) -> list[Region]:
    """Regions of a grid of three by three that hold enough texts, those of the most texts first.

    A word is characteristic by how much larger its share of the region's texts is than of all texts;
    only words of more than three letters count that a fifth of the region's texts have, and half as
    often again as all texts. At most 5,000 texts are read.

    :param points: (n, 2) in [-1, 1], the places of the texts.
    """
    step = max(1, -(-len(texts) // MOST_READ))
    read, places = texts[::step], points[::step]
    if not len(read):
        return []
    words = [{word for word in tokenizer(text) if word.isalpha() and len(word) > 3} for text in read]
    everywhere = Counter(word for each in words for word in each)
    cells = np.clip(((places + 1) / 2 * SIDE).astype(int), 0, SIDE - 1)
    found = []
    for cell, count in Counter(map(tuple, cells.tolist())).most_common():
        if count < max(LEAST_TEXTS, LEAST_SHARE * len(read)):
            continue
        inside = np.flatnonzero((cells == cell).all(axis=1))
        here = Counter(word for index in inside for word in words[index])
        overall = {word: everywhere[word] / len(read) for word in here}
        excess = {
            word: n / count - overall[word]
            for word, n in here.items()
            if n >= count / 5 and n / count >= LEAST_LIFT * overall[word]
        }
        best = sorted(excess, key=lambda word: (-excess[word], word))[:WORDS]
        if best:
            x, y = places[inside].mean(axis=0)
            found.append(Region(round(float(x), 3), round(float(y), 3), tuple(best)))
    return found
