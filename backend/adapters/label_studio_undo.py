"""What was there before: the project's settings that a queue changes, and how to bring them back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .label_studio_http import LabelStudioHttp
from .label_studio_setup import QUEUE_SETTINGS


def queue_settings(http: LabelStudioHttp, project_id: int) -> dict[str, Any]:
    """Those settings of a project that set-up and publishing change, as they are."""
    project = http.call("GET", f"api/projects/{project_id}/")
    return {name: project[name] for name in QUEUE_SETTINGS} | {
        "model_version": project["model_version"] or ""
    }


def undo_set_up(
    http: LabelStudioHttp, project_id: int, view_title: str, backend_url: str, settings: dict[str, Any]
) -> None:
    """Tab, connection, settings, webhook, in this order: the webhook bears the note of what was before.

    What a person has changed since is left as it is. Twice changes nothing.
    """
    _remove(http, project_id, "api/dm/views/{id}/", lambda tab: tab["data"].get("title") == view_title)
    _remove(http, project_id, "api/ml/{id}", lambda backend: backend["url"].rstrip("/") == backend_url)
    _restore(http, project_id, settings)
    _remove(http, project_id, "api/webhooks/{id}/", lambda hook: hook["url"] == f"{backend_url}/webhook")


def _remove(
    http: LabelStudioHttp, project_id: int, path: str, is_ours: Callable[[dict[str, Any]], bool]
) -> None:
    """``path``: that of one of them, with a place for its id."""
    for found in http.call("GET", path.partition("{")[0], params={"project": project_id}):
        if is_ours(found):
            http.call("DELETE", path.format(id=found["id"]))


def _restore(http: LabelStudioHttp, project_id: int, settings: dict[str, Any]) -> None:
    now = queue_settings(http, project_id)
    back = {
        name: settings[name] for name, made in QUEUE_SETTINGS.items() if now[name] == made != settings[name]
    }
    version = settings["model_version"]
    # Label Studio takes only a version that has predictions, and has let go of ours with them.
    if version and not now["model_version"] and version in _versions(http, project_id):
        back["model_version"] = version
    if back:
        http.call("PATCH", f"api/projects/{project_id}/", json=back)


def _versions(http: LabelStudioHttp, project_id: int) -> dict[str, int]:
    found: dict[str, int] = http.call("GET", f"api/projects/{project_id}/model-versions/")
    return found
