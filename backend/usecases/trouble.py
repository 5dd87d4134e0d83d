"""What keeps a project from going on as it should at this moment, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .connect import DISCONNECTED
from .tools import Tools


class Trouble(NamedTuple):
    """``state`` to show; ``problem`` and ``remedy`` are empty where all is well."""

    state: str
    problem: str
    remedy: str


_UNANSWERED_REMEDY = (
    "All others are labelled. Annotate these in Label Studio, or set another model, restart the workers and "
    "finish again."
)


def trouble(tools: Tools, project_id: int, facts: Mapping[str, str]) -> Trouble:
    """The most basic trouble first: the others may be mere consequences, or of before."""
    state = facts.get("state", "unknown")
    if refusal := tools.store.refusal():
        return Trouble("degraded", f"Redis takes nothing in: {refusal}", _redis_remedy(refusal))
    if (policy := tools.store.eviction()).startswith("allkeys"):
        thrown = f"Redis throws away what it holds once it is full (maxmemory-policy {policy})."
        return Trouble("degraded", thrown, "Set Redis' maxmemory-policy to noeviction.")
    if refused := tools.store.refusals().get(project_id):
        known = tools.store.knows(project_id)
        return Trouble(state if known else "refused", f"Connecting was refused: {refused}", _CONNECT_AGAIN)
    if state == DISCONNECTED:
        return Trouble(state, "", "")
    if not tools.store.workers_alive() and tools.store.has_work(project_id):
        return Trouble("degraded", "No worker is running, so nothing goes on.", "Start one: allabel worker")
    if problem := facts.get("problem"):
        return Trouble(state, problem, facts.get("remedy", ""))
    if problem := facts.get("model_problem"):
        return Trouble(state if state == "capped" else "degraded", problem, facts.get("model_remedy", ""))
    if state == "finished" and (unanswered := int(facts.get("unanswered", 0))):
        return Trouble(
            "degraded", f"The model gave no usable answer for {unanswered} texts.", _UNANSWERED_REMEDY
        )
    return Trouble(state, "", "")


_CONNECT_AGAIN = "Correct it, then save the connection again in Label Studio: Settings, Model."


def _redis_remedy(refusal: str) -> str:
    if "maxmemory" in refusal:
        return "Raise Redis' maxmemory, or give it a database of its own; work then goes on by itself."
    if "MISCONF" in refusal:
        return "Make room on Redis' disk and see its log; work then goes on by itself."
    return "See Redis' log; work then goes on by itself."
