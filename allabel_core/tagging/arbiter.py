"""How likely people are to keep a candidate, and which candidates to show.

It is learnt from candidates about annotated texts, by sources that have not seen these texts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from allabel_core.tagging.candidates import Candidate, describe, find_candidates
from allabel_core.tagging.crf import Preparation, Tagged
from allabel_core.tagging.lexicon import Lexicon
from allabel_core.tagging.sources import ModelSpans
from allabel_core.types import BoolArray, Document, FloatArray, IntArray, Span

FOLDS = 5

_RIDGE = 1.0
_STEPS = 30


@dataclass(frozen=True)
class Arbiter:
    """Logistic regression: P(kept) = 1 / (1 + exp(-features @ weights)).

    ``threshold``: a candidate is worth showing from this probability on.
    """

    weights: FloatArray
    threshold: float

    def __call__(self, features: FloatArray) -> FloatArray:
        return sigmoid(features @ self.weights)


def sigmoid(scores: FloatArray) -> FloatArray:
    found: FloatArray = 1 / (1 + np.exp(-np.clip(scores, -30, 30)))
    return found


def fit_weights(features: FloatArray, kept: BoolArray, *, ridge: float = _RIDGE) -> FloatArray:
    """Newton's method on the ridge-regularised likelihood; the first column, a constant, is free.

    :param features: (n, features). :param kept: (n,).
    """
    penalty = np.full(features.shape[1], ridge)
    penalty[0] = 1e-3
    weights = np.zeros(features.shape[1])
    right = kept.astype(np.float64)
    for _ in range(_STEPS):
        likely = sigmoid(features @ weights)
        gradient = features.T @ (right - likely) - penalty * weights
        spread = np.maximum(likely * (1 - likely), 1e-6)
        curvature = (features * spread[:, None]).T @ features + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        weights += step
        if np.abs(step).max() < 1e-6:
            break
    return weights


def choose(spans: Sequence[Span], worths: Sequence[float]) -> list[int]:
    """Indices of the non-overlapping spans whose worths have the highest sum; worths below 0 never."""
    order = sorted((i for i, worth in enumerate(worths) if worth > 0), key=lambda i: (spans[i].end, spans[i]))
    ends = [spans[i].end for i in order]
    best = [0.0]
    before: list[int] = []
    for place, i in enumerate(order):
        before.append(bisect_right(ends, spans[i].start, hi=place))
        best.append(max(best[-1], best[before[-1]] + worths[i]))
    chosen, place = [], len(order)
    while place:
        if best[place] == best[place - 1]:
            place -= 1
        else:
            chosen.append(order[place - 1])
            place = before[place - 1]
    return sorted(chosen)


def best_threshold(likely: Sequence[FloatArray], spans: Sequence[Sequence[Span]], gold: int) -> float:
    """Half of the expected F1 that it leads to: the threshold of the highest expected F1.

    Per text the probabilities of its candidates and their spans; ``gold``: how many spans there are.
    """
    threshold = 0.3
    for _ in range(5):
        kept = hits = 0.0
        for probabilities, here in zip(likely, spans, strict=True):
            chosen = choose(here, (probabilities - threshold).tolist())
            kept += len(chosen)
            hits += float(probabilities[chosen].sum())
        threshold = min(0.5, max(0.1, hits / max(1.0, kept + gold)))
    return threshold


@dataclass
class Evidence:
    """Annotated texts with what each source says of them without having seen their annotation.

    ``folds`` (texts,). ``answers``: by text, where a model answered.
    """

    documents: Sequence[Document]
    folds: IntArray
    tagged: Sequence[Tagged]
    lexicon: Lexicon
    answers: Mapping[int, ModelSpans] = field(default_factory=dict)

    def rows(self, texts: Sequence[int], labels: Sequence[str], *, with_model: bool) -> Rows:
        """Candidates of these texts, all sources asked, or all but the model."""
        found = []
        for i in texts:
            document = self.documents[i]
            said = self.answers.get(i, ()) if with_model else ()
            own = self.lexicon.own(document)
            found.append(find_candidates(document.text, self.tagged[i], self.lexicon, said, own))
        features = [describe(candidates, labels, with_model=with_model) for candidates in found]
        gold = [set(self.documents[i].spans) for i in texts]
        return Rows(self.folds[list(texts)], found, features, gold)


def cross_fitted(
    documents: Sequence[Document],
    preparation: Preparation,
    lexicon: Lexicon,
    answers: Mapping[int, ModelSpans],
) -> Evidence:
    """A fifth of the texts at a time, tagged by a tagger of the others."""
    folds = np.arange(len(documents), dtype=np.int64) % FOLDS
    tagged: dict[int, Tagged] = {}
    for fold in range(FOLDS):
        tagger = preparation.train(np.flatnonzero(folds != fold).tolist())
        for i in np.flatnonzero(folds == fold).tolist():
            tagged[i] = tagger.tag(documents[i].text)
    return Evidence(documents, folds, [tagged[i] for i in range(len(documents))], lexicon, answers)


@dataclass
class Rows:
    """Candidates of several texts: per text its fold, its candidates, their features, and its gold spans."""

    folds: IntArray
    candidates: Sequence[Sequence[Candidate]]
    features: Sequence[FloatArray]
    gold: Sequence[set[Span]]

    def fit(self) -> tuple[Arbiter, list[FloatArray]]:
        """The arbiter of all texts, and the candidates' probabilities by arbiters of the other folds."""
        likely: list[FloatArray] = [np.zeros(0)] * len(self.folds)
        for fold in range(FOLDS):
            weights = self._weights(np.flatnonzero(self.folds != fold))
            for i in np.flatnonzero(self.folds == fold).tolist():
                likely[i] = Arbiter(weights, 0.0)(self.features[i])
        spans = [[candidate.span for candidate in here] for here in self.candidates]
        threshold = best_threshold(likely, spans, sum(map(len, self.gold)))
        return Arbiter(self._weights(np.arange(len(self.folds))), threshold), likely

    def of(self, places: Sequence[int]) -> Rows:
        """Of some of the texts alone."""
        return Rows(
            self.folds[list(places)],
            [self.candidates[i] for i in places],
            [self.features[i] for i in places],
            [self.gold[i] for i in places],
        )

    def _weights(self, texts: IntArray) -> FloatArray:
        features = np.concatenate([self.features[i] for i in texts])
        kept = [c.span in self.gold[i] for i in texts for c in self.candidates[i]]
        return fit_weights(features, np.array(kept, dtype=bool))

    def chosen(self, likely: Sequence[FloatArray], threshold: float) -> list[list[Span]]:
        """Per text what would be shown."""
        found = []
        for candidates, here in zip(self.candidates, likely, strict=True):
            spans = [candidate.span for candidate in candidates]
            found.append([spans[i] for i in choose(spans, (here - threshold).tolist())])
        return found
