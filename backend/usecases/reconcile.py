"""Compare what we know with what Label Studio holds: webhooks get lost, and so does Redis."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace

from redis.exceptions import RedisError

from ..errors import LabelStudioError
from ..logs import where
from ..ports import Project, Webhook
from .adopt import adopt
from .connect import DISCONNECTED, has_token, parse_extra_params, register
from .connection import is_connected
from .finish import finish
from .memory import (
    FINISHING_HEADER,
    SECRET_HEADER,
    headers,
    noted_settings,
    noted_spending,
    own_webhooks,
)
from .tools import Tools

logger = logging.getLogger(__name__)

RECONCILE = "reconcile"
"""The claim on doing it next."""

LOOK_SECONDS = 300.0
"""So often Label Studio is asked whether a project in which nothing changes is still connected."""


def reconcile(tools: Tools) -> None:
    """Have looked after whatever has changed unheard; take up projects that Redis has forgotten.

    All projects and all webhooks are read in one call each for a hundred; a project in which nothing has
    changed then takes one call of its own, on its tasks, and no sync.

    :raises LabelStudioError: Label Studio does not say which webhooks there are.
    """
    store = tools.store
    try:
        listed = tools.label_studio.projects()
    except LabelStudioError:
        # Each of them says so by itself.
        listed = {}
    found = {hook.project_id: hook for hook in own_webhooks(tools) if hook.project_id is not None}
    for project_id in store.projects():
        facts = store.facts(project_id)
        if facts.get("state") == DISCONNECTED:
            continue
        if "registered_at" not in facts:
            # Known from an older release, or taken up again.
            store.set_facts(project_id, registered_at=store.now())
        hook = found.get(project_id)
        secured = hook is not None and hook.complete and _is_secured(tools, hook)
        if hook is None or not (secured and has_token(tools, project_id)):
            store.mark_dirty(project_id, "setup")
        else:
            _write_down_spending(tools, project_id, hook)
            if _may_have_changed(tools, project_id, facts, listed.get(project_id)):
                store.mark_dirty(project_id, "reconcile")
    for project_id in sorted(found.keys() - set(store.projects())):
        if not _leads_here(tools, project_id, found[project_id]):
            continue
        try:
            _take_up(tools, project_id, found[project_id])
        except RedisError:
            raise
        except Exception as error:  # noqa: BLE001 - the other projects are not to wait for it
            logger.warning("project %d: not taken up again: %s", project_id, where(error))


def _write_down_spending(tools: Tools, project_id: int, hook: Webhook) -> None:
    """A cap must hold even where Redis, and the ledger in it, is lost."""
    before = noted_settings(hook)
    if tools.model is None or before is None or noted_spending(hook) == tools.model.spending(project_id):
        return
    noted = headers(tools, project_id, before)
    tools.label_studio.secure_webhook(project_id, url=hook.url, headers=noted)


def _may_have_changed(
    tools: Tools, project_id: int, facts: Mapping[str, str], project: Project | None
) -> bool:
    """Whether anything is another than at the last look, or that was long ago.

    The number of predictions is looked at, too: somebody may have deleted ours.
    """
    seen_until = facts.get("texts_seen", "")
    if project is None or facts.get("problem") or (project.task_count and not seen_until):
        return True
    now = json.dumps(asdict(replace(project, description="")))
    seen = hashlib.sha256(now.encode()).hexdigest()[:16]
    if facts.get("listed_as") != seen:
        tools.store.set_facts(project_id, listed_as=seen)
        return True
    if tools.store.claim(f"look:{project_id}", LOOK_SECONDS) and not is_connected(tools, project_id):
        return True
    if not project.task_count:
        return False
    try:
        changed = tools.label_studio.changed_tasks(project_id, seen_until)
    except LabelStudioError:
        return True
    return any(task.updated_at > seen_until for task in changed)


def _leads_here(tools: Tools, project_id: int, hook: Webhook) -> bool:
    """Another installation may share our token, hence our secret; it has another address."""
    return hook.backend_url == tools.backend_url or project_id in tools.store.unknown()


def _is_secured(tools: Tools, hook: Webhook) -> bool:
    return hook.headers.get(SECRET_HEADER) == tools.webhook_secret and noted_settings(hook) is not None


def _take_up(tools: Tools, project_id: int, hook: Webhook) -> None:
    """As it was connected; where a person has disconnected it since, it is left alone."""
    backends = tools.label_studio.backends(project_id)
    ours = [backend for backend in backends if backend.url.rstrip("/") == hook.backend_url]
    if not ours:
        return
    logger.info("project %d: taken up again", project_id)
    register(
        tools, project_id, backend_url=hook.backend_url, extra_params=parse_extra_params(ours[0].extra_params)
    )
    adopt(tools, project_id)
    if FINISHING_HEADER in hook.headers:
        finish(tools, project_id)
