"""An averaged perceptron that tags tokens: an offline baseline that learns, and is no language model.

Collins (2002), decoded greedily from left to right. It sees the annotated texts and nothing else, so
its scores say what a selection is worth to a learner, not what a language model would reach.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from allabel_core.simulation.extractors import Extraction, Question
from allabel_core.simulation.tagging import OUTSIDE, FeatureTable, bio_tags, spans_of_tags
from allabel_core.types import Document, FloatArray, IntArray

EPOCHS = 8


class Perceptron:
    """Trained on the whole corpus for each run; demonstrations and their number play no part."""

    name = "perceptron"
    learns = True

    def __init__(self, *, epochs: int = EPOCHS, seed: int = 0) -> None:
        self._epochs = epochs
        self._seed = seed
        self._table = FeatureTable()

    def extract(
        self, corpus: Sequence[Document], questions: Sequence[Question], on_done: Callable[[int], None]
    ) -> list[Extraction]:
        asked = [self._table.rows(question.text) for question in questions]
        tags = self._tags(corpus)
        weights = self._trained(corpus, tags)
        found = []
        for question, (bounds, rows) in zip(questions, asked, strict=True):
            spoken = [tags[tag] for tag in _decoded(weights, rows, len(self._table))]
            found.append(Extraction(Document(question.text, spans_of_tags(spoken, bounds))))
        on_done(len(questions))
        return found

    @staticmethod
    def _tags(corpus: Sequence[Document]) -> list[str]:
        labels = sorted({span.label for document in corpus for span in document.spans})
        return [OUTSIDE, *(f"{prefix}-{label}" for label in labels for prefix in "BI")]

    def _trained(self, corpus: Sequence[Document], tags: Sequence[str]) -> FloatArray:
        """(features + tags + 1, tags): weights of each feature, then of each tag before; last: none before.

        The average over all steps is w - u / steps, u being each update times the step it came in.
        """
        place = {tag: i for i, tag in enumerate(tags)}
        data = []
        for document in corpus:
            bounds, rows = self._table.rows(document.text)
            data.append((rows, [place[tag] for tag in bio_tags(document, bounds)]))
        features, none_before = len(self._table), len(self._table) + len(tags)
        weights = np.zeros((none_before + 1, len(tags)))
        timed = np.zeros_like(weights)
        rng = np.random.default_rng(self._seed)
        step = 1
        for _ in range(self._epochs):
            for which in rng.permutation(len(data)).tolist():
                before = none_before
                for row, right in zip(*data[which], strict=True):
                    said = int((weights[row].sum(axis=0) + weights[before]).argmax())
                    if said != right:
                        for matrix, amount in ((weights, 1.0), (timed, float(step))):
                            for at in (row, before):
                                matrix[at, right] += amount
                                matrix[at, said] -= amount
                    before = features + said
                    step += 1
        averaged: FloatArray = weights - timed / step
        return averaged


def _decoded(weights: FloatArray, rows: Sequence[IntArray], features: int) -> list[int]:
    before = len(weights) - 1
    found = []
    for row in rows:
        tag = int((weights[row].sum(axis=0) + weights[before]).argmax())
        found.append(tag)
        before = features + tag
    return found
