"""Logs for people or, as JSON lines, for machines: what they are about beside them, no secrets in them."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr
from pythonjsonlogger.json import JsonFormatter
from rich.console import Console
from rich.logging import RichHandler

from .settings import Settings

SHORTEST_SECRET = 4
"""What is shorter cannot be masked without making logs unreadable."""

_SUBJECT: ContextVar[Mapping[str, object]] = ContextVar("subject", default=MappingProxyType({}))


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """What is logged inside concerns these: ``project``, ``job``, ``task``."""
    token = _SUBJECT.set({**_SUBJECT.get(), **fields})
    try:
        yield
    finally:
        _SUBJECT.reset(token)


def configure_logging(settings: Settings, console: Console) -> None:
    """For a process of the service. ``console``: standard error, for text on a terminal."""
    handler: logging.Handler
    secrets = secrets_of(settings)
    if settings.log_format == "json":
        handler = logging.StreamHandler()
        handler.setFormatter(_JsonLines(secrets))
    elif console.is_terminal:
        handler = RichHandler(console=console, show_path=False, rich_tracebacks=False)
        handler.setFormatter(_Text(secrets, "%(name)s %(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(_Text(secrets, "%(asctime)s %(levelname)s %(name)s %(message)s"))
    handler.addFilter(_add_subject)
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    # They log addresses and, at DEBUG, bodies: texts of users and tokens. RQ tells of every job.
    for name in ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "urllib3", "rq"):
        logging.getLogger(name).setLevel(logging.WARNING)


def where(error: BaseException) -> str:
    """An error's kind and the places it came through; what it says may quote a text, so it is left out."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return f"{type(error).__name__} at " + " > ".join(f"{Path(f.filename).name}:{f.lineno}" for f in frames)


def secrets_of(settings: Settings) -> list[str]:
    """The values to mask, longest first, also as JSON writes them."""
    values = {value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)}
    # Of Redis the password alone: without one, the address is no secret.
    values.discard(address := settings.redis_url.get_secret_value())
    password = urlsplit(address).password or ""
    values |= {password, unquote(password)}
    # The model's address may hold a password as well.
    values |= {
        urlsplit(value).password or "" for _, value in settings if isinstance(value, str) and "@" in value
    }
    values |= {json.dumps(value)[1:-1] for value in values}
    return sorted((value for value in values if len(value) >= SHORTEST_SECRET), key=len, reverse=True)


def _add_subject(record: logging.LogRecord) -> bool:
    record.__dict__.update(_SUBJECT.get())
    return True


def _masked(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


class _Text(logging.Formatter):
    def __init__(self, secrets: list[str], form: str) -> None:
        super().__init__(form)
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        # The project stands in the message.
        fields = {name: getattr(record, name, None) for name in ("job", "task")}
        suffix = "".join(f" {name}={value}" for name, value in fields.items() if value is not None)
        return _masked(super().format(record) + suffix, self._secrets)


class _JsonLines(JsonFormatter):
    def __init__(self, secrets: list[str]) -> None:
        super().__init__(
            ("asctime", "levelname", "name", "message"),
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        return _masked(super().format(record), self._secrets)
