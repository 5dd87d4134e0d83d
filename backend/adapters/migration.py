"""State of another release: an older one is rebuilt, a newer one refused; neither is ever misread."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import fields
from typing import Any, cast

from redis import Redis
from redis.exceptions import ResponseError

from ..errors import SettingsError
from ..ports import ProjectSettings

logger = logging.getLogger(__name__)

SCHEMA = 4
"""Raised when a stored value changes its form."""

KEY = "allabel:schema"
KEPT_FACTS = ("backend_url", "before", "finishing", "version")
"""What Label Studio alone could not tell, or not at once; everything else is recomputed from it."""


def require_schema(redis: Redis) -> None:
    """:raises SettingsError: another release has taken over this Redis."""
    if (found := _schema(redis)) not in (None, SCHEMA):
        raise SettingsError(
            f"Redis holds the state of another release (schema {found}, here {SCHEMA}): "
            "run one release everywhere, or give each a database of its own in REDIS_URL."
        )


def take_over(redis: Redis) -> list[int]:
    """Make the store one of this schema; the projects that are to be read anew.

    :raises SettingsError: the state is of a newer release.
    """
    found = _schema(redis)
    if found is not None and found > SCHEMA:
        require_schema(redis)
    projects = []
    if found is not None and found < SCHEMA:
        projects = sorted(int(member) for member in cast(set[bytes], redis.smembers("allabel:projects")))
        for project_id in projects:
            bring_up = _with_history if found == 3 else _rebuild
            bring_up(redis, f"allabel:project:{project_id}:")
        logger.warning("state of schema %d: %d projects are read again", found, len(projects))
    redis.set(KEY, SCHEMA)
    return projects


def _schema(redis: Redis) -> int | None:
    raw = cast("bytes | None", redis.get(KEY))
    return int(raw) if raw is not None else None


def _rebuild(redis: Redis, prefix: str) -> None:
    settings = _old_settings(redis, f"{prefix}settings")
    facts = _old_facts(redis, f"{prefix}facts")
    for key in redis.scan_iter(f"{prefix}*", count=1000):
        redis.delete(key)
    if settings:
        redis.set(f"{prefix}settings", json.dumps(settings))
    if facts.get("finishing"):
        facts["finishing_corpus"] = "-1"
    if facts:
        redis.hset(f"{prefix}facts", mapping=cast(Any, facts))


def _with_history(redis: Redis, prefix: str) -> None:
    """Of schema 3: what annotators were shown becomes a history; what is published is read back."""
    shown = cast(dict[bytes, bytes], redis.hgetall(f"{prefix}shown"))
    for task_id, made in shown.items():
        redis.hset(f"{prefix}shown", task_id.decode(), json.dumps([("", json.loads(made))]))
    redis.delete(f"{prefix}published")
    redis.hdel(f"{prefix}facts", "publishing")


def _old_settings(redis: Redis, key: str) -> dict[str, Any]:
    with suppress(ResponseError, ValueError):
        return known_settings(json.loads(cast(bytes, redis.get(key) or b"{}")))
    return {}


def _old_facts(redis: Redis, key: str) -> dict[str, str]:
    with suppress(ResponseError):
        found = cast("list[bytes | None]", redis.hmget(key, list(KEPT_FACTS)))
        return {name: raw.decode() for name, raw in zip(KEPT_FACTS, found, strict=True) if raw is not None}
    return {}


def known_settings(stored: object) -> dict[str, Any]:
    """Those of the stored settings that there are today, and that are of today's kind."""
    defaults = ProjectSettings()
    kinds = {field.name: type(getattr(defaults, field.name)) for field in fields(ProjectSettings)}
    given = stored if isinstance(stored, dict) else {}
    return {name: value for name, value in given.items() if name in kinds and type(value) is kinds[name]}
