"""Suggestions by all sources that a project has: what people marked so far, and a language model's answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from allabel_core.tagging.arbiter import Arbiter, Evidence, choose, cross_fitted
from allabel_core.tagging.candidates import Candidate, describe, describe_answer, find_candidates
from allabel_core.tagging.crf import MOST_TOKENS, Crf, Preparation, Tagged
from allabel_core.tagging.figures import Figures, Shown, alone, measured
from allabel_core.tagging.lexicon import DICTIONARY_WEIGHT, Lexicon, build_lexicon
from allabel_core.tagging.sources import ModelSpans, Source, SuggestedSpan, TextSuggestion
from allabel_core.tagging.tokens import tokenize
from allabel_core.types import Document, FloatArray, Span

FEWEST_FOR_TAGGER = 5
"""Annotated texts from which on a tagger is trained."""
FEWEST_FOR_ARBITER = 20
"""Annotated texts from which on an arbiter is; below, the rules of ``_by_rule`` hold."""
FEWEST_MENTIONS = 3
"""Annotated mentions from which on a label is learnt; below, it is the model's alone."""
_MOST_JUDGED = 1_000
"""Of these, so many at most teach the arbiter."""

# An arbiter of this part of the texts is as good as one of all of them.
_GOOD_FOR = 0.9
_STRICT_PRECISION, _STRICT_MARKED = 0.8, 2
_RULE_THRESHOLD = 0.3
# Below this mean confidence in its own spans, the model's answer to a text outweighs nobody.
_SURE_OF_ITSELF = 0.5


