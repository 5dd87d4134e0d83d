"""Put the front of the queue before the annotators, atomically for them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from itertools import takewhile

from ..ports import PublishedPrediction, Suggestion
from .audit import blind_tasks, blinded
from .memory import VERSION
from .review import error_model, most_errors_first
from .tools import Tools

logger = logging.getLogger(__name__)

MIN_READY = 5
"""The first publication waits for this many suggestions, so that two annotators do not collide."""

PUBLISH_WAIT = 60.0


def publish(tools: Tools, project_id: int, *, verify: bool = False, wait: float = PUBLISH_WAIT) -> str | None:
    """Publish the ready part of the window if it is worth it; the new version, or None.

    None, too, where another worker is still publishing after ``wait`` seconds.

    Import first, point second, delete last: an annotator sees the old queue or the new one. A
    publication that did not come to its end is followed by another, which deletes what it left behind.

    :param verify: look in Label Studio whether what was published last is still what is served.
    :raises LabelStudioError: a step failed; the old queue is still in place.
    """
    store = tools.store
    with store.lock(f"publish:{project_id}", wait=wait) as held:
        if not held:
            return None
        blind = blind_tasks(tools, project_id)
        ready = [
            blinded(item) if item.task_id in blind else item for item in ready_suggestions(tools, project_id)
        ]
        if not ready or not (
            _worth_publishing(tools, project_id, ready)
            or store.publishing(project_id) is not None
            or (verify and not _in_place(tools, project_id))
        ):
            return None
        return _publish(tools, project_id, ready)


def _publish(tools: Tools, project_id: int, ready: Sequence[Suggestion]) -> str | None:
    store, label_studio = tools.store, tools.label_studio
    existing = [version for version in label_studio.versions(project_id) if VERSION.fullmatch(version)]
    # No two publications share a number, so that one which lost its lock cannot double another's predictions.
    number = store.begin_publication(project_id, above=_highest(existing))
    version = f"allabel-{number}"
    label_studio.import_predictions(project_id, version, _as_predictions(ready))
    if store.publishing(project_id) != number:
        return None
    # Pointing makes Label Studio ask our /setup for the version, so it must be known by then.
    store.set_facts(project_id, version=version, published=len(ready))
    label_studio.point_at_version(project_id, version)
    store.save_shown(project_id, ready)
    for old in existing:
        label_studio.delete_version(project_id, old)
    if not store.end_publication(project_id, number, {item.task_id: digest(item) for item in ready}):
        return None
    store.count(project_id, "publications")
    logger.info("project %d: published %s with %d tasks", project_id, version, len(ready))
    return version


def _in_place(tools: Tools, project_id: int) -> bool:
    """Whether Label Studio serves the version published last, and holds no other of ours."""
    version = tools.store.fact(project_id, "version")
    counts = tools.label_studio.versions(project_id)
    ours = [name for name, count in counts.items() if count and VERSION.fullmatch(name)]
    return ours == [version] and tools.label_studio.project(project_id).model_version == version


def ready_suggestions(tools: Tools, project_id: int) -> list[Suggestion]:
    """The window's suggestions in queue order, up to the first task that has none yet.

    Behind them come those that were published before, and late ones: tasks opened out of turn that
    had to be answered empty at the time. Once the project is being finished, the suggestions of all
    remaining tasks, those with the most expected errors first.
    """
    store = tools.store
    if store.fact(project_id, "finishing"):
        if store.wanted_count(project_id):
            return []
        queue = [entry.task_id for entry in store.queue(project_id)]
        found = store.suggestions(project_id, queue)
        model = error_model(tools, project_id)
        by_errors = sorted(found.values(), key=lambda made: most_errors_first(made, model))
        return by_errors if len(found) == len(queue) else []
    size = store.settings(project_id).window
    window = [entry.task_id for entry in store.queue(project_id, size)]
    found = store.suggestions(project_id, window)
    ready = [found[task_id] for task_id in takewhile(found.__contains__, window)]
    if len(ready) < min(MIN_READY, len(window)):
        return []
    # A task that somebody has open would lose its suggestion by not being in the new version.
    gone = store.done(project_id) | set(window)
    still_open = [task_id for task_id in store.published(project_id) if task_id not in gone][:size]
    late = sorted(store.late(project_id) - gone - set(still_open))
    # One may have been deleted while the model was asked about it; Label Studio would take none of them.
    there = list(store.some_texts(project_id, [*still_open, *late]))
    return ready + list(store.suggestions(project_id, there).values())


def _worth_publishing(tools: Tools, project_id: int, ready: Sequence[Suggestion]) -> bool:
    """Whether annotators would be served anything else or better than what is out now.

    Tasks that have been annotated since leave the stream by themselves. While more is to come, new
    ones at the window's end wait until they are a quarter of it.
    """
    published = tools.store.published(project_id)
    window = tools.store.settings(project_id).window
    ours = [item.task_id for item in ready]
    still_out = [task_id for task_id in published if task_id in set(ours)]
    if ours[: len(still_out)] != still_out:
        return True
    if any(published[item.task_id] != digest(item) for item in ready[: len(still_out)]):
        return True
    new = len(ours) - len(still_out)
    return new > 0 and (new >= window / 4 or not tools.store.wanted_count(project_id))


def digest(suggestion: Suggestion) -> str:
    """What an annotator would see of it."""
    return hashlib.sha256(json.dumps(suggestion.result, sort_keys=True).encode()).hexdigest()[:16]


def place_score(place: int, total: int) -> float:
    """Label Studio serves ascending scores and drops those outside [0, 1]."""
    return (place + 1) / (total + 1)


def _as_predictions(ready: Sequence[Suggestion]) -> list[PublishedPrediction]:
    return [
        PublishedPrediction(item.task_id, item.result, place_score(place, len(ready)))
        for place, item in enumerate(ready)
    ]


def _highest(versions: Iterable[str]) -> int:
    return max((int(match[1]) for name in versions if (match := VERSION.fullmatch(name))), default=0)
