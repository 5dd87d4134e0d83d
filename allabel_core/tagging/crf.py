"""A linear-chain conditional random field over tokens: trained by CRFsuite, applied in numpy.

Lafferty et al. (2001); CRFsuite: Okazaki (2007). Applying it here gives what CRFsuite does not: the exact
probability of every span, and a model that is plain numbers, to be stored and read safely.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pycrfsuite

from allabel_core.tagging.tokens import Token, tokenize
from allabel_core.types import Document, FloatArray

OUTSIDE = 0
_ITERATIONS = 40
_C1 = _C2 = 0.05
LEAST_PROBABILITY = 0.02
"""Spans less likely than this are not proposed."""
MOST_TOKENS = 100_000
"""Of training texts, all together."""
_LONGEST_SPAN = 40
_TOKENS_AT_ONCE = 4_096

_RUN = re.compile(r"(.)\1+")
_EDGE = "<>"
_AFFIXES = (2, 3, 4)
# The end of a longer word, such as a block of base64, says nothing.
_LONGEST_WORD = 40


class Proposal(NamedTuple):
    """Tokens ``first`` to ``last`` (half-open) as one span of a label, and how likely that is."""

    first: int
    last: int
    label: str
    probability: float


class Tagged(NamedTuple):
    """``inside``: by label, how likely each token is within a span of it, (tokens,).

    ``doubt``: sum over the tokens of 1 - the highest marginal: the errors to be expected.
    """

    tokens: Sequence[Token]
    proposals: Sequence[Proposal]
    inside: Mapping[str, FloatArray]
    doubt: float

    @classmethod
    def by_nobody(cls, text: str) -> Tagged:
        """The text's tokens, untagged."""
        tokens = tokenize(text)
        return cls(tokens, (), {}, 0.0)


@dataclass(frozen=True)
class Crf:
    """Tags: 0 is outside, 1 + 2 i begins a span of ``labels[i]``, 2 + 2 i goes on with one.

    ``rows``: feature -> row of ``weights`` (features + 1, tags), the first of which is zero;
    ``transitions`` (tags, tags): from, to.
    """

    labels: tuple[str, ...]
    rows: dict[str, int]
    weights: npt.NDArray[np.float32]
    transitions: npt.NDArray[np.float32]

    def tag(self, text: str) -> Tagged:
        """All spans with a probability of at least ``LEAST_PROBABILITY``."""
        tokens = tokenize(text)
        if not tokens or not self.labels:
            return Tagged.by_nobody(text)
        emitted = self._emitted(text, tokens)
        forward, backward = _forward_backward(emitted, self._moves)
        marginals = forward * backward
        marginals /= marginals.sum(axis=1, keepdims=True)
        doubt = float((1 - marginals.max(axis=1)).sum())
        inside = {
            label: marginals[:, 1 + 2 * i] + marginals[:, 2 + 2 * i] for i, label in enumerate(self.labels)
        }
        return Tagged(tokens, tuple(self._proposals(emitted, backward, marginals)), inside, doubt)

    @cached_property
    def _learnt(self) -> npt.NDArray[np.bool_]:
        """(tags,): those that training texts had; no weight speaks for or against the others."""
        learnt: npt.NDArray[np.bool_] = (self.weights != 0).any(axis=0) | (self.transitions != 0).any(axis=0)
        learnt[OUTSIDE] = True
        return learnt

    @cached_property
    def _moves(self) -> FloatArray:
        """(tags, tags) factors of the transitions, 0 where a span would go on that has not begun."""
        moves = np.exp(self.transitions.astype(np.float64))
        for i in range(len(self.labels)):
            begins, goes_on = 1 + 2 * i, 2 + 2 * i
            others = np.ones(len(moves), dtype=bool)
            others[[begins, goes_on]] = False
            moves[others, goes_on] = 0
        return moves

    def _emitted(self, text: str, tokens: Sequence[Token]) -> FloatArray:
        """(tokens, tags) factors of each token's features, the largest of each token 1."""
        rows = self.rows
        scores = np.empty((len(tokens), self.weights.shape[1]))
        named = token_features(text, tokens)
        for begin in range(0, len(tokens), _TOKENS_AT_ONCE):
            flat: list[int] = []
            starts: list[int] = []
            for names in islice(named, _TOKENS_AT_ONCE):
                starts.append(len(flat))
                flat.append(0)
                flat += [rows[name] for name in names if name in rows]
            scores[begin : begin + len(starts)] = np.add.reduceat(self.weights[flat], starts, axis=0)
        scores[0, 2::2] = -np.inf
        scores[:, ~self._learnt] = -np.inf
        factors: FloatArray = np.exp(scores - scores.max(axis=1, keepdims=True))
        return factors

    def _proposals(
        self, emitted: FloatArray, backward: FloatArray, marginals: FloatArray
    ) -> Iterator[Proposal]:
        """P(span) = P(it reaches its last token) - P(it reaches the next one)."""
        moves = self._moves
        following = emitted[1:] * backward[1:]
        norms = following @ moves.T
        for i, label in enumerate(self.labels):
            begins, goes_on = 1 + 2 * i, 2 + 2 * i
            # P(the next token goes on | this one begins, goes on).
            after = following[:, goes_on]
            go_on = np.zeros((len(emitted), 2))
            for column, tag in enumerate((begins, goes_on)):
                go_on[:-1, column] = np.divide(
                    moves[tag, goes_on] * after,
                    norms[:, tag],
                    out=np.zeros(len(after)),
                    where=norms[:, tag] > 0,
                )
            for first in np.flatnonzero(marginals[:, begins] >= LEAST_PROBABILITY).tolist():
                reaches, column = float(marginals[first, begins]), 0
                for last in range(first + 1, min(first + _LONGEST_SPAN, len(emitted)) + 1):
                    reaches_next = reaches * float(go_on[last - 1, column])
                    if reaches - reaches_next >= LEAST_PROBABILITY:
                        yield Proposal(first, last, label, min(1.0, reaches - reaches_next))
                    reaches, column = reaches_next, 1
                    if reaches < LEAST_PROBABILITY:
                        break


