"""What replay asks of whatever finds entities, and the simplest that does: copying."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from allabel_core.occurrences import OccurrenceFinder
from allabel_core.types import Document, Span

_NEVER_FUZZY = 2.0


class Question(NamedTuple):
    """A text and the demonstrations retrieved for it, the most similar last."""

    text: str
    demonstrations: tuple[Document, ...]


@dataclass(frozen=True, slots=True)
class Corpus:
    """The annotated texts in the order of annotation.

    ``asked``: per text, what a model was asked about it before it was annotated; worked out when called.
    """

    documents: Sequence[Document]
    asked: Callable[[], Sequence[Question]]


@dataclass(frozen=True, slots=True)
class Extraction:
    """The entities found. ``perplexity``: of the answer's tokens, None without a model that tells.

    ``failure``: why there is no answer, empty where there is one. ``scores``: of the spans, in their order,
    how sure each is; empty where nothing tells. ``by_source``: what each source alone would have found.
    """

    document: Document
    tokens: int = 0
    perplexity: float | None = None
    failure: str = ""
    scores: tuple[float, ...] = ()
    by_source: Mapping[str, Document] = field(default_factory=dict)


class Extractor(Protocol):
    """Finds entities in texts, from annotated texts alone.

    ``learns``: it uses all of ``corpus``, not just each question's demonstrations; full annotation
    is then cross-fitted in folds, since what it was trained on it must not be tested on.
    """

    @property
    def name(self) -> str: ...

    @property
    def learns(self) -> bool: ...

    def extract(
        self, corpus: Corpus, questions: Sequence[Question], on_done: Callable[[int], None]
    ) -> list[Extraction]:
        """One extraction per question, in order; ``on_done`` gets the number of questions just answered."""


class Copying:
    """The entities of a text's demonstrations, wherever their words stand in it. No model at all.

    Longer words first, no overlaps; words that bear several labels get that of the nearest demonstration.
    """

    name = "copy"
    learns = False

    def extract(
        self, corpus: Corpus, questions: Sequence[Question], on_done: Callable[[int], None]
    ) -> list[Extraction]:
        found = [Extraction(copied(question)) for question in questions]
        on_done(len(questions))
        return found


def copied(question: Question) -> Document:
    """The text with the entities copied from its demonstrations."""
    label_of: dict[str, str] = {}
    for shown in question.demonstrations:
        for span in shown.spans:
            label_of[shown.text[span.start : span.end]] = span.label
    finder = OccurrenceFinder(question.text, expected=len(label_of), fuzzy_threshold=_NEVER_FUZZY)
    covered = bytearray(len(question.text))
    spans: list[Span] = []
    for words in sorted(label_of, key=lambda words: (-len(words), words)):
        for place in finder.bounded(words, folded=True):
            if not any(covered[place.start : place.end]):
                covered[place.start : place.end] = b"\x01" * (place.end - place.start)
                spans.append(Span(place.start, place.end, label_of[words]))
    return Document(question.text, tuple(sorted(spans)))
