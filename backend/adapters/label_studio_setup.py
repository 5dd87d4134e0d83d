"""Bringing a project into the state that a queue needs. Each step twice changes nothing."""

from __future__ import annotations

import logging
from typing import Any

from ..errors import LabelStudioError, LabelStudioRejectedError, LabelStudioUnauthorisedError
from ..ports import Webhook
from .label_studio_http import LabelStudioHttp
from .label_studio_records import WebhookRecord, read_list

logger = logging.getLogger(__name__)

QUEUE_SETTINGS = {
    "sampling": "Uncertainty sampling",
    "show_collab_predictions": True,
    # Where this is on, merely listing tasks makes Label Studio ask us for a prediction of each.
    "evaluate_predictions_automatically": False,
}

# What is left is the place in the queue and the text, which would else be far off to the right.
_HIDDEN_COLUMNS = (
    "inner_id",
    "completed_at",
    "total_annotations",
    "cancelled_annotations",
    "annotators",
    "annotations_results",
    "annotations_ids",
    "predictions_model_versions",
    "predictions_results",
    "file_upload",
    "storage_filename",
    "created_at",
    "updated_at",
    "updated_by",
    "avg_lead_time",
    "draft_exists",
)


def set_up_project(http: LabelStudioHttp, project_id: int, view_title: str) -> int:
    """Sampling mode, suggestions shown, and the tab ``view_title``: the queue in order. The id of the tab."""
    project = http.call("GET", f"api/projects/{project_id}/")
    changed = {name: value for name, value in QUEUE_SETTINGS.items() if project.get(name) != value}
    if changed:
        http.call("PATCH", f"api/projects/{project_id}/", json=changed)
        logger.info("Project %d: set %s", project_id, ", ".join(changed))
    return _keep_tab(http, project_id, view_title)


def _keep_tab(http: LabelStudioHttp, project_id: int, title: str) -> int:
    wanted = _tab(title)
    tabs = http.call("GET", "api/dm/views/", params={"project": project_id})
    ours = next((tab for tab in tabs if tab["data"].get("title") == title), None)
    if ours is None:
        ours = http.call("POST", "api/dm/views/", json={"project": project_id, "data": wanted})
    elif any(ours["data"].get(name) != wanted[name] for name in ("ordering", "filters")):
        # The columns are left as people arranged them.
        restored = {**ours["data"], "ordering": wanted["ordering"], "filters": wanted["filters"]}
        http.call("PATCH", f"api/dm/views/{ours['id']}/", json={"project": project_id, "data": restored})
    return int(ours["id"])


def _tab(title: str) -> dict[str, Any]:
    def none_of(column: str) -> dict[str, Any]:
        return {"filter": f"filter:tasks:{column}", "operator": "equal", "type": "Number", "value": 0}

    return {
        "title": title,
        "type": "list",
        "target": "tasks",
        "ordering": ["tasks:predictions_score"],
        "filters": {
            "conjunction": "and",
            "items": [none_of("total_annotations"), none_of("cancelled_annotations")],
        },
        "hiddenColumns": {"explore": [f"tasks:{name}" for name in _HIDDEN_COLUMNS], "labeling": []},
    }


def imports_load_all_tasks(http: LabelStudioHttp, project_id: int) -> bool:
    """Whether the import flag is not set: an import leaves unknown tasks out, instead of refusing them."""
    nobody = [{"task": 0, "result": [], "score": 0.0, "model_version": "none"}]
    try:
        http.call("POST", f"api/projects/{project_id}/import/predictions", json=nobody)
    except LabelStudioRejectedError:
        return False
    return True


