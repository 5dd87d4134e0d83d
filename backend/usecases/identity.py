"""Whether it is our Label Studio that calls, and what is said of a connection that is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from allabel_core.errors import InvalidInputError

from ..errors import LabelConfigError, LabelStudioError, LabelStudioNotFoundError
from .tools import Tools

ASKED_WITHIN = 1.5
"""Seconds: Label Studio waits 3 for /setup."""


@contextmanager
def refusals_noted(tools: Tools, project_id: int) -> Iterator[None]:
    """Label Studio shows the status of a refusal alone; the pages and `status` show its reason."""
    try:
        yield
    except (LabelConfigError, InvalidInputError) as error:
        tools.store.note_refusal(project_id, str(error))
        raise
    tools.store.forget_refusal(project_id)


def check_identity(tools: Tools, project_id: int, stamp: int | None, hostname: str) -> None:
    """Tell our Label Studio's project from another's of the same number, by when it was made.

    Where our own Label Studio has another project under this number than before, its database has been made
    anew, and what was known of the project that is gone is forgotten. While it cannot be asked, the worker
    does it, before it sets anything up.

    :raises InvalidInputError: it is another Label Studio's.
    """
    if stamp is None or tools.store.fact(project_id, "stamp") == str(stamp):
        return
    try:
        made = stamp_of(tools.label_studio.made_at(project_id, ASKED_WITHIN))
    except LabelStudioNotFoundError:
        made = 0
    except LabelStudioError:
        return
    if made is not None and made != stamp:
        at = f" at {hostname}" if hostname else ""
        raise InvalidInputError(
            f"Project {project_id} of the Label Studio{at} is not of the one that this backend serves, "
            f"{tools.label_studio_url}. Run a backend of its own for each Label Studio, or correct "
            "LABEL_STUDIO_URL."
        )
    forget_another(tools, project_id, made)


def forget_another(tools: Tools, project_id: int, made: int | None) -> bool:
    """Whether what is known here is of a project of before that had the same number; it is forgotten then."""
    noted = tools.store.fact(project_id, "stamp")
    if made is None or noted in (None, "", str(made)):
        return False
    tools.store.forget_project(project_id)
    return True


def stamp_of(created_at: str) -> int | None:
    """Whole seconds since 1970, as in Label Studio's "ID.TIMESTAMP"; None where it is not told."""
    try:
        return int(datetime.fromisoformat(created_at).timestamp())
    except ValueError:
        return None
