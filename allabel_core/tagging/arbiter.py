"""How likely people are to keep a candidate, and which candidates to show.

It is learnt from candidates about annotated texts, by sources that have not seen these texts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from allabel_core.tagging.candidates import (
    MODEL_FEATURES,
    Candidate,
    describe,
    describe_answer,
    find_candidates,
)
from allabel_core.tagging.crf import Preparation, Tagged
from allabel_core.tagging.lexicon import Lexicon
from allabel_core.tagging.sources import ModelSpans
from allabel_core.types import BoolArray, Document, FloatArray, IntArray, Span

FOLDS = 5

# Of logistic regression: on each feature; on the labels' columns beside a model's answer.
_RIDGE, _JOINING_RIDGE, _LABEL_RIDGE = 1.0, 0.3, 3.0
# The constant, and what the others say, are nearly free.
_FREE, _NEARLY_FREE = 1e-3, 0.1
_STEPS = 30
_SUREST = 5.3


@dataclass(frozen=True)
class Arbiter:
    """P(people would keep a candidate), by logistic regression on ``describe``; where there is a language
    model's answer, by a second one on the first one's score and ``describe_answer``.

    ``joining``: weights of the second, None where there is none. ``threshold``: a candidate is worth showing
    from this probability on.
    """

    weights: FloatArray
    joining: FloatArray | None
    threshold: float

    def __call__(self, features: FloatArray, answer: FloatArray | None = None) -> FloatArray:
        scores = features @ self.weights
        if self.joining is not None and answer is not None:
            scores = joined_features(scores, answer) @ self.joining
        return sigmoid(scores)


def joined_features(scores: FloatArray, answer: FloatArray) -> FloatArray:
    """(n, 3 + columns of ``answer``): a constant, the score, the score where the model agrees, the answer."""
    scores = np.clip(scores, -_SUREST, _SUREST)[:, None]
    return np.concatenate([np.ones_like(scores), scores, answer[:, :1] * scores, answer], axis=1)


def sigmoid(scores: FloatArray) -> FloatArray:
    found: FloatArray = 1 / (1 + np.exp(-np.clip(scores, -30, 30)))
    return found


def fit_weights(features: FloatArray, kept: BoolArray, penalty: FloatArray) -> FloatArray:
    """Newton's method on the likelihood less half of ``penalty`` times the squared weights.

    :param features: (n, features). :param kept: (n,). :param penalty: (features,).
    """
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
        features = [describe(candidates, labels) for candidates in found]
        answers = [describe_answer(candidates, labels) for candidates in found] if with_model else None
        gold = [set(self.documents[i].spans) for i in texts]
        return Rows(self.folds[list(texts)], found, features, answers, gold)


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
    """Candidates of several texts: per text its fold, its candidates, their features, what a model's answer
    says of them, and its gold spans.
    """

    folds: IntArray
    candidates: Sequence[Sequence[Candidate]]
    features: Sequence[FloatArray]
    answers: Sequence[FloatArray] | None
    gold: Sequence[set[Span]]

    def fit(self) -> tuple[Arbiter, list[FloatArray]]:
        """The arbiter of all texts, and the candidates' probabilities by arbiters of the other folds."""
        weights, scores = self._fitted(self.features, self._penalty())
        joining = None
        if self.answers is not None:
            pairs = zip(scores, self.answers, strict=True)
            features = [joined_features(score, answer) for score, answer in pairs]
            joining, scores = self._fitted(features, self._joining_penalty())
        likely = [sigmoid(score) for score in scores]
        spans = [[candidate.span for candidate in here] for here in self.candidates]
        threshold = best_threshold(likely, spans, sum(map(len, self.gold)))
        return Arbiter(weights, joining, threshold), likely

    def _fitted(
        self, features: Sequence[FloatArray], penalty: FloatArray
    ) -> tuple[FloatArray, list[FloatArray]]:
        """(weights by all texts, each text's scores by weights of the other folds)."""
        kept = [
            np.array([candidate.span in gold for candidate in here], dtype=bool)
            for here, gold in zip(self.candidates, self.gold, strict=True)
        ]

        def weights(texts: Sequence[int]) -> FloatArray:
            of_them = np.concatenate([features[i] for i in texts])
            return fit_weights(of_them, np.concatenate([kept[i] for i in texts]), penalty)

        scores: list[FloatArray] = [np.zeros(0)] * len(self.folds)
        for fold in range(FOLDS):
            here = np.flatnonzero(self.folds == fold).tolist()
            others = np.flatnonzero(self.folds != fold).tolist()
            of_others = weights(others) if here and others else np.zeros(len(penalty))
            for i in here:
                scores[i] = features[i] @ of_others
        return weights(range(len(self.folds))), scores

    def _penalty(self) -> FloatArray:
        penalty = np.full(self.features[0].shape[1], _RIDGE)
        penalty[0] = _FREE
        return penalty

    def _joining_penalty(self) -> FloatArray:
        assert self.answers is not None  # noqa: S101 - asked for where there are answers
        penalty = np.full(3 + self.answers[0].shape[1], _JOINING_RIDGE)
        penalty[:2] = _FREE, _NEARLY_FREE
        penalty[3 + MODEL_FEATURES :] = _LABEL_RIDGE
        return penalty

    def chosen(self, likely: Sequence[FloatArray], threshold: float) -> list[list[Span]]:
        """Per text what would be shown."""
        found = []
        for candidates, here in zip(self.candidates, likely, strict=True):
            spans = [candidate.span for candidate in candidates]
            found.append([spans[i] for i in choose(spans, (here - threshold).tolist())])
        return found

    def of(self, places: Sequence[int]) -> Rows:
        """Of some of the texts alone."""
        return Rows(
            self.folds[list(places)],
            [self.candidates[i] for i in places],
            [self.features[i] for i in places],
            None if self.answers is None else [self.answers[i] for i in places],
            [self.gold[i] for i in places],
        )
