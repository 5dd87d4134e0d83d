"""What must outlive Redis: it stands in the headers of our webhook in Label Studio, beside the secret."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..ports import Webhook
from .tools import Tools

SECRET_HEADER = "X-ALLabel-Secret"  # noqa: S105 - a header's name
BEFORE_HEADER = "X-ALLabel-Before"
FINISHING_HEADER = "X-ALLabel-Finishing"
TITLE = "ALLabel"
VERSION = re.compile(r"allabel-(\d+)")
DESCRIPTION_MARK = "ALLabel: "
PATH = "/webhook"

# As Label Studio makes a project.
_DEFAULTS = {
    "sampling": "Sequential sampling",
    "show_collab_predictions": True,
    "evaluate_predictions_automatically": False,
    "model_version": "",
}


def own_webhooks(tools: Tools, project_id: int | None = None) -> list[Webhook]:
    """Our webhooks in one project, or in all: known by our secret, or by our address."""
    return [hook for hook in tools.label_studio.webhooks(project_id) if _is_ours(tools, hook)]


def _is_ours(tools: Tools, hook: Webhook) -> bool:
    if hook.project_id is None:
        return False
    if hook.headers.get(SECRET_HEADER) == tools.webhook_secret:
        return True
    if SECRET_HEADER in hook.headers and tools.own_address(hook.backend_url):
        # Secured by us with a secret of before.
        return True
    # Not secured yet. Of a project that is not known it may be another's.
    address = tools.store.fact(hook.project_id, "backend_url") or tools.backend_url
    return tools.store.knows(hook.project_id) and hook.backend_url == address


def headers(tools: Tools, project_id: int, before: Mapping[str, Any]) -> dict[str, str]:
    """What our webhook bears; ``before`` from ``settings_before``."""
    found = {SECRET_HEADER: tools.webhook_secret, BEFORE_HEADER: json.dumps(before)}
    if tools.store.fact(project_id, "finishing"):
        found[FINISHING_HEADER] = "1"
    return found


def settings_before(tools: Tools, project_id: int) -> dict[str, Any]:
    """The project's settings as they were before we changed them: kept twice, read the first time."""
    store = tools.store
    kept = [
        hook.headers[BEFORE_HEADER]
        for hook in own_webhooks(tools, project_id)
        if BEFORE_HEADER in hook.headers
    ]
    kept += [noted] if (noted := store.fact(project_id, "before")) else []
    before: dict[str, Any] = json.loads(kept[0]) if kept else _read_before(tools, project_id)
    store.set_facts(project_id, before=json.dumps(before))
    return before


def _read_before(tools: Tools, project_id: int) -> dict[str, Any]:
    project = tools.label_studio.project(project_id)
    settings = tools.label_studio.queue_settings(project_id)
    if VERSION.fullmatch(project.model_version) or DESCRIPTION_MARK in project.description:
        # We were here, and both notes are lost.
        return dict(_DEFAULTS)
    if project.model_version == TITLE:
        # Connecting has just set it.
        settings["model_version"] = ""
    return settings
