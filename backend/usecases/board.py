"""What Label Studio holds of our queue: read back where it is not known, swept where it is not needed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..ports import Place, PlaceState, Prediction, PredictionChange, ShownSuggestion, Suggestion
from .memory import is_version
from .places import ASIDE, RETIRED_VERSION, digest
from .tools import Tools

logger = logging.getLogger(__name__)

GRACE_SECONDS = 24 * 3600.0
"""A retired prediction may be named by a page that is still open; after so long it is deleted."""

SWEPT_AT_ONCE = 50


def read_board(
    tools: Tools, project_id: int, version: str, suggestions: Mapping[int, Suggestion] | None = None
) -> dict[int, Place]:
    """The board as Label Studio has it now, stored.

    :param suggestions: by task; whichever Label Studio holds stands before annotators from now on.
    :raises LabelStudioError: Label Studio does not say, or does not let a prediction be changed.
    """
    store = tools.store
    now = store.now()
    since = {place.prediction_id: place.since for place in store.board(project_id).values() if place.since}
    places: dict[int, Place] = {}
    served: list[Prediction] = []
    retired: list[Prediction] = []
    for each in tools.label_studio.predictions(project_id):
        if each.model_version == RETIRED_VERSION:
            retired.append(each)
        elif each.model_version == version and each.task_id not in places:
            places[each.task_id] = _place(each)
            served.append(each)
        elif each.model_version == version:
            # Two workers made a place at the same time. Label Studio would show both.
            tools.label_studio.change_prediction(PredictionChange(each.id, model_version=RETIRED_VERSION))
            retired.append(each)
    for each in retired:
        place = replace(_place(each), state=PlaceState.RETIRED, since=since.get(each.id, now))
        if places.setdefault(each.task_id, place) is not place:
            store.note_stray(project_id, each.id, now)
    store.replace_board(project_id, places)
    note_shown(tools, project_id, served, suggestions or {})
    logger.info("project %d: %d places read from Label Studio", project_id, len(places))
    return places


def note_shown(
    tools: Tools, project_id: int, served: Sequence[Prediction], suggestions: Mapping[int, Suggestion]
) -> None:
    """Write down which suggestions stand before annotators, where that is not known."""
    known = tools.store.shown_history(project_id, [each.task_id for each in served])
    tools.store.save_shown(
        project_id,
        [
            ShownSuggestion(each.updated_at, suggestions[each.task_id])
            for each in served
            if each.task_id in suggestions
            and each.task_id not in known
            and digest(suggestions[each.task_id].result) == digest(each.result)
        ],
    )


def is_complete(tools: Tools, project_id: int, version: str) -> bool:
    """Whether Label Studio has as many predictions of ours as we know of. Notes versions left behind."""
    store = tools.store
    found = tools.label_studio.versions(project_id)
    now = store.now()
    for name, count in found.items():
        if count and name != version and is_version(name):
            store.note_old_version(project_id, name, now)
    served = sum(place.state is not PlaceState.RETIRED for place in store.board(project_id).values())
    return found.get(version, 0) == served


def sweep(tools: Tools, project_id: int, *, grace: float = GRACE_SECONDS) -> None:
    """Delete what was retired longer ago than ``grace`` seconds, a part at a time."""
    store, label_studio = tools.store, tools.label_studio
    before = store.now() - grace
    for version, since in store.old_versions(project_id).items():
        if since <= before:
            label_studio.delete_version(project_id, version)
            store.forget_old_version(project_id, version)
    strays = [stray for stray, since in store.strays(project_id).items() if since <= before]
    for prediction_id in strays[:SWEPT_AT_ONCE]:
        label_studio.delete_prediction(prediction_id)
        store.forget_stray(project_id, prediction_id)
    retired = [
        (task_id, place.prediction_id)
        for task_id, place in store.board(project_id).items()
        if place.state is PlaceState.RETIRED and place.since <= before
    ]
    for task_id, prediction_id in retired[:SWEPT_AT_ONCE]:
        label_studio.delete_prediction(prediction_id)
        store.drop_places(project_id, [task_id])


def _place(prediction: Prediction) -> Place:
    state = PlaceState.ANSWERED if prediction.score >= ASIDE else PlaceState.QUEUED
    return Place(prediction.id, prediction.score, digest(prediction.result), state)
