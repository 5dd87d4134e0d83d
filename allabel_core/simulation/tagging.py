"""Texts as tokens with features and BIO tags, and back to spans."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from allabel_core.types import Document, IntArray, Span

OUTSIDE = "O"

_TOKEN = re.compile(r"\w+|[^\w\s]")
_RUN = re.compile(r"(.)\1+")
_EDGE = "<>"
_AFFIXES = (2, 3, 4)


def token_bounds(text: str) -> list[tuple[int, int]]:
    """Half-open ranges of the text's words and punctuation marks."""
    return [match.span() for match in _TOKEN.finditer(text)]


def bio_tags(document: Document, bounds: Sequence[tuple[int, int]]) -> list[str]:
    """A tag per token. Of overlapping spans the earlier, then the longer, keeps its tokens."""
    tags = [OUTSIDE] * len(bounds)
    for span in sorted(document.spans, key=lambda span: (span.start, -span.end, span.label)):
        inside = [i for i, (start, end) in enumerate(bounds) if span.start < end and start < span.end]
        if inside and all(tags[i] == OUTSIDE for i in inside):
            tags[inside[0]] = f"B-{span.label}"
            for i in inside[1:]:
                tags[i] = f"I-{span.label}"
    return tags


def spans_of_tags(tags: Sequence[str], bounds: Sequence[tuple[int, int]]) -> tuple[Span, ...]:
    """The spans that the tags mean; an I without its B begins a span."""
    spans: list[Span] = []
    label, start = "", -1
    for i, tag in enumerate([*tags, OUTSIDE]):
        if label and tag != f"I-{label}":
            spans.append(Span(bounds[start][0], bounds[i - 1][1], label))
            label = ""
        if tag != OUTSIDE and not label:
            label, start = tag[2:], i
    return tuple(spans)


def shape(word: str) -> str:
    """Upper-case letters as A, other letters as a, digits as 0, runs as one: "Mg2+" is "Aa0+"."""
    kinds = "".join("0" if c.isdigit() else "A" if c.isupper() else "a" if c.isalpha() else c for c in word)
    return _RUN.sub(r"\1", kinds)


def token_features(words: Sequence[str]) -> list[list[str]]:
    """For each token the names of its features: the word, its affixes and shape, and its neighbours'."""
    lower = [_EDGE, _EDGE, *(word.lower() for word in words), _EDGE, _EDGE]
    shapes = [_EDGE, *(shape(word) for word in words), _EDGE]
    features: list[list[str]] = []
    for i in range(len(words)):
        before2, before, word, after, after2 = lower[i : i + 5]
        names = ["*", f"w {word}", f"s {shapes[i + 1]}", f"s- {shapes[i]}", f"s+ {shapes[i + 2]}"]
        names += [f"w- {before}", f"w+ {after}", f"w-- {before2}", f"w++ {after2}"]
        names += [f"w-w {before} {word}", f"ww+ {word} {after}"]
        for size in _AFFIXES:
            if len(word) > size:
                names += [f"{size}. {word[:size]}", f".{size} {word[-size:]}"]
        features.append(names)
    return features


class FeatureTable:
    """Numbers for the features of texts, each text worked out once."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._rows: dict[str, tuple[list[tuple[int, int]], list[IntArray]]] = {}

    def __len__(self) -> int:
        """How many features have a number."""
        return len(self._number)

    def rows(self, text: str) -> tuple[list[tuple[int, int]], list[IntArray]]:
        """The tokens' bounds, and each token's feature numbers."""
        known = self._rows.get(text)
        if known is None:
            bounds = token_bounds(text)
            named = token_features([text[start:end] for start, end in bounds])
            number = self._number
            rows = [
                np.array([number.setdefault(name, len(number)) for name in names], dtype=np.int64)
                for names in named
            ]
            known = self._rows[text] = bounds, rows
        return known
