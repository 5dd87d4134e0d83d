"""Is joining ever a loss? Models made from the gold with a given recall and precision, joined and alone.

``python -m bench.never_worse FILE ...``: 10% annotated by coverage, test texts drawn before. Means of draws.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from allabel_core.simulation.extractors import Corpus, Extraction, Question
from allabel_core.simulation.learned import Learned
from allabel_core.simulation.runs import Replay, RunSpec, as_counts
from allabel_core.tagging.tokens import tokenize
from allabel_core.types import Document, Span
from backend.simulate.reading import read_dataset

KINDS = ((0.95, 0.95), (0.9, 0.9), (0.8, 0.85), (0.2, 0.2))
DRAWS = 5
TEST_TEXTS = 150
LONGEST_ERROR = 3
SCORE = 0.8


class Scripted:
    """Finds each gold span with probability ``recall``, and as many others as its precision allows.

    What is wrong lies where the gold has no such span: one to three words, labels as often as they occur.
    """

    name = "scripted"
    learns = False

    def __init__(self, replay: Replay, recall: float, precision: float, seed: int) -> None:
        self._gold = {document.text: document for document in replay.documents}
        self._labels = [span.label for document in replay.documents for span in document.spans]
        self._recall, self._precision = recall, precision
        self._rng = np.random.default_rng(seed)

    def extract(
        self, corpus: Corpus, questions: Sequence[Question], on_done: Callable[[int], None]
    ) -> list[Extraction]:
        return [self._answer(self._gold[question.text]) for question in questions]

    def _answer(self, gold: Document) -> Extraction:
        rng, tokens = self._rng, tokenize(gold.text)
        found = [span for span in gold.spans if rng.random() < self._recall]
        expected = len(gold.spans) * self._recall * (1 - self._precision) / self._precision
        for _ in range(int(expected + rng.random())):
            first = int(rng.integers(len(tokens)))
            last = min(len(tokens), first + int(rng.integers(1, LONGEST_ERROR + 1)))
            label = self._labels[int(rng.integers(len(self._labels)))]
            span = Span(tokens[first].start, tokens[last - 1].end, label)
            if span not in gold.spans and not any(s.start < span.end and span.start < s.end for s in found):
                found.append(span)
        return Extraction(Document(gold.text, tuple(sorted(found))), scores=(SCORE,) * len(found))


def main(paths: Sequence[str]) -> None:
    columns = ("data", "recall", "precision", "model", "learned", "joined", "over the best")
    print("".join(f"{column:>14}" for column in columns))
    for path in paths:
        replay = Replay(read_dataset(Path(path)).documents, test_texts=TEST_TEXTS, fixed_test=True)
        run = replay.run(RunSpec("coverage", round(0.1 * len(replay.choosable)), "bm25", 3, 0))
        for recall, precision in KINDS:
            drawn = []
            for seed in range(DRAWS):
                model = Scripted(replay, recall, precision, seed)
                scores = replay.score(run, replay.extract(run, Learned(model)))
                alone = [as_counts(scores.by_source[source]).f1 for source in ("model", "learned")]
                drawn.append((*alone, scores.total.f1))
            model_f1, learned, joined = np.mean(drawn, axis=0)
            name = Path(path).parent.name
            print(
                f"{name:>14}{recall:14.2f}{precision:14.2f}{model_f1:14.3f}{learned:14.3f}{joined:14.3f}"
                f"{joined - max(model_f1, learned):+14.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
