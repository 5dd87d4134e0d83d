"""Waiting for the worker, whose progress stands in the store."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..usecases.tools import Tools
from .processes import Progress, ServiceError

POLL_SECONDS = 0.5
PUBLISH_SECONDS = 900.0
QUIET_SECONDS = 1.0
"""Longer than the worker needs from one step to the next."""

FINAL = ("budget_used", "finished", "no_tasks", "no_texts")
SETTLED = ("ready", *FINAL)


def wait_for_queue(
    tools: Tools,
    project_id: int,
    check: Callable[[], None],
    on_progress: Progress,
    *,
    whole: bool,
    annotated: int = 0,
) -> None:
    """Until a queue is published; ``whole``: until nothing is left to rank, learn, pre-annotate or publish.

    ``annotated``: and the worker knows of at least so many annotations.

    :raises ServiceError: the project cannot be worked on, a process ended (``check``), or the time is up.
    """
    store = tools.store
    deadline = time.monotonic() + PUBLISH_SECONDS
    done_since: float | None = None
    quiet = QUIET_SECONDS if whole else 0.0
    # What went wrong before is tried again first.
    before = store.facts(project_id)
    if before.get("state") == "degraded":
        store.mark_dirty(project_id, "reconcile")
    while done_since is None or time.monotonic() - done_since < quiet:
        check()
        facts = store.facts(project_id)
        went_wrong = facts.get("state") == "degraded"
        if went_wrong and (
            before.get("state") != "degraded" or facts.get("failures") != before.get("failures")
        ):
            raise ServiceError(f"The project cannot be worked on: {facts.get('problem')}")
        if time.monotonic() > deadline:
            raise ServiceError(f"No queue was published within {PUBLISH_SECONDS:.0f} s; see the log.")
        done = int(facts.get("published", 0)) > 0 or facts.get("state") in FINAL
        done = done and int(facts.get("annotated", 0)) >= annotated
        if whole:
            done = done and facts.get("state") in SETTLED and not store.dirty(project_id)[0]
            done = done and project_id not in store.to_learn()
        done_since = (done_since or time.monotonic()) if done else None
        if note := store.progress(project_id):
            on_progress(f"{note.doing} {note.done} of {note.total}")
        time.sleep(POLL_SECONDS)
