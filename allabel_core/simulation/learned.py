"""What the product serves: tagger and lexicon of all annotated texts, joined with a model's answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from allabel_core.simulation.extractors import Corpus, Extraction, Extractor, Question
from allabel_core.tagging import ModelSpan, Suggester
from allabel_core.types import Document

MOST_ASKED = 150
"""So many annotated texts at most, evenly spread, teach the arbiter what the model is worth."""


class Learned:
    """Trained on the whole corpus for each run.

    :param model: whose answers are joined, about the texts asked for and, for the arbiter to learn from,
        about annotated texts as they were before; None for tagger and lexicon alone.
    """

    learns = True

    def __init__(self, model: Extractor | None = None) -> None:
        self.model = model

    @property
    def name(self) -> str:
        return "tagger" if self.model is None else f"joined with {self.model.name}"

    def extract(
        self, corpus: Corpus, questions: Sequence[Question], on_done: Callable[[int], None]
    ) -> list[Extraction]:
        """``Extraction.by_source``: "model", "tagger", "lexicon", and "learned", the last two together."""
        if self.model is None:
            suggester = Suggester.train(corpus.documents)
            found = [_extraction(suggester, question, None) for question in questions]
            on_done(len(questions))
            return found
        asked = corpus.asked()
        places = asked_about(len(asked))
        said = self.model.extract(corpus, [asked[i] for i in places], lambda _: None)
        answers = {i: _spans(each) for i, each in zip(places, said, strict=True) if not each.failure}
        suggester = Suggester.train(corpus.documents, answers)
        said = self.model.extract(corpus, questions, on_done)
        return [
            _extraction(suggester, question, each) for question, each in zip(questions, said, strict=True)
        ]


def asked_about(texts: int) -> list[int]:
    """Which of so many annotated texts the model is asked about."""
    asked = min(texts, MOST_ASKED)
    return [place * texts // asked for place in range(asked)]


def _spans(said: Extraction) -> list[ModelSpan]:
    spans = said.document.spans
    scores = said.scores or (1.0,) * len(spans)
    return [ModelSpan(span, score) for span, score in zip(spans, scores, strict=True)]


def _extraction(suggester: Suggester, question: Question, said: Extraction | None) -> Extraction:
    text = question.text
    has_answer = said is not None and not said.failure
    suggested = suggester.suggest(text, _spans(said) if said is not None and has_answer else None)
    by_source = {source: Document(text, spans) for source, spans in suggester.by_source(text).items()}
    if said is not None:
        by_source["model"] = said.document
    return replace(
        said or Extraction(Document(text)),
        document=Document(text, tuple(each.span for each in suggested.spans)),
        scores=tuple(each.confidence for each in suggested.spans),
        by_source=by_source,
        # A text without a model's answer is answered by the others.
        failure="",
    )
