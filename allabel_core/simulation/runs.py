"""One run of replay: what a strategy annotates, what is asked then, and how the answers score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from allabel_core.errors import InvalidInputError
from allabel_core.metrics import Counts, score_entities, score_spans
from allabel_core.retrieval import DemonstrationIndex
from allabel_core.similarity.base import Similarity
from allabel_core.similarity.embeddings import Embeddings
from allabel_core.similarity.pool import Pool
from allabel_core.similarity.sbert import encode
from allabel_core.simulation.extractors import Corpus, Extraction, Extractor, Question
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
    model told; ``failures`` counts texts without an answer, which score as found nothing. ``by_source``: of
    each source alone, (texts, 3) of entities. ``confidences`` (spans, 2): how sure each span was, and 1 where
    it is just one of the gold, 0 otherwise.
    """

    labels: tuple[str, ...]
    evaluated: tuple[int, ...]
    entities: IntArray
    spans: IntArray
    closeness: FloatArray
    perplexity: FloatArray
    tokens: int
    failures: int
    by_source: Mapping[str, IntArray] = field(default_factory=dict)
    confidences: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))

    @cached_property
    def total(self) -> Counts:
        return as_counts(self.entities)

    @property
    def span_f1(self) -> float:
        return as_counts(self.spans).f1

    def by_text(self, n: int) -> IntArray:
        """(n, 4): entity counts of each text of the pool and a 1; zeros where it was not evaluated."""
        return self._of_pool(self.entities.sum(axis=0), n)

    def source_by_text(self, source: str, n: int) -> IntArray:
        """As ``by_text``, of one source alone."""
        return self._of_pool(self.by_source[source], n)

    def _of_pool(self, counted: IntArray, n: int) -> IntArray:
        counts = np.zeros((n, 4), dtype=np.int64)
        counts[list(self.evaluated), :EVALUATED] = counted
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
    :param fixed_test: the ``test_texts`` texts are drawn before any strategy chooses, and none of them is
        ever annotated: every run is evaluated on all of them.
    :param encode: texts to vectors, for ``sbert`` and ``fused``; each text is encoded once.
    :raises InvalidInputError: fewer than two texts, or a fixed test that leaves fewer than two.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        *,
        test_texts: int | None = None,
        fixed_test: bool = False,
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
        self.is_fixed = fixed_test
        if fixed_test and (test_texts is None or len(documents) - test_texts < 2):
            raise InvalidInputError("A fixed test needs a number of texts that leaves at least two others.")
        self.choosable = sorted(order[test_texts:]) if fixed_test else list(range(len(documents)))
        self._pools: dict[str, Similarity] = {}
        self._encoded = _Remembered(encode)

    def run(self, spec: RunSpec) -> Run:
        """What the strategy annotates, and what is asked about the texts it leaves."""
        pool = self._pool(spec.similarity, self.choosable)
        chosen = annotated_by(spec.strategy, pool, budget=spec.budget, k=spec.k, seed=spec.seed)
        corpus = tuple(self.choosable[i] for i in chosen)
        annotated = set(corpus)
        left = [text for text in self._test_order if text not in annotated]
        evaluated = tuple(sorted(left[: self._test_texts]))
        index = self._index(corpus, spec.similarity)
        shown = tuple(
            tuple(corpus[at] for at, _ in index.nearest(self.texts[text], spec.k)) for text in evaluated
        )
        return Run(spec, corpus, evaluated, shown, self._closeness(spec.similarity, evaluated, shown))

    def full_run(self, similarity: str, k: int, evaluated: Sequence[int]) -> Run:
        """Every other text as corpus. The index is that of the whole pool, the text itself left out."""
        everything = tuple(self.choosable)
        shown = self._nearest_others(everything, evaluated, similarity, k)
        spec = RunSpec(FULL, len(everything), similarity, k, 0)
        closeness = self._closeness(similarity, evaluated, shown)
        return Run(spec, everything, tuple(evaluated), shown, closeness)

    def asked_before(self, run: Run) -> list[Question]:
        """Per annotated text what a model was asked about it before: its demonstrations are the nearest of
        the texts annotated earlier; with full annotation, of all others.
        """
        similarity, k = run.spec.similarity, run.spec.k
        if run.spec.strategy == FULL:
            shown = self._nearest_others(run.corpus, run.corpus, similarity, k)
        else:
            shown = tuple(
                self._nearest_others(run.corpus[:place], [text], similarity, k)[0]
                for place, text in enumerate(run.corpus)
            )
        return self._questions(run.corpus, shown)

    def _nearest_others(
        self, corpus: Sequence[int], asked: Sequence[int], similarity: str, k: int
    ) -> tuple[tuple[int, ...], ...]:
        index = self._index(corpus, similarity)
        place = {text: i for i, text in enumerate(corpus)}
        found = (index.nearest(self.texts[text], k, exclude=place.get(text)) for text in asked)
        return tuple(tuple(corpus[at] for at, _ in nearest) for nearest in found)

    def questions(self, run: Run) -> list[Question]:
        """What the extractor is asked, in the order of ``run.evaluated``."""
        return self._questions(run.evaluated, run.shown)

    def _questions(self, texts: Sequence[int], shown: Sequence[Sequence[int]]) -> list[Question]:
        return [
            Question(self.texts[text], tuple(self.documents[i] for i in demonstrations))
            for text, demonstrations in zip(texts, shown, strict=True)
        ]

    def extract(
        self, run: Run, extractor: Extractor, on_done: Callable[[int], None] = lambda _: None
    ) -> list[Extraction]:
        """The extractor's answers, in the order of ``run.evaluated``."""
        questions = self.questions(run)
        if run.spec.strategy == FULL and extractor.learns and not self.is_fixed:
            return self._cross_fitted(run, questions, extractor, on_done)
        return extractor.extract(self._corpus(run), questions, on_done)

    def _corpus(self, run: Run, left_out: Sequence[int] = ()) -> Corpus:
        kept = [place for place, text in enumerate(run.corpus) if text not in set(left_out)]

        def asked() -> list[Question]:
            questions = self.asked_before(run)
            return [questions[place] for place in kept]

        return Corpus([self.documents[run.corpus[place]] for place in kept], asked)

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
            by_source=self._scored_sources(run, extractions),
            confidences=self._confidences(run, extractions),
        )

    def _confidences(self, run: Run, extractions: Sequence[Extraction]) -> FloatArray:
        pairs = [
            (score, span in self.documents[text].spans)
            for text, found in zip(run.evaluated, extractions, strict=True)
            for span, score in zip(found.document.spans, found.scores, strict=bool(found.scores))
        ]
        return np.array(pairs, dtype=np.float64).reshape(-1, 2)

    def _scored_sources(self, run: Run, extractions: Sequence[Extraction]) -> dict[str, IntArray]:
        gold = [self.documents[text] for text in run.evaluated]
        sources = set.intersection(*(set(found.by_source) for found in extractions)) if extractions else ()
        found = {}
        for source in sorted(sources):
            scores = score_entities([e.by_source[source] for e in extractions], gold).by_document
            found[source] = np.array([(c.tp, c.fp, c.fn) for c in scores], dtype=np.int64)
        return found

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
            corpus = self._corpus(run, np.flatnonzero(fold_of == fold).tolist())
            answers = extractor.extract(corpus, [questions[i] for i in asked], on_done)
            found.update(zip(asked, answers, strict=True))
        return [found[i] for i in range(len(questions))]

    def _pool(self, similarity: str, texts: Sequence[int]) -> Similarity:
        """What the strategy chooses by; ``fused`` is a way to retrieve, beside choosing by BM25."""
        kind = "bm25" if similarity == "fused" else similarity
        key = f"{kind} {len(texts)}"
        if key not in self._pools:
            words = [self.texts[i] for i in texts]
            if kind == "sbert":
                self._pools[key] = Embeddings(self._encoded(words))
            elif kind == "bm25":
                self._pools[key] = Pool("bm25").similarity(words)
            else:
                raise InvalidInputError(f"similarity {similarity!r} is none of bm25, sbert, fused")
        return self._pools[key]

    def _index(self, corpus: Sequence[int], similarity: str) -> DemonstrationIndex:
        if similarity != "bm25":
            # All at once: encoding one by one is slow.
            self._encoded(self.texts)
        return DemonstrationIndex([self.texts[i] for i in corpus], similarity, encode=self._encoded)

    def _closeness(
        self, similarity: str, evaluated: Sequence[int], shown: Sequence[tuple[int, ...]]
    ) -> FloatArray:
        pool = self._pool(similarity, range(len(self.texts)))
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