def connect_backend(
    http: LabelStudioHttp,
    project_id: int,
    url: str,
    title: str,
    extra_params: dict[str, Any],
    auth: tuple[str, str] | None,
) -> None:
    """Connect the ML backend at ``url``, or bring its connection up to date.

    Label Studio never shows the password it has, so one is sent every time there is one.
    """
    user, password = auth or ("", "")
    wanted = {
        "url": url,
        "title": title,
        "extra_params": extra_params,
        "auth_method": "BASIC_AUTH" if auth else "NONE",
        "basic_auth_user": user,
    }
    backends = http.call("GET", "api/ml/", params={"project": project_id})
    ours = next((one for one in backends if one["url"].rstrip("/") == url.rstrip("/")), None)
    if ours is not None and not auth and all(ours.get(name) == value for name, value in wanted.items()):
        return
    body = {**wanted, "project": project_id, **({"basic_auth_pass": password} if auth else {})}
    try:
        if ours is None:
            http.call("POST", "api/ml/", json=body)
        else:
            http.call("PATCH", f"api/ml/{ours['id']}", json=body)
    except LabelStudioUnauthorisedError as error:
        raise _explained(error) from error


def change_credentials(http: LabelStudioHttp, project_id: int, url: str, auth: tuple[str, str]) -> None:
    """The backend connected at ``url`` gets these; nothing else of the connection changes."""
    for backend in http.call("GET", "api/ml/", params={"project": project_id}):
        if backend["url"].rstrip("/") == url:
            kept = {name: backend[name] for name in ("url", "title", "extra_params")}
            credentials = {"basic_auth_user": auth[0], "basic_auth_pass": auth[1]}
            body = {**kept, "project": project_id, "auth_method": "BASIC_AUTH", **credentials}
            http.call("PATCH", f"api/ml/{backend['id']}", json=body)


_COMPLETE = {"send_payload": True, "send_for_all_actions": True, "is_active": True}


def webhooks(http: LabelStudioHttp, project_id: int | None) -> list[Webhook]:
    """Those of one project, or all of the organisation."""
    chosen = {} if project_id is None else {"project": project_id}
    return [
        Webhook(
            project_id=hook.project,
            url=hook.url,
            complete=hook.send_payload and hook.send_for_all_actions and hook.is_active,
            headers=hook.headers,
        )
        for hook in read_list(WebhookRecord, http.call("GET", "api/webhooks/", params=chosen))
    ]


def secure_webhook(http: LabelStudioHttp, project_id: int, url: str, headers: dict[str, str]) -> bool:
    """The project's webhook to ``url``: active, all actions, with payload and ``headers``.

    Label Studio registers one by itself on connecting, without credentials. Returns whether
    anything had to change.
    """
    wanted = {**_COMPLETE, "headers": headers}
    hooks = http.call("GET", "api/webhooks/", params={"project": project_id})
    ours = [hook for hook in hooks if hook["url"] == url and hook["project"] == project_id]
    wrong = [hook for hook in ours if any(hook[name] != value for name, value in wanted.items())]
    try:
        if not ours:
            http.call("POST", "api/webhooks/", json={**wanted, "project": project_id, "url": url})
        for hook in wrong:
            http.call("PATCH", f"api/webhooks/{hook['id']}/", json={**wanted, "url": url})
    except (LabelStudioRejectedError, LabelStudioUnauthorisedError) as error:
        raise _explained(error) from error
    return not ours or bool(wrong)


def _explained(error: LabelStudioError) -> LabelStudioError:
    """Label Studio answers 403 to an address that it may not call, as to a token without the right."""
    if "valid URL" in str(error):
        return LabelStudioRejectedError(
            f"{error}. Label Studio takes no webhook to a host without a dot in its name but localhost; "
            "give this backend a name such as allabel.internal, or its IP address (BACKEND_URL)"
        )
    if "reserved network" not in str(error):
        return error
    return LabelStudioRejectedError(
        f"{error}. Label Studio refuses private addresses; start it with ML_BLOCK_LOCAL_IP=false and "
        "SSRF_PROTECTION_ENABLED=false, or give this backend a public address (BACKEND_URL)"
    )
