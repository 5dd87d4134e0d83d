"""What Label Studio bears when it calls us for a project: a token of this project's, worth nothing else."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256

from .tools import Tools

_USER = re.compile(r"project-([1-9][0-9]{0,14})")


def project_credentials(tools: Tools, project_id: int) -> tuple[str, str] | None:
    """The name and the token that a connection is to have; None where this backend asks for no password."""
    return (f"project-{project_id}", _token(tools.own_key, project_id)) if tools.guarded else None


def project_of(tools: Tools, user: str, token: str) -> int | None:
    """The project whose credentials these are."""
    match = _USER.fullmatch(user)
    if match is None:
        return None
    project_id = int(match[1])
    expected = _token(tools.own_key, project_id)
    return project_id if hmac.compare_digest(token.encode(), expected.encode()) else None


def token_mark(token: str) -> str:
    """Tells whether a connection has today's token, and nothing about what it is."""
    return sha256(token.encode()).hexdigest()[:16]


def _token(key: str, project_id: int) -> str:
    return hmac.digest(key.encode(), f"project {project_id}".encode(), "sha256").hex()
