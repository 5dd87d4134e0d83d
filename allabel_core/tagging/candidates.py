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
    """``tagger``: the span's probability by the tagger, 0 where it does not propose it; ``inside``: how
    likely its tokens are within any span of its label, on average; ``model``: the language model's own
    confidence, None where it does not propose it.
    """

    span: Span
    tokens: int
    tagger: float
    inside: float
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
        likely = tagged.inside.get(span.label)
        inside = float(likely[slice(*where)].mean()) if where is not None and likely is not None else 0.0
        found.append(
            Candidate(
                span=span,
                tokens=size,
                tagger=tagger.get(span, 0.0),
                inside=inside,
                known=known,
                in_dictionary=key in lexicon.terms,
                model=model.get(span),
            )
        )
    return found


FEATURES = 13
"""What ``describe`` gives of each candidate, beside one column a label."""
MODEL_FEATURES = 7
"""What ``describe_answer`` gives of each candidate, beside one column a label."""


def describe(candidates: Sequence[Candidate], labels: Sequence[str]) -> FloatArray:
    """(candidates, ``FEATURES`` + labels): a constant, tagger and lexicon, length, and the label."""
    rows = np.zeros((len(candidates), FEATURES + len(labels)))
    place = {label: FEATURES + i for i, label in enumerate(labels)}
    for row, candidate, rival in zip(rows, candidates, _rivals(candidates), strict=True):
        known = candidate.known
        row[:FEATURES] = (
            1.0,
            _logit(candidate.tagger),
            candidate.tagger > 0,
            _logit(candidate.inside),
            _logit(rival.tagger),
            _logit(known.precision) if known.marked else 0.0,
            known.marked > 0,
            np.log1p(known.marked),
            np.log1p(known.left_unmarked),
            np.log1p(known.with_other_label),
            rival.lexicon,
            candidate.in_dictionary,
            np.log(candidate.tokens),
        )
        if candidate.span.label in place:
            row[place[candidate.span.label]] = 1
    return rows


def describe_answer(candidates: Sequence[Candidate], labels: Sequence[str]) -> FloatArray:
    """(candidates, ``MODEL_FEATURES`` + labels): what the language model says of each; the first column is 1
    where it proposes just this span.
    """
    rows = np.zeros((len(candidates), MODEL_FEATURES + len(labels)))
    place = {label: MODEL_FEATURES + i for i, label in enumerate(labels)}
    for row, candidate, rival in zip(rows, candidates, _rivals(candidates), strict=True):
        row[1:4] = rival.other_label, rival.other_bounds, rival.both_other
        if candidate.model is not None:
            row[0] = 1
            row[4:MODEL_FEATURES] = (
                _logit(candidate.model),
                np.log1p(candidate.known.left_unmarked),
                np.log(candidate.tokens),
            )
            if candidate.span.label in place:
                row[place[candidate.span.label]] = 1
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
