"""Foreign errors, translated once: what happened, what to do, and whether trying again can help.

Providers quote keys and prompts in their error messages, so none of their words are passed on.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai

from ..ports import ModelFailure
from .llm_config import LlmConfig
from .llm_rules import PAGE, UNEXPLAINED, About, rule_of

_READ_CHARACTERS, _READ_DEPTH = 4000, 8
# A fault of the moment deserves another try or two, whatever the reason.
_RETRIES_OF_ODD_REPLIES = 2
_NUMBER = re.compile(r"\d[\d,]*\d|\d")
_WAIT = re.compile(r"(?:again|retry|wait)\D{0,40}?(?:(\d+)m)?(\d+(?:\.\d+)?) ?(ms|s|sec|seconds?)\b")
_RETRY_DELAY = re.compile(r"retrydelay\W+(\d+(?:\.\d+)?)s")


class MalformedReplyError(Exception):
    """A reply that is not what the protocol promises; the message holds nothing of it.

    ``usage``: (prompt tokens, completion tokens) where the reply tells them all the same.
    """

    def __init__(self, message: str, usage: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.usage = usage


class ErrorInsideError(Exception):
    """A reply of HTTP 200 that is an error; ``content`` is the reply."""

    def __init__(self, content: Any) -> None:
        super().__init__("an error in a reply of HTTP 200")
        self.content = content


FOREIGN_ERRORS = (
    openai.OpenAIError, httpx2.HTTPError, TimeoutError, MalformedReplyError, ErrorInsideError
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trouble:
    """One attempt that failed. ``status``: of the HTTP reply, None where there was none.

    ``retries``: how often trying again makes sense, None for as often as the settings allow.
    ``wait_seconds``: how long the provider asks to wait. ``provider_down``: a sign that it is down.
    ``about``: what of the request is objected to, "" where that is not told. ``numbers``: those that
    the provider names. ``usage``: tokens that are to be paid all the same. ``unanswered``: the request was
    sent and its answer never came.
    """

    failure: ModelFailure
    status: int | None = None
    retries: int | None = 0
    wait_seconds: float | None = None
    provider_down: bool = False
    about: About = ""
    numbers: tuple[int, ...] = ()
    usage: tuple[int, int] | None = None
    unanswered: bool = False


def trouble_of(error: Exception, config: LlmConfig) -> Trouble:
    """What one of ``FOREIGN_ERRORS`` means."""
    if isinstance(error, openai.APIStatusError):
        content = error.body if error.body is not None else error.response.text
        headers = error.response.headers
        return _of_error(error.status_code, content, config, wait_asked_for(headers, now=time.time()))
    if isinstance(error, ErrorInsideError):
        return _of_error(_status_inside(error.content), error.content, config, None)
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException | TimeoutError):
        message = (
            f"{config.shown_endpoint} did not answer within {config.timeout_seconds:g} seconds. "
            "Raise OPENAI_TIMEOUT, lower OPENAI_CONCURRENCY, or use a faster model."
        )
        # The provider may well have answered and charged for it, so it is asked once more only.
        sent = not isinstance(error.__cause__, httpx2.ConnectTimeout)
        return Trouble(ModelFailure("timeout", message), retries=1, provider_down=True, unanswered=sent)
    if isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
        message, sent = _connection_message(error, config)
        failure = ModelFailure("unreachable", message)
        return Trouble(failure, retries=None, provider_down=True, unanswered=sent)
    message = str(error) if isinstance(error, MalformedReplyError) else "its reply cannot be read"
    failure = ModelFailure("unreachable", f"{config.shown_endpoint}: {message}.")
    return Trouble(failure, retries=_RETRIES_OF_ODD_REPLIES, usage=getattr(error, "usage", None))


def _connection_message(error: Exception, config: LlmConfig) -> tuple[str, bool]:
    """(what happened, whether the request had been sent by then)."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and len(causes) < 10:
        causes.append(cause)
    where, variable = config.shown_endpoint, config.url_variable
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return f"The host of {where} is not known. Check {variable}.", False
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return f"No secure connection to {where}. Check {variable} and the server's certificate.", False
    if any(isinstance(cause, httpx2.ConnectError) for cause in causes):
        return f"Nothing answers at {where}. Is the model server running? Check {variable}.", False
    return f"{where} broke off the connection.", True


def _of_error(status: int, content: Any, config: LlmConfig, wait: float | None) -> Trouble:
    said = " ".join(_strings(content))[:_READ_CHARACTERS].lower()
    if wait is None:
        wait = _wait_in_words(said)
    rule = rule_of(status, said)
    failing = status in (408, 409, 425) or status >= 500
    if rule.kind == "rate_limited":
        return Trouble(
            ModelFailure("rate_limited", _filled(rule.message, status, config)), status, None, wait
        )
    if rule.kind == "unreachable" or (failing and rule in (UNEXPLAINED, PAGE)):
        message = (
            _filled(rule.message, status, config)
            if rule.kind == "unreachable"
            else f"{config.shown_endpoint} answered with HTTP {status}: it is overloaded or failing."
        )
        return Trouble(ModelFailure("unreachable", message), status, None, wait, provider_down=True)
    numbers = tuple(int(found.replace(",", "")) for found in _NUMBER.findall(said) if len(found) < 12)
    failure = ModelFailure(rule.kind, _filled(rule.message, status, config))
    return Trouble(failure, status, about=rule.about, numbers=numbers)


def _filled(message: str, status: int, config: LlmConfig) -> str:
    pull = f" (`ollama pull {config.model}` fetches it)" if config.provider == "ollama" else ""
    return message.format(
        where=config.shown_endpoint,
        status=status,
        model=config.model,
        model_variable=config.model_variable,
        url_variable=config.url_variable,
        console=config.console,
        pull=pull,
    )


def _strings(content: Any, depth: int = 0) -> Iterator[str]:
    """Everything that an error reply says, names of fields included: each provider has its own shape."""
    if isinstance(content, Mapping) and depth < _READ_DEPTH:
        for name, value in content.items():
            yield str(name)
            yield from _strings(value, depth + 1)
    elif isinstance(content, list | tuple) and depth < _READ_DEPTH:
        for value in content[:50]:
            yield from _strings(value, depth + 1)
    elif isinstance(content, str | int | float) and not isinstance(content, bool):
        yield str(content)[:_READ_CHARACTERS]


def _status_inside(content: Any) -> int:
    """The status that an error in a reply of HTTP 200 names; without one it is the provider's own fault."""
    error = content.get("error") if isinstance(content, Mapping) else None
    for holder in (error, content):
        for name in ("code", "status", "status_code"):
            value = holder.get(name) if isinstance(holder, Mapping) else None
            if str(value).isdigit() and 400 <= int(str(value)) < 600:
                return int(str(value))
    said = " ".join(_strings(content)).lower()
    return 429 if "rate limit" in said or "rate_limit" in said else 502


def _wait_in_words(said: str) -> float | None:
    """Seconds in "try again in 1m7.5s", "retry after 20 seconds" or a ``retryDelay`` of Google's."""
    if delay := _RETRY_DELAY.search(said):
        return float(delay[1])
    if (found := _WAIT.search(said)) is None:
        return None
    seconds = float(found[2]) * (1e-3 if found[3] == "ms" else 1.0)
    return 60.0 * int(found[1] or 0) + seconds


def wait_asked_for(headers: httpx2.Headers, *, now: float) -> float | None:
    """Seconds that a ``retry-after-ms`` or ``Retry-After`` header (seconds or a date) asks for."""
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if 0 <= seconds < 1e7:
            return seconds
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - now)
    except (ValueError, TypeError):
        return None
