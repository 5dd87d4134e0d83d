"""Compare what we know with what Label Studio holds: webhooks get lost, and so does Redis."""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from ..logs import where
from ..ports import Webhook
from .adopt import adopt
from .connect import has_token, parse_extra_params, register
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


def reconcile(tools: Tools) -> None:
    """Take up projects that Redis has forgotten; have damaged webhooks mended.

    :raises LabelStudioError: Label Studio does not say which webhooks there are.
    """
    store = tools.store
    found = {hook.project_id: hook for hook in own_webhooks(tools) if hook.project_id is not None}
    for project_id in store.projects():
        hook = found.get(project_id)
        secured = hook is not None and hook.complete and _is_secured(tools, hook)
        if hook is None or not (secured and has_token(tools, project_id)):
            store.mark_dirty(project_id, "setup")
        else:
            _write_down_spending(tools, project_id, hook)
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
