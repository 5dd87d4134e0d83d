"""Bring Label Studio's queue in line with ours: change what differs, take away nothing that may be open."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from ..errors import LabelStudioNotFoundError
from ..ports import (
    NewPrediction,
    Place,
    PlaceState,
    PredictionChange,
    Project,
    ShownSuggestion,
    Suggestion,
)
from .audit import blind_tasks, blinded
from .board import is_complete, note_shown, read_board, sweep
from .memory import SAMPLING, VIEW_TITLE, is_version, version_name
from .pace import front_size, noted_pace
from .places import (
    EMPTY,
    FRONT_ENDS,
    Difference,
    Target,
    changed,
    difference,
    digest,
    serving_order,
)
from .review import error_model, most_errors_first
from .texts import is_withdrawn
from .tools import Tools

logger = logging.getLogger(__name__)

MIN_READY = 5
"""The first publication waits for this many suggestions, so that the first texts come with some."""

PUBLISH_WAIT = 60.0

SIDE_BY_SIDE = 4
"""So many predictions are changed at the same time."""

ADDED_ONE_BY_ONE = 4
"""An import of more costs Label Studio less than to make each by itself."""

MOST_READ_BACK = 20_000
"""Of more new predictions, the ids are not read back at once: Label Studio would take minutes."""

MOST_CHANGES = 200
"""Of more, a whole new version beside the old one costs Label Studio less."""

OPEN_SECONDS = 1800.0
"""So long a task that came to the front of the queue is taken to be open in somebody's browser."""


def publish(
    tools: Tools,
    project_id: int,
    *,
    project: Project | None = None,
    verify: bool = False,
    wait: float = PUBLISH_WAIT,
) -> bool:
    """Publish what has changed; whether anything had.

    False, too, where another worker is still publishing after ``wait`` seconds. What was served is
    changed in place or retired, never deleted: the page of an annotator names it on submission.

    :param project: as Label Studio has it now; where it does not serve our queue, it is made to.
    :param verify: look in Label Studio whether what was published is still there, and sweep.
    :raises LabelStudioError: a step failed; what was done so far stays, and the next publication goes on.
    """
    with tools.store.lock(f"publish:{project_id}", wait=wait) as held:
        if not held:
            return False
        version = _served_version(tools, project_id)
        verify = verify or (project is not None and not is_served(project, version))
        board = _known_board(tools, project_id, version, verify=verify) if version else {}
        target, suggestions = _wanted_target(tools, project_id, board)
        if target is None or not (version or target.front):
            return False
        if version is None:
            published = _publish_whole(tools, project_id, target, suggestions, board)
        else:
            published = _publish_difference(tools, project_id, version, target, suggestions, board)
        _note_front(tools, project_id)
        if version and project is not None and not is_served(project, version):
            _keep_served(tools, project_id, version)
        return published


def is_served(project: Project, version: str | None) -> bool:
    """Whether Label Studio is set to serve our queue; a person may have chosen otherwise."""
    return not version or (project.model_version == version and project.sampling == SAMPLING)


def _keep_served(tools: Tools, project_id: int, version: str) -> None:
    """Have Label Studio serve the queue again where somebody has changed what it serves."""
    tools.label_studio.set_up_project(project_id, view_title=VIEW_TITLE)
    if tools.store.board(project_id):
        tools.label_studio.point_at_version(project_id, version)
    logger.info("project %d: set to serve the queue again", project_id)


def _served_version(tools: Tools, project_id: int) -> str | None:
    """The version of the queue. A publication that was broken off is brought to its end, or undone."""
    store, label_studio = tools.store, tools.label_studio
    facts = store.facts(project_id)
    version, begun = facts.get("version") or None, facts.get("publishing")
    if version is None:
        # Redis may have been emptied.
        served = label_studio.project(project_id).model_version
        version = served if is_version(served) else None
    if begun and begun == version:
        label_studio.point_at_version(project_id, version)
        read_board(tools, project_id, version)
    elif begun and begun in label_studio.versions(project_id):
        # Nobody has been served any of it.
        label_studio.delete_version(project_id, begun)
    if begun or version != facts.get("version"):
        store.set_facts(project_id, version=version or "", publishing="")
    return version


def _known_board(tools: Tools, project_id: int, version: str, *, verify: bool) -> dict[int, Place]:
    store = tools.store
    board = store.board(project_id)
    if (
        not board
        or store.fact(project_id, "placing")
        or (verify and not is_complete(tools, project_id, version))
    ):
        board = read_board(tools, project_id, version)
        store.set_facts(project_id, placing="")
    if verify:
        _note_drafts(tools, project_id)
        sweep(tools, project_id)
    return board


