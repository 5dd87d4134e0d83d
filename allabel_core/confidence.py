"""How sure a span is: from token probabilities, from agreement, or from its surroundings; calibrated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from allabel_core.errors import InvalidInputError
from allabel_core.grounding import GroundedSpan, Grounding
from allabel_core.textmap import FoldedText, fit, fold
from allabel_core.types import Document, Span

# How far a token may stand from where the one before it ended: some servers spell part of a
# character in their own way.
_TOKEN_SLACK = 16
# An alignment that explains less of the answer than this is none.
_MIN_COVERAGE = 0.9
# Support of words that no demonstration has: this much, with the weight of one occurrence.
_PRIOR_SUPPORT = 0.7


def confidence_from_logprobs(
    answer: str, places: Sequence[tuple[int, int]], logprobs: Sequence[tuple[str, float]]
) -> tuple[float, ...] | None:
    """For each place of the answer, the probability that the model says just that.

    :param places: half-open ranges, as in ``ParsedAnswer.places``.
    :param logprobs: (token, natural log probability) in order.
    :returns: products of the probabilities of the tokens that touch each place; None where the
        tokens are not those of this answer.
    """
    ranges = _token_ranges(answer, [token for token, _ in logprobs])
    if ranges is None:
        return None
    starts = np.array([start for start, _ in ranges], dtype=np.int64)
    # An empty range is a piece of the character at its start.
    ends = np.array([max(end, start + 1) for start, end in ranges], dtype=np.int64)
    total = np.concatenate([[0.0], np.cumsum([value for _, value in logprobs])])
    found = []
    for start, end in places:
        first = int(np.searchsorted(ends, start, side="right"))
        last = max(first, int(np.searchsorted(starts, end, side="left")))
        found.append(math.exp(min(0.0, float(total[last] - total[first]))))
    return tuple(found)


def _token_ranges(answer: str, tokens: Sequence[str]) -> list[tuple[int, int]] | None:
    """Where each token stands in the answer, in order; None where too little of it is explained."""
    ranges: list[tuple[int, int]] = []
    position = covered = 0
    # Tokens before the answer: spaces that the server trimmed, or thoughts.
    skipped = "".join(tokens).find(answer)
    for token in tokens:
        if skipped > 0:
            skipped -= len(token)
            ranges.append((-1, -1))
            continue
        at = answer.find(token, position, position + len(token) + _TOKEN_SLACK) if token else -1
        if at == -1:
            ranges.append((position, position))
            continue
        position = at + len(token)
        covered += len(token)
        ranges.append((at, position))
    return ranges if answer and covered >= _MIN_COVERAGE * len(answer) else None


def confidence_from_agreement(spans: Sequence[Span], others: Sequence[Sequence[Span]]) -> tuple[float, ...]:
    """For each span, the share of all answers, this one included, that mark just the same."""
    same = [set(other) for other in others]
    return tuple((1 + sum(span in other for other in same)) / (1 + len(same)) for span in spans)


def confidence_from_support(
    text: str, spans: Sequence[GroundedSpan], demonstrations: Sequence[Document]
) -> tuple[float, ...]:
    """For each span, its grounding quality times how the demonstrations treat the same words.

    Support = (a + 0.7) / (a + d + 1): a, occurrences of the words that the demonstrations mark with
    the same label; d, occurrences that they leave unmarked or mark with another one.
    """
    folded = [FoldedText(shown.text) for shown in demonstrations]
    found: dict[tuple[str, str], float] = {}
    confidences = []
    for grounded in spans:
        span = grounded.span
        key = (fold(text[span.start : span.end]), span.label)
        if key not in found:
            agree, differ = _treatment(*key, demonstrations, folded)
            found[key] = (agree + _PRIOR_SUPPORT) / (agree + differ + 1)
        confidences.append(grounded.quality * found[key])
    return tuple(confidences)


def _treatment(
    words: str, label: str, demonstrations: Sequence[Document], folded: Sequence[FoldedText]
) -> tuple[int, int]:
    """(occurrences marked with the label, others); those within a longer marked span do not count."""
    agree = differ = 0
    for shown, text in zip(demonstrations, folded, strict=True):
        labels = {(span.start, span.end): span.label for span in shown.spans}
        at = text.folded.find(words) if words else -1
        while at != -1:
            place = text.place(at, at + len(words))
            at = text.folded.find(words, at + 1)
            if place is None or fit(shown.text, *place) != "bounded":
                continue
            if place in labels:
                agree += labels[place] == label
                differ += labels[place] != label
            elif not any(s.start <= place[0] and place[1] <= s.end for s in shown.spans):
                differ += 1
    return agree, differ


def span_confidences(
    text: str,
    grounding: Grounding,
    *,
    from_logprobs: Sequence[float] | None = None,
    others: Sequence[Grounding] = (),
    demonstrations: Sequence[Document] = (),
) -> tuple[float, ...]:
    """For each span a confidence in [0, 1], from the best evidence there is.

    Token probabilities of its mention (``from_logprobs``, one a mention) times grounding quality;
    else agreement with the groundings of other answers to the same question, times quality; else
    quality times support by the demonstrations shown.
    """
    spans = grounding.spans
    if from_logprobs is not None:
        return tuple(grounded.quality * from_logprobs[grounded.mention] for grounded in spans)
    if others:
        marked = [[grounded.span for grounded in other.spans] for other in others]
        agreed = confidence_from_agreement([grounded.span for grounded in spans], marked)
        return tuple(grounded.quality * share for grounded, share in zip(spans, agreed, strict=True))
    return confidence_from_support(text, spans, demonstrations)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A rising line from confidence to the share of spans that people accepted.

    ``knots``: (confidence, share), by rising confidence; linear between, constant outside.
    """

    knots: tuple[tuple[float, float], ...]
    history: int

    def __call__(self, confidence: float) -> float:
        places, shares = zip(*self.knots, strict=True)
        return float(np.interp(confidence, places, shares))


