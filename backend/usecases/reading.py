"""Answers to the parts of a question: grounded, put together, and how sure each span is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from allabel_core.answers import LabelSet, ParsedAnswer, parse_answer
from allabel_core.chunking import Chunk, stitch
from allabel_core.confidence import confidence_from_logprobs, span_confidences
from allabel_core.grounding import Grounding, GroundingPolicy, ground
from allabel_core.types import Document

from ..ports import Answer

EVIDENCE = ("logprobs", "agreement", "support")
"""What a confidence can rest on, the best first; all parts of a text rest on the same."""


class Understood(NamedTuple):
    """The whole text's grounding; ``scores``: of its spans, in [0, 1], resting on ``evidence``.

    ``rejected``: mentions not shown, by reason. ``tally``: these, the answers and the spans, as the
    names and amounts of counters.
    """

    grounding: Grounding
    scores: list[float]
    evidence: str
    rejected: dict[str, int]
    tally: Counter[str]


@dataclass(frozen=True, slots=True)
class PartReading:
    """One part's answer, grounded in its chunk, with all the evidence for its spans."""

    text: str
    parsed: ParsedAnswer
    grounding: Grounding
    from_logprobs: Sequence[float] | None
    others: Sequence[Grounding]
    demonstrations: Sequence[Document]

    @property
    def known(self) -> set[str]:
        """The kinds of evidence there are."""
        given = {"logprobs": self.from_logprobs is not None, "agreement": bool(self.others), "support": True}
        return {kind for kind, there in given.items() if there}

    def confidences(self, evidence: str) -> tuple[float, ...]:
        return span_confidences(
            self.text,
            self.grounding,
            from_logprobs=self.from_logprobs if evidence == "logprobs" else None,
            others=self.others if evidence == "agreement" else (),
            demonstrations=self.demonstrations,
        )


def read_part(
    text: str, answer: Answer, labels: LabelSet, policy: GroundingPolicy, demonstrations: Sequence[Document]
) -> PartReading:
    """What an answer about ``text``, a chunk or a whole text, says."""
    parsed = parse_answer(answer.text, labels, form=answer.form)
    others = [parse_answer(other, labels, form=answer.form) for other in answer.alternatives]
    from_logprobs = None
    if answer.logprobs:
        from_logprobs = confidence_from_logprobs(answer.text, parsed.places, answer.logprobs)
    return PartReading(
        text=text,
        parsed=parsed,
        grounding=ground(text, parsed.mentions, parsed.relations, policy=policy),
        from_logprobs=from_logprobs,
        others=[ground(text, other.mentions, policy=policy) for other in others],
        demonstrations=demonstrations,
    )


def understand(chunks: Sequence[Chunk], parts: Sequence[PartReading]) -> Understood:
    """The whole text's spans from those of its chunks."""
    evidence = next(kind for kind in EVIDENCE if all(kind in part.known for part in parts))
    stitched = stitch(chunks, [part.grounding for part in parts])
    by_part = [part.confidences(evidence) for part in parts]
    scores = [by_part[i][j] for i, j in stitched.origins]
    tally, rejected = _tally([part.parsed for part in parts], stitched.grounding)
    return Understood(stitched.grounding, scores, evidence, rejected, tally)


def _tally(parsed: Sequence[ParsedAnswer], grounding: Grounding) -> tuple[Counter[str], dict[str, int]]:
    """(counters of answers and rejections by reason, the rejections alone)."""
    rejected = Counter(grounding.rejected)
    rejected["unknown_label"] = sum(each.unknown_labels for each in parsed)
    rejected["malformed"] = sum(each.malformed for each in parsed)
    rejected["superseded"] = sum(each.superseded for each in parsed)
    rejected["lost_relation"] = grounding.lost_relations
    tally = Counter({f"rejected_{reason}": n for reason, n in rejected.items() if n})
    tally["answers"] = len(parsed)
    tally["spans"] = len(grounding.spans)
    tally.update(f"answers_{each.problem}" for each in parsed if each.problem)
    return tally, {reason: n for reason, n in rejected.items() if n}


def certainty(answers: Sequence[Answer], scores: Sequence[float]) -> float | None:
    """Mean probability of the answers' tokens (geometric) where told, else of the spans."""
    values = [value for answer in answers for _, value in answer.logprobs or ()]
    if values and all(answer.logprobs for answer in answers):
        return math.exp(min(0.0, sum(values) / len(values)))
    return sum(scores) / len(scores) if scores else None
