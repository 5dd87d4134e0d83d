"""One run of replay: what a strategy annotates, what is asked then, and how the answers score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from allabel_core.errors import InvalidInputError
from allabel_core.metrics import Counts, score_entities, score_spans
from allabel_core.retrieval import DemonstrationIndex
from allabel_core.similarity.base import Similarity
from allabel_core.similarity.embeddings import Embeddings
from allabel_core.similarity.pool import Pool
from allabel_core.similarity.sbert import encode
from allabel_core.simulation.extractors import Extraction, Extractor, Question
from allabel_core.simulation.statistics import EVALUATED
from allabel_core.simulation.strategies import FULL, annotated_by
from allabel_core.types import Document, FloatArray, IntArray

FOLDS = 10
_QUERIES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One cell of an experiment. ``budget``: texts annotated; the whole pool for ``full``."""

    strategy: str
    budget: int
    similarity: str
    k: int
    seed: int


@dataclass(frozen=True, slots=True)
class Run:
    """What is to be asked. All indices refer to the pool.

    ``shown``: per evaluated text its demonstrations, the most similar last. ``closeness``: per
    evaluated text S[q, d] / S[q, q], within 0 and 1, for its most similar demonstration d.
    """

    spec: RunSpec
    corpus: tuple[int, ...]
    evaluated: tuple[int, ...]
    shown: tuple[tuple[int, ...], ...]
    closeness: FloatArray


@dataclass(frozen=True)
class RunScores:
    """Counts of one run: ``entities`` and ``spans`` (labels, texts, 3) of tp, fp, fn.

    ``labels`` and ``evaluated`` name the first two axes; ``perplexity`` (texts,) is NaN where no
    model told; ``failures`` counts texts without an answer, which score as found nothing.
    """

    labels: tuple[str, ...]
    evaluated: tuple[int, ...]
    entities: IntArray
    spans: IntArray
    closeness: FloatArray
    perplexity: FloatArray
    tokens: int
    failures: int

    @cached_property
    def total(self) -> Counts:
        return as_counts(self.entities)

    @property
    def span_f1(self) -> float:
        return as_counts(self.spans).f1

    def by_text(self, n: int) -> IntArray:
        """(n, 4): entity counts of each text of the pool and a 1; zeros where it was not evaluated."""
        counts = np.zeros((n, 4), dtype=np.int64)
        counts[list(self.evaluated), :EVALUATED] = self.entities.sum(axis=0)
        counts[list(self.evaluated), EVALUATED] = 1
        return counts

    def on(self, texts: Sequence[int]) -> Counts:
        """Entity counts of these texts alone, all of which were evaluated."""
        row = {text: i for i, text in enumerate(self.evaluated)}
        return as_counts(self.entities[:, [row[text] for text in texts]])


def as_counts(counts: IntArray) -> Counts:
    """The sum over all but the last axis."""
    tp, fp, fn = counts.reshape(-1, 3).sum(axis=0).tolist()
    return Counts(tp, fp, fn)