@dataclass(frozen=True)
class Suggester:
    """All that was learnt from the annotated texts of a project. ``Suggester.train`` makes one.

    ``mentions``: annotated ones by label. ``nests``: annotated spans overlap. ``learned``: judges candidates
    without a model's answer, ``joined`` with one; None where there was too little to learn from.
    ``judged``: on how many annotated texts these two were learnt. ``shown``: what stands for a text that the
    model has answered.
    """

    texts: int
    mentions: Mapping[str, int]
    nests: bool
    lexicon: Lexicon
    tagger: Crf | None = None
    learned: Arbiter | None = None
    joined: Arbiter | None = None
    judged: int = 0
    figures: Figures | None = None
    shown: Shown = "joined"

    @classmethod
    def train(
        cls,
        documents: Sequence[Document],
        answers: Mapping[int, ModelSpans] | None = None,
        *,
        dictionary: Sequence[tuple[str, str]] = (),
        previous: Suggester | None = None,
        quick: bool = False,
    ) -> Suggester:
        """Learn from annotated texts, in the order of annotation. The same input gives the same result.

        :param answers: by index into ``documents``, what a model said of a text before it was annotated.
        :param dictionary: (term, label) of an expert's own.
        :param previous: an earlier state of the same project: what was measured then is measured again only
            when a tenth of the texts is new, and what is shown changes only for a clear difference.
        :param quick: measure nothing, however many texts are new; ``wants_judging`` tells when to.
        """
        kept = _latest(documents)
        learnt = list(documents[kept:])
        answers = {i - kept: spans for i, spans in (answers or {}).items() if i >= kept}
        known = cls(
            texts=len(documents),
            mentions=Counter(span.label for document in documents for span in document.spans),
            nests=any(_overlap(document) for document in documents),
            lexicon=build_lexicon(learnt, dictionary),
        )
        if len(learnt) < FEWEST_FOR_TAGGER or not known.mentions:
            return known
        preparation = Preparation(learnt)
        known = replace(known, tagger=preparation.train(range(len(learnt))))
        if len(learnt) < FEWEST_FOR_ARBITER:
            return known
        reused = known._judged_as(previous)
        if quick or not reused.wants_judging(len(answers)):
            return reused
        return known._judging(cross_fitted(learnt, preparation, known.lexicon, answers), previous)

    def _judged_as(self, previous: Suggester | None) -> Suggester:
        """With the arbiters of ``previous``, where these know the same labels."""
        if previous is None or previous.tagger is None or previous.labels != self.labels:
            return self
        return replace(
            self,
            learned=previous.learned,
            joined=previous.joined,
            judged=previous.judged,
            figures=previous.figures,
            shown=previous.shown,
        )

    def wants_judging(self, answers: int) -> bool:
        """Whether arbiters are to be learnt, from so many texts that a model has answered.

        They are good for as long as nine tenths of the texts were there when they were learnt.
        """
        if self.tagger is None or self.texts < FEWEST_FOR_ARBITER:
            return False
        wants_joined = self.joined is None and answers >= FEWEST_FOR_ARBITER
        return self.learned is None or wants_joined or not _GOOD_FOR * self.texts <= self.judged <= self.texts

    def _judging(self, evidence: Evidence, previous: Suggester | None) -> Suggester:
        """With arbiters, and with figures of what each source is worth."""
        every = range(max(0, len(evidence.documents) - _MOST_JUDGED), len(evidence.documents))
        rows = evidence.rows(every, self.labels, with_model=False)
        learned, likely = rows.fit()
        answered = [i for i in every if i in evidence.answers]
        known = replace(self, learned=learned, judged=self.texts)
        if len(answered) < FEWEST_FOR_ARBITER:
            return replace(known, figures=measured(evidence, every, (rows, learned.threshold, likely), None))
        with_model = evidence.rows(answered, self.labels, with_model=True)
        joined, likely_with = with_model.fit()
        places = [i - every.start for i in answered]
        figures = measured(
            evidence,
            answered,
            (rows.of(places), learned.threshold, [likely[i] for i in places]),
            (with_model, joined.threshold, likely_with),
        )
        before = previous.shown if previous is not None and previous.joined is not None else None
        return replace(known, joined=joined, figures=figures, shown=figures.shown(before))

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(sorted(self.mentions))

    def suggest(self, text: str, model_spans: ModelSpans | None = None) -> TextSuggestion:
        """What to show for a text; ``model_spans``: the model's answer, None while there is none.

        The model's spans that nobody else can judge stay whatever the others say: those of labels with
        fewer than ``FEWEST_MENTIONS`` annotated mentions, ends of relations, and overlapping ones where
        annotators mark overlapping spans.
        """
        tagged = self._tagged(text)
        said = model_spans if model_spans is not None else ()
        candidates = find_candidates(text, tagged, self.lexicon, said)
        staying = self._staying(said)
        if staying:
            candidates = [c for c in candidates if c.span in staying or not _meets(c.span, staying)]
        likely, worth = self._judged(candidates, answered=model_spans is not None)
        stays = np.array([c.span in staying for c in candidates], dtype=bool)
        contested = np.flatnonzero(~stays)
        chosen = choose([candidates[i].span for i in contested], worth[contested].tolist())
        shown = sorted([*np.flatnonzero(stays).tolist(), *contested[chosen].tolist()])
        spans = tuple(_suggested(candidates[i], float(likely[i])) for i in shown)
        wrong = sum(1 - span.confidence for span in spans)
        missing = float(likely.sum()) - float(likely[shown].sum())
        return TextSuggestion(spans, wrong + missing, tagged.doubt)

    def _tagged(self, text: str) -> Tagged:
        return self.tagger.tag(text) if self.tagger is not None else Tagged.by_nobody(text)

    def by_source(self, text: str) -> dict[str, tuple[Span, ...]]:
        """What is found by "tagger" and "lexicon" alone, and by both joined, "learned"."""
        tagged = self._tagged(text)
        found = {
            source: tuple(spans)
            for source, spans in alone(find_candidates(text, tagged, self.lexicon)).items()
        }
        return {**found, "learned": tuple(each.span for each in self.suggest(text).spans)}

    def _staying(self, said: ModelSpans) -> set[Span]:
        spans = sorted({each.span for each in said})
        staying = {each.span for each in said if each.linked}
        staying |= {span for span in spans if self.mentions.get(span.label, 0) < FEWEST_MENTIONS}
        if self.nests:
            reach = -1
            for before, span in pairwise(spans):
                reach = max(reach, before.end)
                if span.start < reach:
                    staying |= {each for each in spans if each.start < span.end and span.start < each.end}
        return staying

    def _judged(self, candidates: Sequence[Candidate], *, answered: bool) -> tuple[FloatArray, FloatArray]:
        """(probability, worth) of each candidate; one whose worth is not above 0 is not shown."""
        arbiter = self.joined if answered else self.learned
        if arbiter is None:
            said = [candidate.model for candidate in candidates if candidate.model is not None]
            if said and self.tagger is not None and float(np.mean(said)) < _SURE_OF_ITSELF:
                return _by_likelihood(candidates)
            return _by_rule(candidates, answered=answered)
        answer = describe_answer(candidates, self.labels) if answered else None
        likely = arbiter(describe(candidates, self.labels), answer)
        for i, candidate in enumerate(candidates):
            if candidate.model is not None and self.mentions.get(candidate.span.label, 0) < FEWEST_MENTIONS:
                likely[i] = candidate.model
        if answered and self.shown == "model":
            is_models = np.array([candidate.model is not None for candidate in candidates], dtype=bool)
            return likely, np.where(is_models, 1 + likely, 0.0)
        return likely, likely - arbiter.threshold