def _forward_backward(emitted: FloatArray, moves: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(tokens, tags) each, every row scaled to sum 1."""
    size = len(emitted)
    forward, backward = np.empty_like(emitted), np.empty_like(emitted)
    forward[0] = emitted[0] / emitted[0].sum()
    for t in range(1, size):
        here = forward[t - 1] @ moves * emitted[t]
        forward[t] = here / here.sum()
    backward[-1] = 1 / emitted.shape[1]
    turned = np.ascontiguousarray(moves.T)
    for t in range(size - 2, -1, -1):
        here = (emitted[t + 1] * backward[t + 1]) @ turned
        backward[t] = here / here.sum()
    return forward, backward


def bio_tags(document: Document, tokens: Sequence[Token], labels: Sequence[str]) -> list[int]:
    """A tag per token. Of overlapping spans the earlier, then the longer, keeps its tokens; a span that
    begins or ends within a token gets all of it.
    """
    tags = [OUTSIDE] * len(tokens)
    place = {label: i for i, label in enumerate(labels)}
    starts = np.array([token.start for token in tokens], dtype=np.int64)
    ends = np.array([token.end for token in tokens], dtype=np.int64)
    for span in sorted(document.spans, key=lambda span: (span.start, -span.end, span.label)):
        first = int(np.searchsorted(ends, span.start, side="right"))
        last = int(np.searchsorted(starts, span.end, side="left"))
        if first < last and not any(tags[first:last]) and span.label in place:
            begins = 1 + 2 * place[span.label]
            tags[first:last] = [begins] + [begins + 1] * (last - first - 1)
    return tags


class Preparation:
    """Documents' features numbered once, for several trainings on parts of them.

    Of all documents together, the first ``MOST_TOKENS`` tokens are learnt from.
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        left = MOST_TOKENS
        self.labels = tuple(sorted({span.label for document in documents for span in document.spans}))
        number: dict[str, str] = {}
        self._features: list[list[list[str]]] = []
        self._tags: list[list[str]] = []
        for document in documents:
            tokens = tokenize(document.text)[:left]
            left -= len(tokens)
            self._features.append(
                [
                    [number.setdefault(name, str(len(number))) for name in names]
                    for names in token_features(document.text, tokens)
                ]
            )
            self._tags.append([str(tag) for tag in bio_tags(document, tokens, self.labels)])
        self._names = list(number)

    def train(self, documents: Iterable[int]) -> Crf:
        """A tagger of these documents alone."""
        trainer = pycrfsuite.Trainer(algorithm="lbfgs", verbose=False)
        trainer.set_params({"c1": _C1, "c2": _C2, "max_iterations": _ITERATIONS})
        for i in documents:
            if self._tags[i]:
                trainer.append(self._features[i], self._tags[i])
        # CRFsuite writes what it has learnt to a file, and to nothing else.
        with TemporaryDirectory() as folder:
            path = str(Path(folder) / "crf")
            trainer.train(path)
            with pycrfsuite.Tagger().open(path) as tagger:
                learnt = tagger.info()
        return self._crf(learnt.state_features, learnt.transitions)

    def _crf(self, states: Mapping[tuple[str, str], float], moves: Mapping[tuple[str, str], float]) -> Crf:
        tags = 1 + 2 * len(self.labels)
        rows: dict[str, int] = {}
        for attribute, _ in states:
            rows.setdefault(self._names[int(attribute)], len(rows) + 1)
        weights = np.zeros((len(rows) + 1, tags), dtype=np.float32)
        for (attribute, tag), weight in states.items():
            weights[rows[self._names[int(attribute)]], int(tag)] = weight
        transitions = np.zeros((tags, tags), dtype=np.float32)
        for (before, after), weight in moves.items():
            transitions[int(before), int(after)] = weight
        return Crf(self.labels, rows, weights, transitions)


def shape(word: str) -> str:
    """Upper-case letters as A, other letters as a, digits as 0, runs as one: "Mg2+" is "Aa0+"."""
    kinds = "".join("0" if c.isdigit() else "A" if c.isupper() else "a" if c.isalpha() else c for c in word)
    return _RUN.sub(r"\1", kinds)


def token_features(text: str, tokens: Sequence[Token]) -> Iterator[list[str]]:
    """For each token the names of its features: the word, its affixes and shape, its neighbours', and what
    it is glued to: "10mL" for "mL".
    """
    words = [text[start:end][:_LONGEST_WORD] for start, end in tokens]
    lower = [_EDGE, _EDGE, *(word.lower() for word in words), _EDGE, _EDGE]
    shapes = [_EDGE, *(shape(word) for word in words), _EDGE]
    for i, run in enumerate(_runs(text, tokens)):
        before2, before, word, after, after2 = lower[i : i + 5]
        names = ["*", "w " + word, "s " + shapes[i + 1], "s- " + shapes[i], "s+ " + shapes[i + 2]]
        names += ["w- " + before, "w+ " + after, "w-- " + before2, "w++ " + after2]
        names += [f"w-w {before} {word}", f"ww+ {word} {after}"]
        for size in _AFFIXES:
            if len(word) > size:
                names += [f"{size}. {word[:size]}", f".{size} {word[-size:]}"]
        names += run
        yield names


def _runs(text: str, tokens: Sequence[Token]) -> Iterator[list[str]]:
    """For each token of a run without white space that has several: the run, and on which side it goes on."""
    first = 0
    for i, token in enumerate(tokens):
        if i + 1 < len(tokens) and tokens[i + 1].start == token.end:
            continue
        whole = text[tokens[first].start : token.end][:_LONGEST_WORD].lower()
        for j in range(first, i + 1):
            yield [] if first == i else ["c " + whole, f"g {j > first:d}{j < i:d}"]
        first = i + 1
