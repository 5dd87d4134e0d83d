"""Logs: one line a record, with what it is about and without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console

from backend.logs import about, configure_logging
from backend.settings import read_settings

SECRETS = {
    "LABEL_STUDIO_API_KEY": "label-studio-token",
    "OPENAI_API_KEY": "sk-Ä-model-key",
    "BASIC_AUTH_USER": "ann",
    "BASIC_AUTH_PASS": 'pa"ss wörd',
    "WEBHOOK_SECRET": "webhook-secret",
    "OPENAI_BASE_URL": "http://ann:pass-of-the-model@host/v1",
    "REDIS_URL": "redis://:p%40ss@localhost:6379/0",
}
HIDDEN = (
    "label-studio-token",
    "sk-Ä-model-key",
    'pa"ss wörd',
    "webhook-secret",
    "p%40ss",
    "p@ss",
    "pass-of-the-model",
)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., io.StringIO]]:
    """Configures logging with these settings; what is logged then."""
    root = logging.getLogger()
    before = root.handlers[:], root.level

    def configure(*, terminal: bool = False, **settings: str) -> io.StringIO:
        stream = io.StringIO()
        monkeypatch.setattr("sys.stderr", stream)
        console = Console(file=stream, force_terminal=terminal, width=200)
        configure_logging(read_settings({**SECRETS, **settings}), console)
        return stream

    yield configure
    root.handlers[:], root.level = before


def test_text_stays_on_one_line_however_long(log: Callable[..., io.StringIO]) -> None:
    stream = log()
    with about(project=7, job="j1", task=12):
        logging.getLogger("backend.somewhere").warning("project %d: %s", 7, "word " * 100)
    (line,) = stream.getvalue().splitlines()
    assert " WARNING backend.somewhere project 7: word word" in line
    assert line.endswith("job=j1 task=12")


def test_json_is_one_object_a_line_with_ids_as_fields(log: Callable[..., io.StringIO]) -> None:
    stream = log(LOG_FORMAT="json")
    logger = logging.getLogger("backend.somewhere")
    with about(project=7, job="j1"):
        with about(task=12):
            logger.info("two\nlines %s", "“quoted”")
        logger.info("no task")
    logger.info("no project")
    first, second, third = map(json.loads, stream.getvalue().splitlines())
    assert first.pop("time")[:2] == "20"
    assert first == {
        "level": "INFO",
        "logger": "backend.somewhere",
        "message": "two\nlines “quoted”",
        "project": 7,
        "job": "j1",
        "task": 12,
    }
    assert (second["job"], "task" in second) == ("j1", False)
    assert "project" not in third


@pytest.mark.parametrize(("form", "terminal"), [("text", False), ("text", True), ("json", False)])
def test_no_secret_is_ever_written(form: str, terminal: bool, log: Callable[..., io.StringIO]) -> None:
    stream = log(LOG_FORMAT=form, LOG_LEVEL="DEBUG", terminal=terminal)
    settings = read_settings(SECRETS)
    logger = logging.getLogger("backend.somewhere")
    for secret in HIDDEN:
        logger.debug("it is %s", secret)
        try:
            raise RuntimeError(f"refused: {secret}")
        except RuntimeError:
            logger.exception("failed")
    logger.debug("%r", settings)
    written = stream.getvalue()
    assert written.count("***") >= 2 * len(HIDDEN)
    assert [secret for secret in HIDDEN if secret in written or json.dumps(secret)[1:-1] in written] == []


def test_libraries_that_log_bodies_are_silent_even_at_debug(log: Callable[..., io.StringIO]) -> None:
    stream = log(LOG_LEVEL="DEBUG")
    for name in ("httpx", "httpcore.http11", "openai._base_client", "urllib3.connectionpool"):
        logging.getLogger(name).debug("Request options: the text of a user")
    assert stream.getvalue() == ""
