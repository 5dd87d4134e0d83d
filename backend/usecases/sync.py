"""Bring a project's queue in line with what Label Studio holds now. Safe to run at any time."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from redis.exceptions import RedisError

from ..errors import LabelStudioError, LabelStudioNotFoundError, LabelStudioRejectedError
from ..logs import where
from ..ports import Project, QueueEntry
from .audit import budget_without, draw, with_audit
from .connect import describe_progress, set_up
from .connection import is_connected, must_ask, stop
from .corpus import Corpus, read_annotations
from .encoder import needs_embeddings
from .events import KINDS as EVENT_KINDS
from .identity import forget_another, stamp_of
from .insight import look
from .label_changes import current_interface, drop_foreign, note_losses
from .learn import note_to_learn
from .pace import note_pace
from .plan import model_doubts, plan_suggestions
from .pool import read_edited, update_texts
from .publish import is_served, publish
from .ranking import reading_budget
from .remedies import note_problem
from .report import stored_insight
from .tools import Tools
from .witness import witness

logger = logging.getLogger(__name__)

CHECKS = {"project", "reconcile", "suggestions"}
"""Kinds of mark that say: look whether anything changed. Only if it did, the pool is ranked anew."""

LOOKS = {"reconcile", "edited"}
"""Kinds of mark that say: look for texts that were edited, which Label Studio tells nobody."""

NEVER_ANSWERED = ("malformed", "truncated")
"""Problems of suggestions for which there is no answer, though the model was asked."""

LONGEST_WAIT = 60.0
"""Seconds between two tries while something is wrong."""


def sync(tools: Tools, project_id: int) -> bool:
    """Rank, decide which suggestions are wanted, publish. False where another worker is at it.

    The marks of work stay until this has come to its end, so nothing is lost where it does not.
    A problem is kept as the project's state, for the pages and the CLI, and tried again.
    """
    store = tools.store
    with store.lock(f"sync:{project_id}") as held:
        if not held:
            return False
        kinds, revision = store.dirty(project_id)
        if not kinds:
            return True
        started = time.monotonic()
        waited = store.waiting_seconds(project_id)
        try:
            _sync(tools, project_id, kinds)
        except RedisError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the project must show it and try again
            if isinstance(error, LabelStudioNotFoundError) and _is_gone(tools, project_id):
                logger.warning("project %d: gone from Label Studio, forgotten", project_id)
                store.forget_project(project_id)
                return True
            if isinstance(error, LabelStudioRejectedError):
                # Of predictions for a task that is no more, for one: read all tasks next time.
                store.mark_dirty(project_id, "tasks")
            failures = store.count(project_id, "failures")
            note_problem(tools, project_id, error)
            tools.meter.count("errors", "sync", type(error).__name__)
            store.postpone(project_id, min(LONGEST_WAIT, 2.0 ** min(failures, 10)))
            logger.warning("project %d: %s (%d in a row)", project_id, where(error), failures)
            return True
        seconds = time.monotonic() - started
        store.set_facts(project_id, failures=0, sync_seconds=round(seconds, 3))
        store.clear_dirty(project_id, revision)
        if kinds & set(EVENT_KINDS.values()):
            tools.meter.observe("event_lag_seconds", waited + seconds)
        return True


def _is_gone(tools: Tools, project_id: int) -> bool:
    """Whether a Label Studio that is there and knows us says that there is no such project."""
    try:
        tools.label_studio.check()
    except LabelStudioError:
        return False
    try:
        tools.label_studio.project(project_id)
    except LabelStudioError as error:
        return isinstance(error, LabelStudioNotFoundError)
    return False


def _sync(tools: Tools, project_id: int, kinds: set[str]) -> None:
    store = tools.store
    if must_ask(tools, project_id, kinds) and not is_connected(tools, project_id):
        stop(tools, project_id)
        return
    project = tools.label_studio.project(project_id)
    if forget_another(tools, project_id, stamp_of(project.created_at)):
        logger.warning("project %d: another project has its number by now; it was forgotten", project_id)
        return
    if kinds == {"project"} and _same_task(store.facts(project_id), project):
        return
    store.set_facts(project_id, title=project.title, overlap=project.overlap)
    interface = current_interface(tools, project)
    drop_foreign(tools, project_id, interface)
    if "setup" in kinds:
        set_up(tools, project)
    if needs_embeddings(store.settings(project_id)):
        # Now rather than at the first demonstration, so that one learns early that they are not installed.
        tools.encoder.load()
    read = update_texts(tools, project, interface, new_tasks="new_tasks" in kinds)
    edited = not read and bool(kinds & LOOKS) and read_edited(tools, project, interface)
    before = store.done(project_id)
    corpus = read_annotations(tools, project, interface, anew=read == "all")
    witness(tools, project_id, corpus)
    note_pace(tools, project_id, corpus.submissions)
    store.set_facts(project_id, label_config=project.label_config, instructions=project.instructions)
    note_to_learn(tools, project_id)
    if kinds <= CHECKS and corpus.done == before and not read and not edited:
        queue = store.queue(project_id)
    else:
        queue = _rank(tools, project_id, corpus)
    plan_suggestions(tools, project_id, corpus.demonstrations, corpus.skipped, queue)
    publish(tools, project_id, project=project, verify=bool(kinds & {"reconcile", "setup"}))
    look(tools, project_id, interface, corpus, queue)
    state = queue_state(tools, project_id)
    unanswered = _unanswered(tools, project_id, queue) if state == "finished" else 0
    store.set_facts(project_id, state=state, problem="", skipped=len(corpus.skipped), unanswered=unanswered)
    note_losses(tools, project_id, interface)
    describe_progress(tools, project, stored_insight(tools, project_id).advice)


def _same_task(facts: Mapping[str, str], project: Project) -> bool:
    """A project changes whenever we describe it; only these parts of it concern the queue."""
    before = facts.get("label_config"), facts.get("instructions")
    return before == (project.label_config, project.instructions) and is_served(project, facts.get("version"))


def _rank(tools: Tools, project_id: int, corpus: Corpus) -> list[QueueEntry]:
    store = tools.store
    store.set_facts(project_id, state="ranking")
    settings = store.settings(project_id)
    texts = store.texts(project_id)
    annotated = [shown.task_id for shown in corpus.demonstrations]
    started = time.monotonic()
    audit = draw(tools, project_id, settings, texts, corpus)
    # The strategy goes about its work as if the audited texts were not there, as with skipped ones.
    absent = {*audit, *corpus.skipped}
    pool = {task_id: text for task_id, text in texts.items() if task_id not in absent}
    chosen = [task_id for task_id in annotated if task_id in pool]
    budget = reading_budget(settings, texts.values())
    doubts = model_doubts(tools, project_id, list(pool), set(annotated), settings)
    left = budget_without(settings, texts, audit)
    queue = tools.ranker.rank(project_id, pool, chosen, left, settings, doubts)
    queue = with_audit(queue, annotated, audit, _found(tools, project_id, annotated, audit))
    store.set_facts(project_id, rank_seconds=round(time.monotonic() - started, 3))
    if settings.budget_unit == "tokens":
        # People count tasks: as many as the tokens pay for.
        budget = len(annotated) + len(queue)
    if store.fact(project_id, "finishing"):
        placed = {*annotated, *(entry.task_id for entry in queue)}
        queue += [
            QueueEntry(task_id, "rest", "labelled by the model", 0.0)
            for task_id in texts
            if task_id not in placed and task_id not in corpus.skipped
        ]
    store.save_queue(project_id, queue)
    store.save_done(project_id, annotated, corpus.skipped)
    store.set_facts(project_id, tasks=len(texts), annotated=len(annotated), budget=budget)
    store.count(project_id, "rankings")
    return queue


def _found(tools: Tools, project_id: int, annotated: Sequence[int], audit: Sequence[int]) -> int:
    """How many annotations there were when the project was first ranked."""
    known = tools.store.fact(project_id, "found_annotated")
    if known is not None:
        return int(known)
    # Where some are audited, the project was ranked before, by a store that is lost.
    found = 0 if set(audit) & set(annotated) else len(annotated)
    tools.store.set_facts(project_id, found_annotated=found)
    return found


def _unanswered(tools: Tools, project_id: int, queue: Sequence[QueueEntry]) -> int:
    """Texts that the model was asked about and said nothing usable of, however often."""
    made = tools.store.suggestions(project_id, [entry.task_id for entry in queue])
    return sum(each.problem in NEVER_ANSWERED and not each.result for each in made.values())


def queue_state(tools: Tools, project_id: int) -> str:
    """ready, suggesting, budget_used, finishing, finished, or capped: the cap on spending is reached.

    no_tasks where there is none yet, no_texts where none of them has a text that can be read.
    """
    store = tools.store
    texts, unusable = store.task_counts(project_id)
    if not texts:
        return "no_texts" if unusable else "no_tasks"
    wanted = store.wanted_count(project_id) > 0
    if wanted and store.fact(project_id, "capped") == "1":
        return "capped"
    if store.fact(project_id, "finishing"):
        return "finishing" if wanted else "finished"
    if not store.queue_length(project_id):
        return "budget_used"
    return "suggesting" if wanted else "ready"
