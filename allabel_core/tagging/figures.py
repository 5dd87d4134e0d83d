"""What each source is worth on the texts of this project, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from allabel_core.metrics import score_entities
from allabel_core.tagging.arbiter import Evidence, Rows, choose
from allabel_core.tagging.candidates import Candidate
from allabel_core.types import Document, FloatArray, Span

Shown: TypeAlias = Literal["model", "joined"]

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
# What is shown changes only for a difference of entity F1 beyond this.
_HYSTERESIS = 0.01
# F1 is lost to no one's notice within this.
_AS_GOOD = 0.005
_TAGGER_FROM, _LEXICON_FROM = 0.3, 0.5


@dataclass(frozen=True, slots=True)
class Figures:
    """Entity F1 by cross-validation over ``texts`` annotated texts, the same for all.

    ``learned``: tagger and lexicon joined, without a model. ``model`` and ``joined``: None where too few
    texts have a model's answer; then ``by_share`` is empty. ``by_share``: (share of the texts that the model
    is asked about, F1), the texts with the most expected errors first.
    """

    texts: int
    tagger: float
    lexicon: float
    learned: float
    model: float | None = None
    joined: float | None = None
    by_share: tuple[tuple[float, float], ...] = ()

    def share_worth_asking(self) -> float:
        """The smallest share within half a point of the best; 1 where nothing is known."""
        best = max((f1 for _, f1 in self.by_share), default=0.0)
        return next((share for share, f1 in self.by_share if f1 >= best - _AS_GOOD), 1.0)

    def shown(self, before: Shown | None) -> Shown:
        """Whether the joined suggestions or the model's own are shown; ``before``: which were until now."""
        if self.model is None or self.joined is None:
            return "joined"
        lead = self.joined - self.model
        if before == "model":
            return "joined" if lead > _HYSTERESIS else "model"
        return "model" if lead < -_HYSTERESIS or (before is None and lead <= 0) else "joined"


def alone(candidates: Sequence[Candidate]) -> dict[str, list[Span]]:
    """What "tagger" and "lexicon" would show, each by itself."""
    spans = [candidate.span for candidate in candidates]
    worths = {
        "tagger": [candidate.tagger - _TAGGER_FROM for candidate in candidates],
        "lexicon": [c.known.precision - _LEXICON_FROM if c.known.marked else 0.0 for c in candidates],
    }
    return {source: [spans[i] for i in choose(spans, worth)] for source, worth in worths.items()}


def measured(
    evidence: Evidence,
    texts: Sequence[int],
    learned: tuple[Rows, float, Sequence[FloatArray]],
    joined: tuple[Rows, float, Sequence[FloatArray]] | None,
) -> Figures:
    """:param texts: what is measured on; the rows are of these texts, in this order, each with the threshold
    and the probabilities that arbiters of other texts give.
    """
    rows, threshold, likely = learned
    gold = [evidence.documents[i] for i in texts]

    def f1(spans: Sequence[Sequence[Span]]) -> float:
        found = [Document(d.text, tuple(here)) for d, here in zip(gold, spans, strict=True)]
        return score_entities(found, gold).f1

    singly = [alone(candidates) for candidates in rows.candidates]
    without = rows.chosen(likely, threshold)
    figures = Figures(
        texts=len(texts),
        tagger=f1([here["tagger"] for here in singly]),
        lexicon=f1([here["lexicon"] for here in singly]),
        learned=f1(without),
    )
    if joined is None:
        return figures
    rows, threshold, likely_with = joined
    with_model = rows.chosen(likely_with, threshold)
    errors = [float(np.minimum(p, 1 - p).sum()) for p in likely]
    asked_first = np.argsort(-np.array(errors), kind="stable").tolist()
    by_share = []
    for share in SHARES:
        asked = set(asked_first[: round(share * len(texts))])
        mixed = [with_model[i] if i in asked else without[i] for i in range(len(texts))]
        by_share.append((share, f1(mixed)))
    model = f1([[said.span for said in evidence.answers[i]] for i in texts])
    return replace(figures, model=model, joined=f1(with_model), by_share=tuple(by_share))
