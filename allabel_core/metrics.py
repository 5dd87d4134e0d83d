"""Precision, recall and F1 of predicted entities (spec, "Scoring predictions")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from allabel_core.errors import InvalidInputError
from allabel_core.types import Document, FloatArray, IntArray, Span

# By label: (true positives, false positives, false negatives) of one document.
_LabelCounts: TypeAlias = dict[str, tuple[int, int, int]]
_BOOTSTRAP_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True)
class Counts:
    """True positives, false positives, false negatives. A ratio without a denominator is 0."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    @property
    def precision(self) -> float:
        return self.tp / max(1, self.tp + self.fp)

    @property
    def recall(self) -> float:
        return self.tp / max(1, self.tp + self.fn)

    @property
    def f1(self) -> float:
        return 2 * self.tp / max(1, 2 * self.tp + self.fp + self.fn)

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)


@dataclass(frozen=True, slots=True)
class Scores:
    """Counts summed over documents. ``by_label``: sorted by label; ``by_document``: in their order."""

    total: Counts
    by_label: dict[str, Counts] = field(default_factory=dict)
    by_document: tuple[Counts, ...] = field(default=(), repr=False)

    @property
    def precision(self) -> float:
        return self.total.precision

    @property
    def recall(self) -> float:
        return self.total.recall

    @property
    def f1(self) -> float:
        return self.total.f1


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


def score_entities(predicted: Sequence[Document], gold: Sequence[Document]) -> Scores:
    """Strict match of (text, label), each document's answer a set: the paper's measure.

    :raises InvalidInputError: if the two sequences do not pair up.
    """
    return _score(predicted, gold, lambda p, g: _matched_sets(_entities(p), _entities(g)))


def score_spans(predicted: Sequence[Document], gold: Sequence[Document]) -> Scores:
    """Strict match of (start, end, label). Raises as ``score_entities``."""
    return _score(predicted, gold, lambda p, g: _matched_sets(_span_set(p), _span_set(g)))


def score_overlap(predicted: Sequence[Document], gold: Sequence[Document]) -> Scores:
    """Spans of one label that share a character match, one to one, as many as possible.

    Raises as ``score_entities``.
    """
    return _score(predicted, gold, _matched_overlaps)


def _entities(document: Document) -> set[tuple[str, str]]:
    return {(document.text[span.start : span.end], span.label) for span in document.spans}


def _span_set(document: Document) -> set[tuple[Span, str]]:
    return {(span, span.label) for span in document.spans}


def _score(
    predicted: Sequence[Document],
    gold: Sequence[Document],
    count: Callable[[Document, Document], _LabelCounts],
) -> Scores:
    if len(predicted) != len(gold):
        raise InvalidInputError(f"{len(predicted)} predicted documents for {len(gold)} gold ones")
    by_label: dict[str, Counts] = {}
    by_document: list[Counts] = []
    for mine, right in zip(predicted, gold, strict=True):
        here = Counts()
        for label, (tp, fp, fn) in count(mine, right).items():
            counts = Counts(tp, fp, fn)
            by_label[label] = by_label.get(label, Counts()) + counts
            here += counts
        by_document.append(here)
    return Scores(sum(by_document, Counts()), dict(sorted(by_label.items())), tuple(by_document))


def _matched_sets(predicted: set, gold: set) -> _LabelCounts:  # type: ignore[type-arg]
    """Members are pairs of anything and a label."""
    tp, fp, fn = (
        Counter(label for _, label in members)
        for members in (predicted & gold, predicted - gold, gold - predicted)
    )
    return {label: (tp[label], fp[label], fn[label]) for label in tp | fp | fn}


def _matched_overlaps(predicted: Document, gold: Document) -> _LabelCounts:
    counts: _LabelCounts = {}
    mine, right = _bounds_by_label(predicted), _bounds_by_label(gold)
    for label in mine.keys() | right.keys():
        rows, columns = mine.get(label), right.get(label)
        if rows is None or columns is None:
            counts[label] = (0, 0 if rows is None else len(rows), 0 if columns is None else len(columns))
            continue
        touch = (rows[:, :1] < columns[:, 1]) & (columns[:, 0] < rows[:, 1:])
        matched = int((maximum_bipartite_matching(csr_array(touch), perm_type="column") >= 0).sum())
        counts[label] = (matched, len(rows) - matched, len(columns) - matched)
    return counts


def _bounds_by_label(document: Document) -> dict[str, IntArray]:
    """(spans, 2): start and end of each different span."""
    bounds: dict[str, list[tuple[int, int]]] = {}
    for span in sorted(set(document.spans)):
        bounds.setdefault(span.label, []).append((span.start, span.end))
    return {label: np.asarray(pairs, dtype=np.int64) for label, pairs in bounds.items()}


def f1_interval(
    scores: Scores, rng: np.random.Generator, *, resamples: int = 1_000, level: float = 0.95
) -> Interval:
    """Bootstrap interval of F1: the documents drawn again with replacement, percentiles of their F1.

    :raises InvalidInputError: if no document was scored.
    """
    n = len(scores.by_document)
    if n == 0:
        raise InvalidInputError("an interval needs at least one document")
    counts = np.array([(c.tp, c.fp, c.fn) for c in scores.by_document], dtype=np.int64)
    block = max(1, _BOOTSTRAP_BLOCK // n)
    sums = [
        rng.multinomial(n, np.full(n, 1 / n), size=min(block, resamples - done)) @ counts
        for done in range(0, resamples, block)
    ]
    low, high = np.quantile(_f1(np.concatenate(sums)), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _f1(sums: IntArray) -> FloatArray:
    """(resamples,) from (resamples, 3): tp, fp, fn."""
    twice = 2.0 * sums[:, 0]
    f1: FloatArray = twice / np.maximum(1, twice + sums[:, 1] + sums[:, 2])
    return f1
