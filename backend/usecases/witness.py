"""What was suggested for a task, written down before the annotation can have an influence on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..ports import Noted, PublishedPrediction, Submission, Suggestion, Witness
from .corpus import Corpus
from .tools import Tools

AUDIT_VERSION = "allabel-audit"
"""Label Studio keeps under it what the suggestions of audited tasks were, once those are annotated."""

NOT_ASKED = ("unreachable", "timeout", "rate_limited", "budget", "rejected")
"""Problems of suggestions that say nothing about how well the model does."""


def witness(tools: Tools, project_id: int, corpus: Corpus) -> None:
    """Write down the suggestions of newly annotated tasks, before these become demonstrations.

    What an annotator saw is what Label Studio noted with the annotation; what would have been shown
    for an audited task is the model's suggestion of that moment, which Label Studio gets afterwards.
    So both outlive this store.
    """
    store = tools.store
    counting = corpus.counting
    known = store.witnesses(project_id)
    fresh = [each for each in counting if _is_new(each, known)]
    store.forget_witnesses(project_id, known.keys() - {each.task_id for each in counting})
    if not fresh:
        return
    recalled = {} if known else _recall_audit(tools, project_id)
    audited = set(store.audit(project_id))
    noted = _noted(tools, project_id, fresh)
    task_ids = [each.task_id for each in fresh]
    shown, made = store.shown(project_id, task_ids), store.suggestions(project_id, task_ids)
    found = []
    for each in fresh:
        saw = noted.get(each.annotation_id)
        if each.task_id in audited and not saw:
            found.append(_blind(each, made.get(each.task_id), recalled.get(each.task_id)))
        else:
            found.append(_assisted(each, shown.get(each.task_id), saw))
    _hand_over(tools, project_id, [each for each in found if each.blind and each.task_id not in recalled])
    store.save_witnesses(project_id, found)


def _is_new(annotated: Submission, known: Mapping[int, Witness]) -> bool:
    before = known.get(annotated.task_id)
    return before is None or before.annotation_id != annotated.annotation_id


def _noted(tools: Tools, project_id: int, fresh: Sequence[Submission]) -> Noted:
    """Webhooks bring what Label Studio noted; what they did not bring is asked for."""
    found = tools.store.take_noted(project_id, [each.annotation_id for each in fresh])
    missing = [each.task_id for each in fresh if each.annotation_id not in found]
    return found | tools.label_studio.noted_predictions(project_id, missing) if missing else found


def _assisted(annotated: Submission, shown: Suggestion | None, saw: list[dict[str, Any]] | None) -> Witness:
    failed = shown is not None and shown.problem in NOT_ASKED
    return Witness(
        annotated.task_id,
        annotated.annotation_id,
        result=None if failed else saw,
        demonstrations=shown.demonstrations if shown else [],
        similarities=shown.similarities if shown else [],
    )


def _blind(annotated: Submission, made: Suggestion | None, recalled: list[dict[str, Any]] | None) -> Witness:
    # A job under way may have asked about it with this very annotation as a demonstration.
    usable = made is not None and made.problem not in NOT_ASKED and made.task_id not in made.demonstrations
    return Witness(
        annotated.task_id,
        annotated.annotation_id,
        blind=True,
        result=made.result if made is not None and usable else recalled,
        demonstrations=made.demonstrations if made else [],
        similarities=made.similarities if made else [],
    )


def _hand_over(tools: Tools, project_id: int, blind: Sequence[Witness]) -> None:
    kept = [PublishedPrediction(each.task_id, each.result, 1.0) for each in blind if each.result is not None]
    if kept:
        tools.label_studio.import_predictions(project_id, AUDIT_VERSION, kept)


def _recall_audit(tools: Tools, project_id: int) -> dict[int, list[dict[str, Any]]]:
    """The audit so far, from Label Studio, for a store that knows of none."""
    label_studio, store = tools.label_studio, tools.store
    if AUDIT_VERSION not in label_studio.versions(project_id):
        return {}
    found = {each.task_id: each.result for each in label_studio.predictions_of(project_id, AUDIT_VERSION)}
    store.save_audit(project_id, [*store.audit(project_id), *found])
    return found
