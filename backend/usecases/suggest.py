"""Pre-annotate wanted tasks: ask the model, keep what it said, publish what is ready."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice

from allabel_core.errors import MissingExtraError
from allabel_core.prompting import Prompt

from ..logs import about
from ..ports import Answer, ModelFailure, Suggestion
from .asking import leave_unasked
from .calibration import present, stored_calibrations
from .connect import DISCONNECTED
from .label_changes import signature
from .learned import AT_ONCE, Learned, rejoin
from .pace import front_size
from .plan import asks_model
from .preannotator import Preannotator, Question
from .publish import publish
from .remedies import note_model_failure, note_problem
from .sync import queue_state
from .tools import Tools

logger = logging.getLogger(__name__)

PASSING = ("unreachable", "timeout", "rate_limited", "budget", "rejected")
"""Failures that say nothing about the text: the task stays wanted."""

CUT = (
    "An answer ran into its limit of tokens, also when it was given more: what it says up to there is shown."
)

TRY_AGAIN_SECONDS = 30.0


def suggest(tools: Tools, project_id: int) -> None:
    """Pre-annotate the next few wanted tasks, then publish what is ready.

    Without a model they get what annotations have taught. A failure that says nothing about the text
    leaves the task wanted; meanwhile it has a suggestion without the model, so that the queue does not
    stop at it.
    """
    store = tools.store
    claimed = store.claim_wanted(project_id, tools.chunk if tools.model else AT_ONCE)
    if store.fact(project_id, "state") == DISCONNECTED:
        store.no_longer_wanted(project_id, store.wanted(project_id))
        return
    texts = store.some_texts(project_id, claimed)
    store.no_longer_wanted(project_id, set(claimed) - texts.keys())
    if not texts:
        return
    if tools.model is None:
        rejoin(tools, project_id, list(texts))
        store.no_longer_wanted(project_id, texts)
    elif not _ask_and_keep(tools, project_id, claimed, texts):
        return
    tools.tell(project_id, "pre-annotating", *_progress(tools, project_id))
    if store.fact(project_id, "state") == "capped" or store.fact(project_id, "capped") == "1":
        store.set_facts(project_id, state=queue_state(tools, project_id))
    if not store.fact(project_id, "finishing") and not store.awaited(project_id):
        # Else the next suggestion matters more; the sync after the last one publishes in any case.
        publish(tools, project_id, wait=0.0)
    if not store.wanted_count(project_id):
        # Where the queue goes by the model's doubts, they are to be ranked by now.
        store.mark_dirty(project_id, "doubts" if asks_model(store.settings(project_id)) else "suggestions")


def _ask_and_keep(tools: Tools, project_id: int, claimed: Sequence[int], texts: Mapping[int, str]) -> bool:
    """Whether this worker could ask at all."""
    store = tools.store
    unasked = leave_unasked(tools, project_id, texts)
    store.no_longer_wanted(project_id, unasked)
    texts = {task_id: text for task_id, text in texts.items() if task_id not in set(unasked)}
    if not texts:
        return True
    try:
        preannotator = Preannotator.of_project(tools, project_id)
        questions = {task_id: preannotator.question(text) for task_id, text in texts.items()}
    except MissingExtraError as error:
        # This worker cannot; the claims run out, and one that can may take them.
        note_problem(tools, project_id, error)
        return False
    started = time.monotonic()
    with store.keeping_claims(project_id, claimed):
        outcomes = _ask(tools, project_id, questions)
    seconds = time.monotonic() - started
    failed: dict[int, ModelFailure] = {}
    answered: dict[int, list[Answer]] = {}
    for task_id, outcome in outcomes.items():
        if isinstance(outcome, ModelFailure):
            failed[task_id] = outcome
        else:
            answered[task_id] = outcome
    _keep(tools, project_id, preannotator, texts, questions, answered)
    _note_time(tools, project_id, seconds, answered)
    _note_failures(tools, project_id, failed, questions)
    rejoin(tools, project_id, list(failed))
    store.no_longer_wanted(project_id, [t for t in texts if t not in failed or failed[t].kind not in PASSING])
    return True


def _ask(
    tools: Tools, project_id: int, questions: Mapping[int, Question]
) -> dict[int, list[Answer] | ModelFailure]:
    """The answers to all parts of each question; the first failure where one of them has failed."""
    prompts = [prompt for question in questions.values() for prompt in question.prompts]
    outcomes = iter(_answers(tools, project_id, prompts))
    found: dict[int, list[Answer] | ModelFailure] = {}
    for task_id, question in questions.items():
        parts = list(islice(outcomes, len(question.parts)))
        failures = [part for part in parts if isinstance(part, ModelFailure)]
        answers = [part for part in parts if isinstance(part, Answer)]
        found[task_id] = failures[0] if failures else answers
    return found


def _answers(tools: Tools, project_id: int, prompts: Sequence[Prompt]) -> list[Answer | ModelFailure]:
    if tools.model is None:
        return []
    return tools.model.answer(prompts, project_id=project_id, samples=tools.samples)


def _keep(
    tools: Tools,
    project_id: int,
    preannotator: Preannotator,
    texts: Mapping[int, str],
    questions: Mapping[int, Question],
    answered: Mapping[int, Sequence[Answer]],
) -> None:
    store = tools.store
    calibrations, learned = stored_calibrations(tools, project_id), Learned(tools, project_id)
    min_confidence = store.settings(project_id).min_confidence
    tally: Counter[str] = Counter()
    cut = 0
    if store.fact(project_id, "labels_served") not in (None, signature(preannotator.interface)):
        # Asked for under labels that are not those of now: the next sync has it asked again.
        answered = {}
    now = store.some_texts(project_id, list(answered))
    done = store.annotated_among(project_id, list(answered))
    for task_id, answers in answered.items():
        if task_id in done or now.get(task_id) != texts[task_id]:
            # What was known before its annotation stays; what was said of a former text is of no use.
            continue
        with about(task=task_id):
            reading = preannotator.read(task_id, texts[task_id], questions[task_id], answers)
        joined = learned.join(reading.suggestion, texts[task_id])
        store.save_suggestions(project_id, [present(joined, calibrations, min_confidence)])
        if not all(answer.from_cache for answer in answers):
            tally.update(reading.tally)
            cut += reading.suggestion.problem == "truncated"
    if cut:
        note_model_failure(tools, project_id, ModelFailure("truncated", CUT), everywhere=False)
    for name, number in tally.items():
        store.count(project_id, name, number)


def _note_time(
    tools: Tools, project_id: int, seconds: float, answered: Mapping[int, Sequence[Answer]]
) -> None:
    """How long the model takes over texts, for estimates: known answers, which take no time, left out."""
    asked = [answers for answers in answered.values() if not all(answer.from_cache for answer in answers)]
    if asked:
        tools.store.count(project_id, "asked_texts", len(asked))
        tools.store.count(project_id, "asked_milliseconds", round(1000 * seconds))


def _progress(tools: Tools, project_id: int) -> tuple[int, int]:
    """(tasks of the queue's front with a suggestion, tasks of the queue's front)."""
    store = tools.store
    ahead = store.queue_length(project_id)
    if not store.fact(project_id, "finishing"):
        ahead = min(ahead, front_size(tools, project_id))
    return ahead - min(ahead, store.wanted_count(project_id)), ahead


def _note_failures(
    tools: Tools, project_id: int, failed: dict[int, ModelFailure], questions: Mapping[int, Question]
) -> None:
    """Give the failed tasks an empty suggestion where they have none, and remember why."""
    store = tools.store
    capped = any(failure.kind == "budget" for failure in failed.values())
    store.set_facts(project_id, capped=int(capped))
    passing = [task_id for task_id, failure in failed.items() if failure.kind in PASSING]
    everywhere = bool(passing) or 0 < len(failed) == len(questions)
    if not everywhere:
        store.set_facts(project_id, model_problem="")
    if not failed:
        return
    for task_id, failure in failed.items():
        tools.meter.count("errors", "model", failure.kind)
        with about(task=task_id):
            logger.info("project %d: no answer for a task: %s", project_id, failure.kind)
    kept = store.suggestions(project_id, list(failed))
    empty = [
        Suggestion(
            task_id=task_id,
            result=[],
            recipe="" if failure.kind in PASSING else questions[task_id].recipe,
            demonstrations=questions[task_id].demonstrations,
            problem=failure.kind,
            basis=questions[task_id].basis,
        )
        for task_id, failure in failed.items()
        if task_id not in kept or failure.kind not in PASSING
    ]
    store.save_suggestions(project_id, empty)
    if passing:
        store.try_again_in(project_id, passing, TRY_AGAIN_SECONDS)
    note_model_failure(tools, project_id, failed[(passing or list(failed))[0]], everywhere=everywhere)
    logger.warning("project %d: no suggestion for %d tasks", project_id, len(failed))
