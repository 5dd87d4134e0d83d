"""What must hold once a fault is over, as figures; the table of them all ends the run."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from allabel_core import select
from backend.usecases.witness import AUDIT_VERSION
from rig import GOLDS, SETTINGS, Rig

TABLE: list[Figures] = []
SETTLED = ("ready", "budget_used", "finished")


@dataclass(frozen=True)
class Figures:
    """Annotations not known here, tasks without their place, predictions and model calls too many."""

    fault: str
    lost: int
    misplaced: int
    duplicates: int
    paid_twice: int
    seconds: float


def converge(
    rig: Rig, project_id: int, fault: str, *, since: float | None = None, within: float = 150, empty: int = 0
) -> Figures:
    """Wait until everything is as if nothing had happened; the figures go into the table.

    ``since``: when the fault ended, by ``time.monotonic``; now, unless given. ``empty``: so many
    suggestions of the window may be empty.
    """
    start = time.monotonic() if since is None else since
    while (wrong := _wrong(rig, project_id, empty)) and time.monotonic() < start + within:
        time.sleep(0.3)
    figures = Figures(
        fault=fault,
        lost=len(_lost(rig, project_id)),
        misplaced=len(_misplaced(rig, project_id)),
        duplicates=_duplicates(rig, project_id),
        paid_twice=paid_twice(rig),
        seconds=round(time.monotonic() - start, 1),
    )
    TABLE.append(figures)
    assert not wrong, f"{fault}: not converged within {within:.0f} s: {wrong}"
    return figures


def assert_nothing_lost(figures: Figures) -> None:
    found = (figures.lost, figures.misplaced, figures.duplicates, figures.paid_twice)
    assert found == (0, 0, 0, 0), figures


def _wrong(rig: Rig, project_id: int, empty: int) -> str:
    """The first thing that is not as it should be in the end, else empty."""
    facts = rig.store.facts(project_id)
    if facts.get("state") not in SETTLED:
        return f"state {facts.get('state')}: {facts.get('problem')}"
    if kinds := rig.store.dirty(project_id)[0] - {"reconcile"}:
        return f"marked {sorted(kinds)}"
    if lost := _lost(rig, project_id):
        return f"annotations not known: {lost}"
    if misplaced := _misplaced(rig, project_id):
        return f"without a place: {misplaced}"
    if _empty(rig, project_id) > empty:
        return f"{_empty(rig, project_id)} suggestions are empty"
    if orphans := _orphans(rig, project_id):
        return f"predictions that nobody would sweep: {orphans}"
    return ""


def _orphans(rig: Rig, project_id: int) -> list[int]:
    """Predictions of ours that are no place of the queue, and not noted to be swept either."""
    board = rig.store.board(project_id).values()
    known = {place.prediction_id for place in board} | rig.store.strays(project_id).keys()
    swept = rig.store.old_versions(project_id)
    return [
        each.id
        for each in rig.client.predictions(project_id)
        if each.id not in known and each.model_version not in swept and each.model_version != AUDIT_VERSION
    ]


def _lost(rig: Rig, project_id: int) -> list[int]:
    """Tasks whose submitted annotation Label Studio or the corpus does not hold."""
    there = {task.id: {a.id for a in task.annotations} for task in rig.client.annotated_tasks(project_id)}
    known = {shown.task_id for shown in rig.store.demonstrations(project_id)}
    return [
        task_id
        for task_id, annotation in rig.submitted[project_id].items()
        if annotation not in there.get(task_id, ()) or task_id not in known
    ]


def _misplaced(rig: Rig, project_id: int) -> list[int]:
    """Tasks that are not where the method puts them: in the queue, and the window as it is served."""
    ids = [task.id for task in rig.client.tasks(project_id)]
    texts = rig.store.texts(project_id)
    if sorted(texts) != ids:
        return sorted(set(ids) ^ texts.keys())
    annotated = [ids.index(shown.task_id) for shown in rig.store.demonstrations(project_id)]
    budget = int(SETTINGS["budget"])
    order = select([texts[i] for i in ids], budget, k=SETTINGS["k"], annotated=annotated).order
    expected = [ids[index] for index in order[len(annotated) :]]
    queue = [entry.task_id for entry in rig.store.queue(project_id)]
    if queue != expected:
        return [task for i, task in enumerate(expected) if queue[i : i + 1] != [task]]
    window = expected[: SETTINGS["window"]]
    served = _served(rig, project_id)[: len(window)]
    return [task for i, task in enumerate(window) if served[i : i + 1] != [task]]


def _served(rig: Rig, project_id: int) -> list[int]:
    """Open tasks by ascending score among those with a prediction of the project's version."""
    return [task_id for _, task_id, _ in sorted(_open_predictions(rig, project_id))]


def _empty(rig: Rig, project_id: int) -> int:
    """Suggestions without a region, of texts in which there is something to mark."""
    texts = rig.store.texts(project_id)
    open_ones = sorted(_open_predictions(rig, project_id))[: SETTINGS["window"]]
    # What a test adds to the sample has no gold.
    marked = {task_id for task_id, text in texts.items() if text not in GOLDS or GOLDS[text].spans}
    return sum(not regions and task_id in marked for _, task_id, regions in open_ones)


def _open_predictions(rig: Rig, project_id: int) -> list[tuple[float, int, int]]:
    """(score, task, regions) of what Label Studio serves to annotators."""
    version = rig.client.project(project_id).model_version
    return [
        (prediction["score"], task["id"], len(prediction["result"]))
        for task in tasks_with_predictions(rig, project_id)
        for prediction in task["predictions"]
        if prediction["model_version"] == version and not task["annotations"]
    ]


def tasks_with_predictions(rig: Rig, project_id: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rig.raw(
        "GET", "api/tasks/", params={"project": project_id, "fields": "all", "page_size": 500}
    )["tasks"]
    return found


def _duplicates(rig: Rig, project_id: int) -> int:
    version = rig.client.project(project_id).model_version
    counts = Counter(
        each.task_id for each in rig.client.predictions(project_id) if each.model_version == version
    )
    return sum(count - 1 for count in counts.values())


def paid_twice(rig: Rig) -> int:
    """Whole answers of the model to a request that it had answered before."""
    counts = Counter(repr(sorted(request.body.items())) for request in rig.model.answered)
    return sum(count - 1 for count in counts.values())


def table() -> list[str]:
    head = ("fault", "lost", "misplaced", "duplicates", "paid twice", "seconds")
    rows = [
        (one.fault, *map(str, (one.lost, one.misplaced, one.duplicates, one.paid_twice, one.seconds)))
        for one in TABLE
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in (head, *rows)
    ]
