"""The language model of the settings as an extractor."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict

from allabel_core.answers import render_answer
from allabel_core.chunking import estimate_tokens
from allabel_core.grounding import GroundingPolicy, learn_policy
from allabel_core.prompting import (
    Form,
    LabelSet,
    Prompt,
    Templates,
    build_prompt,
    fit_demonstrations,
    prompt_tokens,
)
from allabel_core.simulation.extractors import Corpus, Extraction, Question
from allabel_core.types import Document, Span

from ..errors import LanguageModelError
from ..ports import Answer, FailureKind, LanguageModel, ModelFailure
from ..usecases.reading import EVIDENCE, read_part

PROJECT = 0
"""What simulation spends is accounted for outside any project of Label Studio."""

_ABOUT_THE_TEXT: tuple[FailureKind, ...] = ("refused", "too_long", "truncated", "malformed")


class ModelExtractor:
    """Asks as the product asks: same prompt, same parsing, same grounding.

    A text that the model refuses or cannot take in counts as answered with nothing; every other failure
    ends the run, to be taken up again once it is repaired.
    """

    learns = False

    def __init__(self, model: LanguageModel, labels: Sequence[str], templates: Templates) -> None:
        self._model = model
        self._labels = LabelSet(tuple(labels))
        self._templates = templates

    @property
    def name(self) -> str:
        return self._model.model

    @property
    def identity(self) -> str:
        """What shapes its answers, besides the question."""
        variant = [self._model.variant] if self._model.variant else []
        shape = json.dumps(
            [self._labels.labels, self._model.context_window, asdict(self._templates), *variant]
        )
        return f"{self.name} {hashlib.sha256(shape.encode()).hexdigest()[:16]}"

    def extract(
        self, corpus: Corpus, questions: Sequence[Question], on_done: Callable[[int], None]
    ) -> list[Extraction]:
        """:raises LanguageModelError: the model cannot be used now; what is answered is not lost."""
        form = self._model.form()
        prompts = [self.prompt(question, form) for question in questions]
        outcomes = self._model.answer(prompts, project_id=PROJECT, on_answer=lambda *_: on_done(1))
        for outcome in outcomes:
            if isinstance(outcome, ModelFailure) and outcome.kind not in _ABOUT_THE_TEXT:
                raise LanguageModelError(f"{outcome.message} Run the same command again to go on from here.")
        policy = learn_policy(corpus.documents)
        return [
            self._extraction(question, outcome, policy)
            for question, outcome in zip(questions, outcomes, strict=True)
        ]

    def prompt(self, question: Question, form: Form) -> Prompt:
        """The prompt with as many of the nearest demonstrations as the model can take in."""
        shown = fit_demonstrations(
            self._labels,
            question.demonstrations,
            question.text,
            context_tokens=self._model.context_window,
            form=form,
            templates=self._templates,
        )
        return build_prompt(self._labels, shown, question.text, templates=self._templates)

    def estimated_tokens(self, prompt: Prompt, gold: Document, form: Form) -> tuple[int, int]:
        """(tokens of the prompt, tokens of an answer that says what the gold says)."""
        said = estimate_tokens(render_answer(gold, self._labels, form=form))
        return prompt_tokens(prompt, form=form), said

    def _extraction(
        self, question: Question, outcome: Answer | ModelFailure, policy: GroundingPolicy
    ) -> Extraction:
        text = question.text
        if isinstance(outcome, ModelFailure):
            return Extraction(Document(text), failure=outcome.kind)
        read = read_part(text, outcome, self._labels, policy, question.demonstrations)
        evidence = next(kind for kind in EVIDENCE if kind in read.known)
        scores: dict[Span, float] = {}
        for grounded, score in zip(read.grounding.spans, read.confidences(evidence), strict=True):
            scores[grounded.span] = max(score, scores.get(grounded.span, 0.0))
        return Extraction(
            Document(text, tuple(scores)),
            tokens=outcome.prompt_tokens + outcome.completion_tokens,
            perplexity=_perplexity(outcome),
            failure="malformed" if read.parsed.problem == "not_json" else "",
            scores=tuple(scores.values()),
        )


def _perplexity(answer: Answer) -> float | None:
    """exp of the mean negative log probability of the answer's tokens."""
    if not answer.logprobs:
        return None
    return math.exp(-sum(logprob for _, logprob in answer.logprobs) / len(answer.logprobs))
