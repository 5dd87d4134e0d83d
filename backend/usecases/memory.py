"""What must outlive Redis: it stands in the headers of our webhook in Label Studio, beside the secret."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..ports import Spending, Webhook
from .tools import Tools

SECRET_HEADER = "X-ALLabel-Secret"  # noqa: S105 - a header's name
BEFORE_HEADER = "X-ALLabel-Before"
FINISHING_HEADER = "X-ALLabel-Finishing"
SPENT_HEADER = "X-ALLabel-Spent"
TITLE = "ALLabel"
VIEW_TITLE = f"{TITLE} queue"
SAMPLING = "Uncertainty sampling"
IMPORT_FLAG = "fflag_fix_back_4620_memory_efficient_predictions_import_08012025_short"
"""In Label Studio's own environment: an import of predictions does not load all tasks of the project."""
DESCRIPTION_MARK = "ALLabel: "
PATH = "/webhook"

_VERSION = re.compile(r"allabel-[0-9]{1,9}")
_MOST_NOTED = 10**14

_SAMPLINGS = ("Sequential sampling", "Uniform sampling", "Uncertainty sampling")

# As Label Studio makes a project.
_DEFAULTS = {
    "sampling": "Sequential sampling",
    "show_collab_predictions": True,
    "evaluate_predictions_automatically": False,
    "model_version": "",
}


def version_name(number: int) -> str:
    """What the predictions of a queue bear."""
    return f"allabel-{number}"


def is_version(name: str) -> bool:
    """Whether it is a name that we give to the predictions of a queue."""
    return _VERSION.fullmatch(name) is not None


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
    if tools.model is not None:
        found[SPENT_HEADER] = json.dumps(asdict(tools.model.spending(project_id)))
    return found


def noted_spending(hook: Webhook) -> Spending | None:
    """What the project's calls had come to when this webhook was last written; None without a usable note."""
    try:
        found = json.loads(hook.headers.get(SPENT_HEADER, ""))
        noted = Spending(**found)
    except (TypeError, ValueError, RecursionError):
        return None
    kinds = {
        name: (int, float) if isinstance(value, float) else (int,)
        for name, value in asdict(Spending()).items()
    }
    usable = all(
        type(amount) in kinds[name] and 0 <= amount <= _MOST_NOTED for name, amount in asdict(noted).items()
    )
    return noted if usable else None


def recall_spending(tools: Tools, project_id: int) -> None:
    """What was spent before Redis was lost counts towards the cap."""
    for hook in own_webhooks(tools, project_id) if tools.model is not None else ():
        if (noted := noted_spending(hook)) is not None and tools.model is not None:
            tools.model.recall_spending(project_id, noted)


def settings_before(tools: Tools, project_id: int) -> dict[str, Any]:
    """The project's settings as they were before we changed them: kept twice, read the first time."""
    store = tools.store
    kept = [noted_settings(hook) for hook in own_webhooks(tools, project_id)]
    kept.append(_as_settings(store.fact(project_id, "before")))
    known = [settings for settings in kept if settings is not None]
    before = known[0] if known else _read_before(tools, project_id)
    store.set_facts(project_id, before=json.dumps(before))
    return before


def noted_settings(hook: Webhook) -> dict[str, Any] | None:
    """The project's settings of before, as noted in this webhook; None where strangers' words stand there."""
    return _as_settings(hook.headers.get(BEFORE_HEADER))


def _as_settings(raw: str | None) -> dict[str, Any] | None:
    try:
        found = json.loads(raw or "")
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not found.keys() <= _DEFAULTS.keys():
        return None
    right = all(type(value) is type(_DEFAULTS[name]) for name, value in found.items())
    return _DEFAULTS | found if right and found.get("sampling") in _SAMPLINGS else None


def _read_before(tools: Tools, project_id: int) -> dict[str, Any]:
    project = tools.label_studio.project(project_id)
    settings = tools.label_studio.queue_settings(project_id)
    if is_version(project.model_version) or DESCRIPTION_MARK in project.description:
        # We were here, and both notes are lost.
        return dict(_DEFAULTS)
    if project.model_version == TITLE:
        # Connecting has just set it.
        settings["model_version"] = ""
    return _DEFAULTS | settings
