"""Every span that any source proposes for a text, and what speaks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from allabel_core.tagging.crf import Tagged
from allabel_core.tagging.lexicon import NOTHING_KNOWN, Counts, Known, Lexicon, folded
from allabel_core.tagging.sources import ModelSpans
from allabel_core.tagging.tokens import Bounds
from allabel_core.types import FloatArray, Span


@dataclass(frozen=True, slots=True)
class Candidate:
    """``tagger``: the span's probability by the tagger, 0 where it does not propose it; ``model``: the
    language model's own confidence, None where it does not propose it.
    """

    span: Span
    tokens: int
    tagger: float
    known: Known
    in_dictionary: bool
    model: float | None


def find_candidates(
    text: str,
    tagged: Tagged,
    lexicon: Lexicon,
    model_spans: ModelSpans = (),
    without: Counts | None = None,
) -> list[Candidate]:
    """All candidates, by place. ``without``: see ``Lexicon.known``."""
    tokens, words = tagged.tokens, folded(text, tagged.tokens)
    bounds = Bounds(tokens)
    tagger: dict[Span, float] = {}
    for first, last, label, probability in tagged.proposals:
        tagger[Span(tokens[first].start, tokens[last - 1].end, label)] = probability
    listed = {
        Span(tokens[first].start, tokens[last - 1].end, label)
        for first, last, label in lexicon.matches(words)
    }
    model: dict[Span, float] = {}
    for span, score, _ in model_spans:
        model[span] = max(score, model.get(span, 0.0))
    found = []
    for span in sorted({*tagger, *listed, *model}):
        where = bounds.meet(span)
        key = " ".join(words[where[0] : where[1]]) if where is not None else ""
        known = lexicon.known(key, span.label, without) if where is not None else NOTHING_KNOWN
        if not (known.marked or span in tagger or span in model):
            continue
        size = where[1] - where[0] if where is not None else 1
        found.append(
            Candidate(span, size, tagger.get(span, 0.0), known, key in lexicon.terms, model.get(span))
        )
    return found


FEATURES = (
    "*",
    "tagger",
    "tagger proposes",
    "rival's tagger",
    "lexicon",
    "lexicon knows",
    "marked",
    "left unmarked",
    "other label",
    "rival's lexicon",
    "dictionary",
    "length",
)
MODEL_FEATURES = (
    "model",
    "model's confidence",
    "model, other label",
    "model, other bounds",
    "model, both other",
    "model and tagger",
    "model and lexicon",
    "model and left unmarked",
    "model, length",
)


def width(labels: int, *, with_model: bool) -> int:
    """How many features ``describe`` gives."""
    return len(FEATURES) + labels + with_model * (len(MODEL_FEATURES) + labels)


def describe(candidates: Sequence[Candidate], labels: Sequence[str], *, with_model: bool) -> FloatArray:
    """(candidates, features): ``FEATURES``, ``MODEL_FEATURES`` if ``with_model``, then by label."""
    place = {label: i for i, label in enumerate(labels)}
    rivals = _rivals(candidates)
    rows = np.zeros((len(candidates), width(len(labels), with_model=with_model)))
    for i, candidate in enumerate(candidates):
        tagger, knows = _logit(candidate.tagger), candidate.known.marked > 0
        precision = _logit(candidate.known.precision) if knows else 0.0
        left = np.log1p(candidate.known.left_unmarked)
        length = np.log(candidate.tokens)
        row = [
            1.0,
            tagger,
            float(candidate.tagger > 0),
            _logit(rivals[i].tagger),
            precision,
            float(knows),
            np.log1p(candidate.known.marked),
            left,
            np.log1p(candidate.known.with_other_label),
            rivals[i].lexicon,
            float(candidate.in_dictionary),
            length,
        ]
        if with_model:
            said = candidate.model is not None
            row += [
                float(said),
                _logit(candidate.model or 0.0) if said else 0.0,
                float(rivals[i].other_label),
                float(rivals[i].other_bounds),
                float(rivals[i].both_other),
                said * tagger,
                said * precision,
                said * left,
                said * length,
            ]
        rows[i, : len(row)] = row
        which = place.get(candidate.span.label)
        if which is not None:
            rows[i, len(row) + which] = 1
            if with_model and candidate.model is not None:
                rows[i, len(row) + len(labels) + which] = 1
    return rows


@dataclass(slots=True)
class _Rival:
    """What overlapping candidates have going for them."""

    tagger: float = 0.0
    lexicon: float = 0.0
    other_label: bool = False
    other_bounds: bool = False
    both_other: bool = False

    def meet(self, one: Span, other: Candidate) -> None:
        self.tagger = max(self.tagger, other.tagger)
        if other.known.marked > 0:
            self.lexicon = max(self.lexicon, other.known.precision)
        if other.model is not None:
            same_bounds = (one.start, one.end) == (other.span.start, other.span.end)
            same_label = one.label == other.span.label
            self.other_label |= same_bounds
            self.other_bounds |= same_label
            self.both_other |= not same_bounds and not same_label


def _rivals(candidates: Sequence[Candidate]) -> list[_Rival]:
    """One a candidate; candidates are sorted by place."""
    rivals = [_Rival() for _ in candidates]
    open_ones: list[int] = []
    for i, candidate in enumerate(candidates):
        open_ones = [j for j in open_ones if candidates[j].span.end > candidate.span.start]
        for j in open_ones:
            rivals[i].meet(candidate.span, candidates[j])
            rivals[j].meet(candidates[j].span, candidate)
        open_ones.append(i)
    return rivals


_LEAST = 0.01


def _logit(share: float) -> float:
    share = min(max(share, _LEAST), 1 - _LEAST)
    return float(np.log(share / (1 - share)))