def _wanted_target(
    tools: Tools, project_id: int, board: Mapping[int, Place]
) -> tuple[Target | None, dict[int, Suggestion]]:
    """How the queue is to stand, None where nothing is to change yet; and the suggestions behind it.

    Once the project is being finished, all that is left is published together, the tasks with the most
    expected errors first.
    """
    store = tools.store
    finishing = bool(store.fact(project_id, "finishing"))
    queue = store.queue_order(project_id)
    done, skipped = store.done(project_id), store.skipped(project_id)
    ahead = queue if finishing else _ahead(tools, project_id, queue, board)
    aside = sorted(store.late(project_id) - done - set(queue))
    blind = blind_tasks(tools, project_id)
    suggestions = {
        task_id: blinded(made) if task_id in blind else made
        for task_id, made in store.suggestions(project_id, [*ahead, *aside]).items()
    }
    ready = [task_id for task_id in ahead if task_id in suggestions]
    enough = len(ahead) if finishing else min(MIN_READY, len(ahead))
    if len(ready) < enough and (finishing or not board):
        return None, suggestions
    if finishing:
        model = error_model(tools, project_id)
        ahead = sorted(ready, key=lambda task_id: most_errors_first(suggestions[task_id], model))
    front = [t for t in ahead if t in suggestions or (t in board and _is_in_front(board[t]))]
    open_tasks = _open_tasks(tools, project_id)
    wrong = {task_id for task_id, made in suggestions.items() if is_withdrawn(made)}
    target = Target(
        front={t: suggestions[t].result if t in suggestions else None for t in front},
        behind=[task_id for task_id in queue if task_id not in set(front)],
        aside={t: suggestions[t].result for t in aside if t in suggestions},
        staying=(done | open_tasks) - skipped,
        # What must not be shown is taken away in an open task too.
        fixed=open_tasks - wrong,
    )
    return target, suggestions


def _open_tasks(tools: Tools, project_id: int) -> set[int]:
    """The tasks that may be open in somebody's browser."""
    since = tools.store.now() - OPEN_SECONDS
    return {task_id for task_id, at in tools.store.exposed(project_id).items() if at > since}


def _ahead(tools: Tools, project_id: int, queue: Sequence[int], board: Mapping[int, Place]) -> list[int]:
    """The tasks of the queue that lie in the front, or are to."""
    near = set(queue[: front_size(tools, project_id)])
    return [t for t in queue if t in near or (t in board and _is_in_front(board[t]))]


def _is_in_front(place: Place) -> bool:
    return place.state is PlaceState.QUEUED and place.score < FRONT_ENDS


def _publish_difference(
    tools: Tools,
    project_id: int,
    version: str,
    target: Target,
    suggestions: Mapping[int, Suggestion],
    board: dict[int, Place],
) -> bool:
    store = tools.store
    _take_in_answered(tools, project_id, version, target, board)
    todo = difference(board, target, version)
    if not store.fact(project_id, "finishing"):
        if len(todo.changes) > MOST_CHANGES:
            return _publish_whole(tools, project_id, target, suggestions, board)
        todo = _nearest(tools, project_id, todo, board)
    if not todo.changes and not todo.new:
        return False
    _change(tools, project_id, version, todo.changes, suggestions, board)
    _add(tools, project_id, version, todo.new, suggestions)
    store.count(project_id, "publications")
    logger.info("project %d: %d places changed, %d added", project_id, len(todo.changes), len(todo.new))
    return True


def _nearest(tools: Tools, project_id: int, todo: Difference, board: Mapping[int, Place]) -> Difference:
    """Without renewed suggestions that people do not reach soon; the next publication goes on with them."""
    renewed = [
        task_id
        for task_id, change in todo.changes.items()
        if change.result and board[task_id].digest != EMPTY
    ]
    later = set(renewed[noted_pace(tools, project_id).renewed_places :])
    if not later:
        return todo
    tools.store.mark_dirty(project_id, "suggestions")
    return Difference({t: change for t, change in todo.changes.items() if t not in later}, todo.new)


def _change(
    tools: Tools,
    project_id: int,
    version: str,
    changes: Mapping[int, PredictionChange],
    suggestions: Mapping[int, Suggestion],
    board: Mapping[int, Place],
) -> None:
    store = tools.store
    now = store.now()

    def change(task_id: int) -> None:
        try:
            asked = _with_id(tools, task_id, changes[task_id], version)
            at = tools.label_studio.change_prediction(asked)
        except LabelStudioNotFoundError:
            # Somebody has deleted it, or its task: what there is is read before the next publication.
            store.set_facts(project_id, placing=1)
            store.mark_dirty(project_id, "suggestions")
            return
        place = changed(board[task_id], asked, now)
        store.save_places(project_id, {task_id: place})
        made = suggestions.get(task_id)
        # A suggestion without regions looks like an empty place, but it is one.
        if made is not None and digest(made.result) == place.digest and _is_in_front(place):
            store.save_shown(project_id, [ShownSuggestion(at, made)])

    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        list(threads.map(change, changes))


def _with_id(tools: Tools, task_id: int, change: PredictionChange, version: str) -> PredictionChange:
    """Of very many new predictions, the ids are asked for only when they are needed."""
    if change.id:
        return change
    found = [
        each.id for each in tools.label_studio.task_predictions(task_id) if each.model_version == version
    ]
    if not found:
        raise LabelStudioNotFoundError(f"Label Studio has no prediction of {version} for task {task_id}.")
    return replace(change, id=found[0])


