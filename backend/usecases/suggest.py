"""Pre-annotation: demonstrations for a text, the model's answer, spans for Label Studio."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from allabel_core.grounding import GroundingPolicy, ground, learn_policy
from allabel_core.prompting import Form, LabelSet, Prompt, build_prompt, fit_demonstrations, parse_answer
from allabel_core.retrieval import DemonstrationIndex

from ..errors import LanguageModelError
from ..labeling.label_config import LabelingInterface, parse_label_config
from ..labeling.results import result_from_spans
from ..ports import Answer, LanguageModel, ModelFailure, StoredDemonstration, Suggestion
from .publish import publish
from .tools import Tools

logger = logging.getLogger(__name__)

PASSING = ("unreachable", "timeout", "rate_limited", "budget", "rejected")
"""Failures that say nothing about the text: the task stays wanted."""

TRY_AGAIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Question:
    """What the model is to be asked about a text; ``recipe`` identifies all that shapes the answer."""

    prompt: Prompt
    demonstrations: tuple[int, ...]
    recipe: str


class Preannotator:
    """Asks about the texts of one project as it is now: labels, instructions, demonstrations."""

    def __init__(
        self,
        tools: Tools,
        interface: LabelingInterface,
        instructions: str,
        demonstrations: Sequence[StoredDemonstration],
        *,
        k: int,
        similarity: str,
    ) -> None:
        self._tools = tools
        self._interface = interface
        self._labels = LabelSet(
            labels=interface.labels,
            hints=tuple(interface.hints.items()),
            instructions=instructions,
            relation_labels=interface.relation_labels or (),
        )
        self._demonstrations = list(demonstrations)
        documents = [shown.document for shown in demonstrations]
        self._policy: GroundingPolicy = learn_policy(documents)
        self._index = DemonstrationIndex([document.text for document in documents], similarity=similarity)
        self._k = k
        self._form = _form(tools.model)

    @classmethod
    def of_project(cls, tools: Tools, project_id: int) -> Preannotator:
        store = tools.store
        settings = store.settings(project_id)
        return cls(
            tools,
            parse_label_config(store.fact(project_id, "label_config") or ""),
            store.fact(project_id, "instructions") or "",
            store.demonstrations(project_id),
            k=settings.k,
            similarity=settings.similarity,
        )

    def question(self, text: str) -> Question:
        """The prompt for a text, with as many of its k nearest demonstrations as the model can take in."""
        nearest = [self._demonstrations[index] for index, _ in self._index.nearest(text, self._k)]
        model, templates = self._tools.model, self._tools.templates
        if model is not None:
            fitting = fit_demonstrations(
                self._labels,
                [shown.document for shown in nearest],
                text,
                context_tokens=model.context_window,
                form=self._form,
                templates=templates,
            )
            nearest = [shown for shown in nearest if any(shown.document is fits for fits in fitting)]
        prompt = build_prompt(self._labels, [shown.document for shown in nearest], text, templates=templates)
        return Question(prompt, tuple(shown.task_id for shown in nearest), self._recipe(prompt))

    def _recipe(self, prompt: Prompt) -> str:
        model = self._tools.model.model if self._tools.model else ""
        shaped_by = [model, [[m.role, m.content] for m in prompt.messages], prompt.schema]
        return hashlib.sha256(json.dumps(shaped_by).encode()).hexdigest()[:32]

    def suggestion(self, task_id: int, text: str, question: Question, answer: Answer) -> Suggestion:
        """The answer as regions of the text; what has no place in the text is counted, not shown."""
        parsed = parse_answer(answer.text, self._labels, form=answer.form)
        grounding = ground(text, parsed.mentions, parsed.relations, policy=self._policy)
        scores = [grounded.quality for grounded in grounding.spans]
        return Suggestion(
            task_id=task_id,
            result=result_from_spans(
                self._interface,
                text,
                [grounded.span for grounded in grounding.spans],
                scores=scores,
                relations=grounding.relations,
            ),
            recipe=question.recipe,
            demonstrations=list(question.demonstrations),
            problem="malformed" if parsed.problem == "not_json" else None,
            confidence=min(scores, default=None),
            rejected=dict(grounding.rejected),
        )


def _form(model: LanguageModel | None) -> Form:
    """The form a model is asked in; a guess while the model cannot be reached, and no answer comes anyway."""
    if model is None:
        return "chat"
    try:
        return model.form()
    except LanguageModelError:
        return "chat"


def suggest(tools: Tools, project_id: int) -> None:
    """Pre-annotate the next few wanted tasks, then publish what is ready.

    A failure that says nothing about the text leaves the task wanted; meanwhile it has an empty
    suggestion, so that the queue does not stop at it.
    """
    store = tools.store
    claimed = store.claim_wanted(project_id, tools.chunk)
    texts = store.some_texts(project_id, claimed)
    store.no_longer_wanted(project_id, set(claimed) - texts.keys())
    if not texts:
        return
    preannotator = Preannotator.of_project(tools, project_id)
    questions = {task_id: preannotator.question(text) for task_id, text in texts.items()}
    outcomes = _ask(tools, project_id, [question.prompt for question in questions.values()])
    failed: dict[int, ModelFailure] = {}
    for (task_id, question), outcome in zip(questions.items(), outcomes, strict=True):
        if isinstance(outcome, Answer):
            made = preannotator.suggestion(task_id, texts[task_id], question, outcome)
            store.save_suggestions(project_id, [made])
        else:
            failed[task_id] = outcome
    _note_failures(tools, project_id, failed, questions)
    store.no_longer_wanted(project_id, [t for t in texts if t not in failed or failed[t].kind not in PASSING])
    store.set_progress(project_id, "pre-annotating", *_progress(tools, project_id))
    publish(tools, project_id)
    if not store.wanted(project_id):
        store.mark_dirty(project_id, "suggestions")


def _progress(tools: Tools, project_id: int) -> tuple[int, int]:
    """(tasks of the queue's front with a suggestion, tasks of the queue's front)."""
    store = tools.store
    queue = store.queue(project_id)
    ahead = (
        len(queue)
        if store.fact(project_id, "finishing")
        else min(len(queue), store.settings(project_id).window)
    )
    return ahead - min(ahead, len(store.wanted(project_id))), ahead


def _ask(tools: Tools, project_id: int, prompts: Sequence[Prompt]) -> list[Answer | ModelFailure]:
    if tools.model is None:
        message = "No model is configured: set OPENAI_API_KEY or OPENAI_BASE_URL."
        return [ModelFailure("rejected", message)] * len(prompts)
    return tools.model.answer(prompts, project_id=project_id, samples=tools.samples)


def _note_failures(
    tools: Tools, project_id: int, failed: dict[int, ModelFailure], questions: dict[int, Question]
) -> None:
    """Give the failed tasks an empty suggestion where they have none, and remember why."""
    store = tools.store
    if not failed:
        store.set_facts(project_id, model_problem="")
        return
    kept = store.suggestions(project_id, list(failed))
    empty = [
        Suggestion(
            task_id=task_id,
            result=[],
            recipe="" if failure.kind in PASSING else questions[task_id].recipe,
            demonstrations=list(questions[task_id].demonstrations),
            problem=failure.kind,
        )
        for task_id, failure in failed.items()
        if task_id not in kept or failure.kind not in PASSING
    ]
    store.save_suggestions(project_id, empty)
    passing = [task_id for task_id, failure in failed.items() if failure.kind in PASSING]
    if passing:
        store.try_again_in(project_id, passing, TRY_AGAIN_SECONDS)
    store.set_facts(project_id, model_problem=next(iter(failed.values())).message)
    logger.warning("project %d: no suggestion for %d tasks", project_id, len(failed))
