"""What was suggested for a task, written down before the annotation can have an influence on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ..ports import NewPrediction, Place, ShownSuggestion, Submission, Suggestion, Witness
from .corpus import Corpus
from .places import EMPTY
from .tools import Tools

AUDIT_VERSION = "allabel-audit"
"""Label Studio keeps under it what the suggestions of audited tasks were, once those are annotated."""

NOT_MEASURED = (None, "unreachable", "timeout", "rate_limited", "budget", "rejected")
"""Problems of suggestions that nobody has made: these say nothing about how good suggestions are."""


def witness(tools: Tools, project_id: int, corpus: Corpus) -> None:
    """Write down the suggestions of newly annotated tasks, before these become demonstrations.

    What an annotator saw is what stood there when the page was opened. Where this store does not know it,
    it is what Label Studio noted at the submission. What would have been shown for an audited task is the
    model's suggestion of that moment, which Label Studio gets afterwards. So both outlive this store.
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
    seen = _seen(tools, project_id, fresh)
    unseen = [each.task_id for each in fresh if each.task_id not in seen]
    # Webhooks tell it as well, but whoever knows their secret could say anything.
    noted = tools.label_studio.noted_predictions(project_id, unseen) if unseen else {}
    made = store.suggestions(project_id, [each.task_id for each in fresh])
    found = []
    for each in fresh:
        shown = seen.get(each.task_id)
        saw = shown.suggestion.result if shown else noted.get(each.annotation_id)
        if each.task_id in audited and not saw:
            found.append(_blind(each, made.get(each.task_id), recalled.get(each.task_id)))
        else:
            found.append(_assisted(each, shown.suggestion if shown else None, saw, made.get(each.task_id)))
    store.settle_shown(project_id, [shown for shown in seen.values() if shown])
    _hand_over(tools, project_id, [each for each in found if each.blind and each.task_id not in recalled])
    store.save_witnesses(project_id, found)


def _seen(tools: Tools, project_id: int, fresh: Sequence[Submission]) -> dict[int, ShownSuggestion | None]:
    """What stood there when each page was opened; None: nothing of ours did. Without those not known of."""
    store = tools.store
    task_ids = [each.task_id for each in fresh]
    histories, places = store.shown_history(project_id, task_ids), store.places(project_id, task_ids)
    former = store.former_predictions(project_id)
    found: dict[int, ShownSuggestion | None] = {}
    for each in fresh:
        place = places.get(each.task_id)
        if each.task_id in histories:
            opened = datetime.fromisoformat(each.created_at) - timedelta(seconds=each.lead_time or 0.0)
            before = [shown for shown in histories[each.task_id] if not _is_after(shown, opened)]
            found[each.task_id] = before[-1] if before else None
        elif place is not None and place.digest == EMPTY:
            found[each.task_id] = None
        if each.task_id in found and _is_of_another(each, place, former):
            found[each.task_id] = None
    return found


def _is_after(shown: ShownSuggestion, moment: datetime) -> bool:
    return bool(shown.at) and datetime.fromisoformat(shown.at) > moment


def _is_of_another(annotated: Submission, place: Place | None, former: Collection[int]) -> bool:
    """Whether the annotator went out from the prediction of another model."""
    named = annotated.parent_prediction
    ours = {place.prediction_id} if place else set()
    return named is not None and 0 not in ours and named not in ours and named not in former


def _is_new(annotated: Submission, known: Mapping[int, Witness]) -> bool:
    before = known.get(annotated.task_id)
    return before is None or before.annotation_id != annotated.annotation_id


def _assisted(
    annotated: Submission,
    shown: Suggestion | None,
    saw: list[dict[str, Any]] | None,
    made: Suggestion | None,
) -> Witness:
    failed = shown is not None and not shown.is_made and shown.problem in NOT_MEASURED
    return Witness(
        annotated.task_id,
        annotated.annotation_id,
        result=None if failed else saw,
        demonstrations=shown.demonstrations if shown else [],
        similarities=shown.similarities if shown else [],
        sources=shown.sources if shown else {},
        answered=_answered(annotated, made, shown),
    )


def _answered(annotated: Submission, *kept: Suggestion | None) -> list[dict[str, Any]] | None:
    """What the model said before this annotation could have been among its demonstrations."""
    for made in kept:
        if made is not None and made.answer is not None and annotated.task_id not in made.demonstrations:
            return made.answer.regions
    return None


def _blind(annotated: Submission, made: Suggestion | None, recalled: list[dict[str, Any]] | None) -> Witness:
    # A job under way may have asked about it with this very annotation as a demonstration.
    usable = (
        made is not None
        and (made.is_made or made.problem not in NOT_MEASURED)
        and made.task_id not in made.demonstrations
    )
    return Witness(
        annotated.task_id,
        annotated.annotation_id,
        blind=True,
        result=made.result if made is not None and usable else recalled,
        demonstrations=made.demonstrations if made else [],
        similarities=made.similarities if made else [],
        sources=made.sources if made else {},
        answered=_answered(annotated, made),
    )


def _hand_over(tools: Tools, project_id: int, blind: Sequence[Witness]) -> None:
    kept = [NewPrediction(each.task_id, each.result, 1.0) for each in blind if each.result is not None]
    if kept:
        tools.label_studio.import_predictions(project_id, AUDIT_VERSION, kept)


def _recall_audit(tools: Tools, project_id: int) -> dict[int, list[dict[str, Any]]]:
    """The audit so far, from Label Studio, for a store that knows of none."""
    label_studio, store = tools.label_studio, tools.store
    if AUDIT_VERSION not in label_studio.versions(project_id):
        return {}
    found = {
        each.task_id: each.result
        for each in label_studio.predictions(project_id)
        if each.model_version == AUDIT_VERSION
    }
    store.save_audit(project_id, [*store.audit(project_id), *found])
    return found
