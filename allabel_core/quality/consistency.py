"""The same words labelled differently."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.sparse import csr_array

from allabel_core.textmap import FoldedText, fit, fold
from allabel_core.types import Document, FloatArray

WORDS_AROUND = 4
LEAST_SIMILAR = 0.3
"""Of the contexts of words that are marked here and left out there; other contexts excuse that."""
MOST_OCCURRENCES = 200
"""Of one wording under one label; the newest are compared."""
MOST_UNMARKED = 3

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """``text[start:end]`` of document ``document`` bears ``label``, or none: ""."""

    document: int
    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Contradiction:
    """``similarity``: cosine of both contexts, in [0, 1]; ``first`` comes first."""

    words: str
    first: Occurrence
    second: Occurrence
    similarity: float


def contradictions(
    documents: Sequence[Document], *, least_similar: float = LEAST_SIMILAR
) -> list[Contradiction]:
    """Of every wording and pair of labels the two occurrences in the most similar contexts.

    Two labels contradict each other whatever the contexts, and also within one document. An unmarked
    occurrence counts as one without a label, unless the document marks the same words elsewhere (people
    often mark the first mention only) or a longer span around it. A context is the four words on either
    side; a word weighs the more, the fewer documents have it.

    :param least_similar: how alike the contexts of a marked and an unmarked occurrence must be.
    :param documents: in the order of annotation; the same text twice, where two people annotated it.
    :returns: the most similar contexts first.
    """
    pool = _Pool(documents)
    found = []
    for words in pool.wordings():
        by_label: dict[str, list[Occurrence]] = defaultdict(list)
        for occurrence in pool.occurrences(words):
            by_label[occurrence.label].append(occurrence)
        for one, other in combinations(sorted(by_label), 2):
            closest = pool.closest(by_label[one][-MOST_OCCURRENCES:], by_label[other][-MOST_OCCURRENCES:])
            # Sorted, the empty label of what is left unmarked comes first.
            if one or closest[2] >= least_similar:
                first, second = sorted(closest[:2], key=lambda o: (o.document, o.start))
                found.append(Contradiction(words, first, second, closest[2]))
    return sorted(found, key=lambda c: (-c.similarity, -c.second.document, c.words))


class _Pool:
    """The documents, folded, with an index from words to documents."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents
        self._folded = [FoldedText(document.text) for document in documents]
        self._words = [[(m.start(), m.end(), fold(m[0])) for m in _WORD.finditer(d.text)] for d in documents]
        self._having: dict[str, list[int]] = defaultdict(list)
        for number, words in enumerate(self._words):
            for word in {word for _, _, word in words}:
                self._having[word].append(number)
        self._columns = {word: column for column, word in enumerate(self._having)}
        frequencies = np.array([len(numbers) for numbers in self._having.values()], dtype=np.float64)
        self._weights: FloatArray = np.log1p(len(documents) / np.maximum(1, frequencies))

    def wordings(self) -> list[str]:
        """The folded words of all spans, each once, in the order in which they were marked first."""
        found = (
            fold(document.text[span.start : span.end])
            for document in self._documents
            for span in document.spans
        )
        return [words for words in dict.fromkeys(found) if words]

    def occurrences(self, words: str) -> Iterator[Occurrence]:
        for number in self._candidates(words):
            marked = list(self._marked(number, words))
            yield from marked or self._unmarked(number, words)

    def _candidates(self, words: str) -> Iterable[int]:
        """Documents that may have the words. Where words are not set apart by spaces, any may."""
        first = _WORD.search(words)
        return (
            self._having.get(first[0], ()) if first and first[0] in self._having else range(len(self._folded))
        )

    def _marked(self, number: int, words: str) -> Iterator[Occurrence]:
        document = self._documents[number]
        for span in document.spans:
            if fold(document.text[span.start : span.end]) == words:
                yield Occurrence(number, span.start, span.end, span.label)

    def _unmarked(self, number: int, words: str) -> Iterator[Occurrence]:
        document, folded = self._documents[number], self._folded[number]
        at = folded.folded.find(words)
        while at != -1:
            place = folded.place(at, at + len(words))
            at = folded.folded.find(words, at + 1)
            if place is None or fit(document.text, *place) != "bounded":
                continue
            if not any(span.start < place[1] and place[0] < span.end for span in document.spans):
                yield Occurrence(number, *place, "")

    def closest(
        self, ones: Sequence[Occurrence], others: Sequence[Occurrence]
    ) -> tuple[Occurrence, Occurrence, float]:
        """The two whose contexts are the most similar; of equals the latest."""
        similarity = (self._contexts(ones) @ self._contexts(others).T).toarray()
        alone = np.array([not any(self._around(o)) for o in ones])
        others_alone = np.array([not any(self._around(o)) for o in others])
        similarity[np.ix_(alone, others_alone)] = 1.0
        similarity = np.round(similarity, 9)
        row, column = divmod(int(similarity.size - 1 - np.argmax(similarity.ravel()[::-1])), len(others))
        return ones[row], others[column], min(1.0, float(similarity[row, column]))

    def _around(self, occurrence: Occurrence) -> list[str]:
        words = self._words[occurrence.document]
        before = [word for _, end, word in words if end <= occurrence.start][-WORDS_AROUND:]
        after = [word for start, _, word in words if start >= occurrence.end][:WORDS_AROUND]
        return [*before, *after]

    def _contexts(self, occurrences: Sequence[Occurrence]) -> csr_array:
        """(occurrences, words), each row of length 1, or 0 without any word around."""
        rows, columns = [], []
        for row, occurrence in enumerate(occurrences):
            for word in set(self._around(occurrence)):
                rows.append(row)
                columns.append(self._columns[word])
        values = self._weights[columns] if columns else np.zeros(0)
        lengths = np.sqrt(np.bincount(rows, weights=values**2, minlength=len(occurrences)))
        return csr_array(
            (values / lengths[rows] if rows else values, (rows, columns)),
            shape=(len(occurrences), len(self._columns)),
        )


@dataclass(frozen=True, slots=True)
class LeftUnmarked:
    """Words that are marked with ``label`` in ``marked`` documents, and in others nowhere: ``unmarked``, the
    first occurrence in each of these."""

    words: str
    label: str
    marked: int
    unmarked: tuple[Occurrence, ...]


def left_unmarked(
    documents: Sequence[Document], *, least_marked: int = 2, least_unmarked: int = 3
) -> list[LeftUnmarked]:
    """Wordings that stand unmarked in many documents though others mark them; most documents first.

    What counts as unmarked is as in ``contradictions``. Words that are unmarked in more than three
    times as many documents as marked are left out: there the mark is more likely the exception.
    """
    pool = _Pool(documents)
    found = []
    for words in pool.wordings():
        labels: Counter[str] = Counter()
        first: dict[int, Occurrence] = {}
        for occurrence in pool.occurrences(words):
            if occurrence.label:
                labels[occurrence.label] += 1
            else:
                first.setdefault(occurrence.document, occurrence)
        marked = labels.total()
        if marked >= least_marked and least_unmarked <= len(first) <= MOST_UNMARKED * marked:
            label = max(sorted(labels), key=labels.__getitem__)
            found.append(LeftUnmarked(words, label, marked, tuple(first.values())))
    return sorted(found, key=lambda each: (-len(each.unmarked), each.words))