class Replay:
    """An annotated pool on which strategies are replayed.

    :param test_texts: evaluate at most so many texts a run, the same ones for all runs as far as
        they are not annotated; None for all. Drawn by ``test_seed``.
    :param encode: texts to vectors, for ``sbert`` and ``fused``; each text is encoded once.
    :raises InvalidInputError: fewer than two texts.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        *,
        test_texts: int | None = None,
        test_seed: int = 0,
        encode: Callable[[Sequence[str]], FloatArray] = encode,
    ) -> None:
        if len(documents) < 2:
            raise InvalidInputError("Replay needs at least two annotated texts.")
        self.documents = tuple(documents)
        self.texts = [document.text for document in documents]
        self.labels = tuple(sorted({span.label for document in documents for span in document.spans}))
        order = np.random.default_rng(test_seed).permutation(len(documents)).tolist()
        self._test_order = order if test_texts is not None else list(range(len(documents)))
        self._test_texts = len(documents) if test_texts is None else test_texts
        self._pools: dict[str, Similarity] = {}
        self._encoded = _Remembered(encode)

    def run(self, spec: RunSpec) -> Run:
        """What the strategy annotates, and what is asked about the texts it leaves."""
        pool = self._pool(spec.similarity)
        corpus = annotated_by(spec.strategy, pool, budget=spec.budget, k=spec.k, seed=spec.seed)
        annotated = set(corpus)
        left = [text for text in self._test_order if text not in annotated]
        evaluated = tuple(sorted(left[: self._test_texts]))
        index = self._index(corpus, spec.similarity)
        shown = tuple(
            tuple(corpus[at] for at, _ in index.nearest(self.texts[text], spec.k)) for text in evaluated
        )
        return Run(spec, corpus, evaluated, shown, self._closeness(pool, evaluated, shown))

    def full_run(self, similarity: str, k: int, evaluated: Sequence[int]) -> Run:
        """Every other text as corpus. The index is that of the whole pool, the text itself left out."""
        everything = tuple(range(len(self.texts)))
        index = self._index(everything, similarity)
        shown = tuple(
            tuple(at for at, _ in index.nearest(self.texts[text], k, exclude=text)) for text in evaluated
        )
        spec = RunSpec(FULL, len(self.texts), similarity, k, 0)
        closeness = self._closeness(self._pool(similarity), evaluated, shown)
        return Run(spec, everything, tuple(evaluated), shown, closeness)

    def questions(self, run: Run) -> list[Question]:
        """What the extractor is asked, in the order of ``run.evaluated``."""
        documents = self.documents
        return [
            Question(self.texts[text], tuple(documents[i] for i in shown))
            for text, shown in zip(run.evaluated, run.shown, strict=True)
        ]

    def extract(
        self, run: Run, extractor: Extractor, on_done: Callable[[int], None] = lambda _: None
    ) -> list[Extraction]:
        """The extractor's answers, in the order of ``run.evaluated``."""
        questions = self.questions(run)
        if run.spec.strategy == FULL and extractor.learns:
            return self._cross_fitted(run, questions, extractor, on_done)
        return extractor.extract([self.documents[i] for i in run.corpus], questions, on_done)

    def score(self, run: Run, extractions: Sequence[Extraction]) -> RunScores:
        """How well the answers meet the gold (spec, "Scoring predictions")."""
        size = (len(self.labels), len(run.evaluated), 3)
        entities, spans = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
        row = {label: i for i, label in enumerate(self.labels)}
        for column, (text, found) in enumerate(zip(run.evaluated, extractions, strict=True)):
            for counts, measure in ((entities, score_entities), (spans, score_spans)):
                by_label = measure([found.document], [self.documents[text]]).by_label
                for label, c in by_label.items():
                    counts[row[label], column] = c.tp, c.fp, c.fn
        perplexity = [np.nan if e.perplexity is None else e.perplexity for e in extractions]
        return RunScores(
            labels=self.labels,
            evaluated=run.evaluated,
            entities=entities,
            spans=spans,
            closeness=run.closeness,
            perplexity=np.array(perplexity, dtype=np.float64),
            tokens=sum(e.tokens for e in extractions),
            failures=sum(bool(e.failure) for e in extractions),
        )

    def _cross_fitted(
        self, run: Run, questions: Sequence[Question], extractor: Extractor, on_done: Callable[[int], None]
    ) -> list[Extraction]:
        """A tenth of the texts at a time, learnt from all texts outside that tenth."""
        fold_of = np.random.default_rng(0).permutation(len(self.texts)) % FOLDS
        found: dict[int, Extraction] = {}
        for fold in range(FOLDS):
            asked = [i for i, text in enumerate(run.evaluated) if fold_of[text] == fold]
            if not asked:
                continue
            corpus = [document for i, document in enumerate(self.documents) if fold_of[i] != fold]
            answers = extractor.extract(corpus, [questions[i] for i in asked], on_done)
            found.update(zip(asked, answers, strict=True))
        return [found[i] for i in range(len(questions))]

    def _pool(self, similarity: str) -> Similarity:
        """What the strategy chooses by; ``fused`` is a way to retrieve, beside choosing by BM25."""
        kind = "bm25" if similarity == "fused" else similarity
        if kind not in self._pools:
            if kind == "sbert":
                self._pools[kind] = Embeddings(self._encoded(self.texts))
            elif kind == "bm25":
                self._pools[kind] = Pool("bm25").similarity(self.texts)
            else:
                raise InvalidInputError(f"similarity {similarity!r} is none of bm25, sbert, fused")
        return self._pools[kind]

    def _index(self, corpus: Sequence[int], similarity: str) -> DemonstrationIndex:
        if similarity != "bm25":
            # All at once: encoding one by one is slow.
            self._encoded(self.texts)
        return DemonstrationIndex([self.texts[i] for i in corpus], similarity, encode=self._encoded)

    @staticmethod
    def _closeness(
        pool: Similarity, evaluated: Sequence[int], shown: Sequence[tuple[int, ...]]
    ) -> FloatArray:
        own = pool.self_similarity()
        closeness = np.zeros(len(evaluated))
        for start in range(0, len(evaluated), _QUERIES_AT_ONCE):
            part = [i for i in range(start, min(start + _QUERIES_AT_ONCE, len(evaluated))) if shown[i]]
            nearest = np.array([shown[i][-1] for i in part], dtype=np.int64)
            documents, column = np.unique(nearest, return_inverse=True)
            queries = np.array([evaluated[i] for i in part], dtype=np.int64)
            found = pool.block(queries, documents)[np.arange(len(part)), column]
            share = np.divide(found, own[queries], out=np.zeros(len(part)), where=own[queries] > 0)
            closeness[part] = np.clip(share, 0, 1)
        return closeness


class _Remembered:
    """Texts to vectors, each text encoded once."""

    def __init__(self, encode: Callable[[Sequence[str]], FloatArray]) -> None:
        self._encode = encode
        self._known: dict[str, FloatArray] = {}

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            self._known.update(zip(new, self._encode(new), strict=True))
        return np.array([self._known[text] for text in texts]) if texts else np.zeros((0, 0))
