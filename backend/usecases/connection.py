"""Whether a project is still connected in Label Studio: where it is not, nothing more is done for it."""

from __future__ import annotations

import logging

from .connect import DISCONNECTED
from .tools import Tools

logger = logging.getLogger(__name__)

STORED_WITHIN = 600.0
"""Seconds after which Label Studio has stored a connection that it has told us of."""


def is_connected(tools: Tools, project_id: int) -> bool:
    """Whether the project has our model in Label Studio. Until it was seen there, it counts as connected for
    a while: Label Studio calls /setup before it stores the connection.

    :raises LabelStudioError: Label Studio does not answer.
    """
    store = tools.store
    facts = store.facts(project_id)
    if facts.get("state") == DISCONNECTED:
        return False
    url = (facts.get("backend_url") or tools.backend_url).rstrip("/")
    connected = any(each.url.rstrip("/") == url for each in tools.label_studio.backends(project_id))
    seen = facts.get("connection_seen") == "1"
    if connected and not seen:
        store.set_facts(project_id, connection_seen=1)
    if connected or seen:
        return connected
    registered = facts.get("registered_at")
    return registered is None or store.now() - float(registered) < STORED_WITHIN


def must_ask(tools: Tools, project_id: int, kinds: set[str]) -> bool:
    """Not again for what this worker itself has marked."""
    return bool(kinds - {"suggestions", "doubts"}) or tools.store.fact(project_id, "connection_seen") != "1"


def stop(tools: Tools, project_id: int) -> None:
    """The model is asked nothing more; webhook, queue and suggestions stay as they are in Label Studio."""
    store = tools.store
    if store.fact(project_id, "state") != DISCONNECTED:
        logger.info("project %d: disconnected in Label Studio", project_id)
    store.no_longer_wanted(project_id, store.wanted(project_id))
    store.set_facts(project_id, state=DISCONNECTED, problem="", model_problem="", connection_seen=0)
