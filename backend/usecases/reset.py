"""Leave a project as if it had never been connected. What people annotated stays."""

from __future__ import annotations

import logging

from ..errors import BackendError
from .connect import own_description
from .memory import VIEW_TITLE, is_version, own_webhooks, settings_before
from .places import RETIRED_VERSION
from .tools import Tools
from .witness import AUDIT_VERSION

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 120.0


def reset(tools: Tools, project_id: int) -> None:
    """Undo all that we put into Label Studio and forget the project. Run again, it ends what it began.

    :raises BackendError: a worker is at the project and does not come to an end.
    """
    store, label_studio = tools.store, tools.label_studio
    with (
        store.lock(f"sync:{project_id}", wait=PATIENCE_SECONDS) as alone,
        store.lock(f"publish:{project_id}", wait=PATIENCE_SECONDS) as silent,
        store.lock(f"learn:{project_id}", wait=PATIENCE_SECONDS) as idle,
    ):
        if not (alone and silent and idle):
            raise BackendError(f"A worker is busy with project {project_id}; try again, or stop the workers.")
        project = label_studio.project(project_id)
        before = settings_before(tools, project_id)
        known = [store.fact(project_id, "backend_url") or tools.backend_url]
        addresses = {hook.backend_url for hook in own_webhooks(tools, project_id)} | set(known)
        for version in label_studio.versions(project_id):
            if is_version(version) or version in (RETIRED_VERSION, AUDIT_VERSION):
                label_studio.delete_version(project_id, version)
        if project.description != own_description(project):
            label_studio.describe(project_id, own_description(project))
        for address in sorted(addresses):
            label_studio.undo_set_up(project_id, view_title=VIEW_TITLE, backend_url=address, settings=before)
        store.forget_project(project_id)
    logger.info("project %d: reset", project_id)