def fit_calibration(
    confidences: npt.ArrayLike, accepted: npt.ArrayLike, *, min_history: int = 100, min_each: int = 10
) -> Calibration | None:
    """Isotonic regression of what people accepted on the confidence shown.

    :param confidences: (n,) in [0, 1].
    :param accepted: (n,) booleans: the span was kept as it was.
    :returns: None with fewer than ``min_history`` spans, or fewer than ``min_each`` accepted or
        corrected ones: too little to tell.
    """
    shown, kept = _pairs(confidences, accepted)
    if len(shown) < min_history or not min_each <= kept.sum() <= len(kept) - min_each:
        return None
    places, group, weights = np.unique(shown, return_inverse=True, return_counts=True)
    means = np.bincount(group, weights=kept) / weights
    shares = isotonic_regression(means, weights=weights).x
    changes = np.diff(shares) != 0
    # Of a level stretch, its two ends say everything.
    needed = np.concatenate([[True], changes]) | np.concatenate([changes, [True]])
    knots = zip(places[needed].tolist(), shares[needed].tolist(), strict=True)
    return Calibration(tuple(knots), len(shown))


def expected_calibration_error(
    confidences: npt.ArrayLike, accepted: npt.ArrayLike, *, bins: int = 10
) -> float:
    """Mean distance between confidence and share accepted, over equal bins of confidence (Guo et
    al., 2017); 0 is perfect.

    :raises InvalidInputError: if there is nothing to compare.
    """
    shown, kept = _pairs(confidences, accepted)
    if len(shown) == 0:
        raise InvalidInputError("calibration error needs at least one span")
    group = np.minimum((shown * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(group, weights=shown - kept, minlength=bins)
    return float(np.abs(gaps).sum() / len(shown))


def _pairs(
    confidences: npt.ArrayLike, accepted: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    shown, kept = np.asarray(confidences, dtype=np.float64), np.asarray(accepted, dtype=np.float64)
    if shown.shape != kept.shape or shown.ndim != 1:
        raise InvalidInputError(f"{shown.shape} confidences for {kept.shape} verdicts")
    if len(shown) and not (shown.min() >= 0 and shown.max() <= 1):
        raise InvalidInputError("confidences must lie in [0, 1]")
    return shown, kept