def _by_rule(candidates: Sequence[Candidate], *, answered: bool) -> tuple[FloatArray, FloatArray]:
    """As ``_judged`` where there is no arbiter: the model's spans, then words that were always marked, and
    without an answer what the tagger takes for likely.
    """
    likely, worth = np.zeros(len(candidates)), np.zeros(len(candidates))
    for i, candidate in enumerate(candidates):
        known = candidate.known
        if candidate.model is not None:
            # Any span of the model outweighs every other that it overlaps.
            likely[i], worth[i] = candidate.model, len(candidates) + candidate.model
        elif known.precision >= _STRICT_PRECISION and known.marked >= _STRICT_MARKED:
            likely[i] = worth[i] = known.precision
        elif not answered:
            likely[i], worth[i] = candidate.tagger, candidate.tagger - _RULE_THRESHOLD
    return likely, worth


def _by_likelihood(candidates: Sequence[Candidate]) -> tuple[FloatArray, FloatArray]:
    """As ``_by_rule`` for an answer that the model is not sure of itself: whoever is surest counts."""
    likely = np.array(
        [
            max(
                each.model or 0.0,
                each.tagger,
                each.known.precision if each.known.marked >= _STRICT_MARKED else 0.0,
            )
            for each in candidates
        ]
    )
    return likely, likely - _RULE_THRESHOLD


def _suggested(candidate: Candidate, likely: float) -> SuggestedSpan:
    proposed: dict[Source, bool] = {
        "model": candidate.model is not None,
        "tagger": candidate.tagger >= _RULE_THRESHOLD,
        "lexicon": candidate.known.marked > (DICTIONARY_WEIGHT if candidate.in_dictionary else 0),
        "dictionary": candidate.in_dictionary,
    }
    sources: tuple[Source, ...] = tuple(source for source, does in proposed.items() if does) or ("tagger",)
    known = candidate.known
    # What the dictionary counts for, nobody has marked.
    listed = DICTIONARY_WEIGHT if candidate.in_dictionary else 0
    marked, seen = known.marked - listed, known.seen - listed
    if marked <= 0:
        marked, seen = 0, 0
    return SuggestedSpan(candidate.span, min(1.0, likely), sources, marked, seen)


def _meets(span: Span, others: set[Span]) -> bool:
    return any(other.start < span.end and span.start < other.end for other in others)


def _overlap(document: Document) -> bool:
    ordered = sorted(document.spans)
    return any(a.end > b.start for a, b in pairwise(ordered))


def _latest(documents: Sequence[Document]) -> int:
    """The index from which on the documents have at most ``MOST_TOKENS`` tokens; the last is always kept."""
    left = MOST_TOKENS
    for i in range(len(documents) - 1, -1, -1):
        left -= len(tokenize(documents[i].text))
        if left < 0:
            return min(i + 1, len(documents) - 1)
    return 0