def _add(
    tools: Tools,
    project_id: int,
    version: str,
    new: Sequence[NewPrediction],
    suggestions: Mapping[int, Suggestion],
) -> None:
    if not new:
        return
    store, label_studio = tools.store, tools.label_studio
    # Should this process die now, the predictions are looked for in Label Studio.
    store.set_facts(project_id, placing=1)
    if len(new) <= ADDED_ONE_BY_ONE:
        for each in new:
            made = label_studio.add_prediction(project_id, version, each)
            store.save_places(project_id, {made.task_id: Place(made.id, made.score, digest(made.result))})
            note_shown(tools, project_id, [made], suggestions)
    else:
        label_studio.import_predictions(project_id, version, new)
        if len(new) <= MOST_READ_BACK:
            read_board(tools, project_id, version, suggestions)
        else:
            store.save_places(
                project_id, {each.task_id: Place(0, each.score, digest(each.result)) for each in new}
            )
    store.set_facts(project_id, placing="")


def _publish_whole(
    tools: Tools,
    project_id: int,
    target: Target,
    suggestions: Mapping[int, Suggestion],
    board: Mapping[int, Place],
) -> bool:
    """A new version beside the old one: import it, then point at it. The old one is deleted much later."""
    store, label_studio = tools.store, tools.label_studio
    before = store.fact(project_id, "version")
    version = _new_version(tools, project_id)
    store.set_facts(project_id, publishing=version)
    new = difference({}, target, version).new
    new += _carried(tools, project_id, target, before, board)
    label_studio.import_predictions(project_id, version, new)
    if store.fact(project_id, "publishing") != version:
        # Another worker has taken over, and has deleted it.
        return False
    # Pointing makes Label Studio ask our /setup for the version, so it must be known by then.
    store.set_facts(project_id, version=version)
    label_studio.point_at_version(project_id, version)
    read_board(tools, project_id, version, suggestions)
    if before:
        store.note_old_version(project_id, before, store.now())
        store.note_former(project_id, [place.prediction_id for place in board.values()])
    store.set_facts(project_id, publishing="")
    store.count(project_id, "publications")
    logger.info("project %d: published %s with %d places", project_id, version, len(new))
    return True


def _new_version(tools: Tools, project_id: int) -> str:
    """A name that no predictions of this project have or had, as far as anybody remembers."""
    store = tools.store
    taken = tools.label_studio.versions(project_id)
    number = store.count(project_id, "publication")
    while version_name(number) in taken:
        number = store.count(project_id, "publication")
    return version_name(number)


def _carried(
    tools: Tools, project_id: int, target: Target, before: str | None, board: Mapping[int, Place]
) -> list[NewPrediction]:
    """What stays beside the queue, as it was: open tasks, those for more annotators, those asked for."""
    if before is None:
        return []
    shared = int(tools.store.fact(project_id, "overlap") or 1) > 1
    kept = {
        task_id
        for task_id, place in board.items()
        if place.state is PlaceState.ANSWERED
        or task_id in target.fixed
        or (shared and task_id in target.staying and place.state is PlaceState.QUEUED)
    }
    kept -= {*target.front, *target.behind}
    return [
        NewPrediction(each.task_id, each.result, each.score)
        for each in tools.label_studio.predictions(project_id)
        if each.model_version == before and each.task_id in kept
    ]


def _take_in_answered(
    tools: Tools, project_id: int, version: str, target: Target, board: dict[int, Place]
) -> None:
    """Places that Label Studio made of our answers to /predict, as far as they concern the queue."""
    store = tools.store
    answered = store.answered(project_id)
    for task_id in (*target.front, *target.behind, *target.aside):
        if task_id not in answered:
            continue
        for each in tools.label_studio.task_predictions(task_id):
            if each.model_version != version:
                continue
            if task_id in board:
                store.note_stray(project_id, board[task_id].prediction_id, store.now())
            board[task_id] = Place(each.id, each.score, digest(each.result), PlaceState.ANSWERED)
            store.save_places(project_id, {task_id: board[task_id]})
            store.forget_answered(project_id, [task_id])
            break


def _note_front(tools: Tools, project_id: int) -> None:
    """How much is before annotators, and which tasks they may have open from now on."""
    store = tools.store
    board = store.board(project_id)
    serving = serving_order(board, store.done(project_id))
    exposed = store.exposed(project_id)
    now = store.now()
    at_work = serving[: noted_pace(tools, project_id).people]
    kept = {task_id: since for task_id, since in exposed.items() if task_id in set(serving)}
    store.save_exposed(project_id, dict.fromkeys(at_work, now) | kept)
    store.set_facts(project_id, published=sum(_is_in_front(board[task_id]) for task_id in serving))


def _note_drafts(tools: Tools, project_id: int) -> None:
    """Who has begun a task comes back to it, and finds it as it was."""
    now = tools.store.now()
    drafted = dict.fromkeys(tools.label_studio.drafted(project_id), now)
    tools.store.save_exposed(project_id, tools.store.exposed(project_id) | drafted)
