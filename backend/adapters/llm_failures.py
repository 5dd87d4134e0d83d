"""Foreign errors, translated once: what happened, what to do, and whether trying again can help.

Providers quote keys and prompts in their error messages, so none of their words are passed on.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx2
import openai

from ..ports import FailureKind, ModelFailure
from .llm_config import LlmConfig


class MalformedReplyError(Exception):
    """A reply that is not what the protocol promises; the message holds nothing of it."""


FOREIGN_ERRORS = (openai.OpenAIError, httpx2.HTTPError, TimeoutError, MalformedReplyError)

_TOO_LONG_CODES = ("context_length_exceeded", "exceed_context_size_error", "string_above_max_length")
_TOO_LONG_WORDS = ("context length", "context size", "context window", "maximum context", "too many tokens")


@dataclass(frozen=True, slots=True)
class Trouble:
    """One attempt that failed. ``status``: of the HTTP reply, None where there was none.

    ``retries``: how often trying again makes sense, None for as often as the settings allow.
    ``wait_seconds``: how long the provider asks to wait. ``provider_down``: a sign that it is down.
    """

    failure: ModelFailure
    status: int | None = None
    retries: int | None = 0
    wait_seconds: float | None = None
    provider_down: bool = False


def trouble_of(error: Exception, config: LlmConfig) -> Trouble:
    """What one of ``FOREIGN_ERRORS`` means."""
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, config)
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException | TimeoutError):
        message = (
            f"{config.shown_endpoint} did not answer within {config.timeout_seconds:g} seconds. "
            "Raise OPENAI_TIMEOUT, lower OPENAI_CONCURRENCY, or use a faster model."
        )
        # The provider may well have answered and charged for it, hence one more try only.
        return Trouble(ModelFailure("timeout", message), retries=1, provider_down=True)
    if isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
        message = _connection_message(error, config)
        return Trouble(ModelFailure("unreachable", message), retries=None, provider_down=True)
    message = str(error) if isinstance(error, MalformedReplyError) else "its reply cannot be read"
    return Trouble(ModelFailure("malformed", f"{config.shown_endpoint}: {message}."))


def _connection_message(error: Exception, config: LlmConfig) -> str:
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and len(causes) < 10:
        causes.append(cause)
    where, variable = config.shown_endpoint, config.url_variable
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return f"The host of {where} is not known. Check {variable}."
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return f"No secure connection to {where}. Check {variable} and the server's certificate."
    if any(isinstance(cause, httpx2.ConnectError) for cause in causes):
        return f"Nothing answers at {where}. Is the model server running? Check {variable}."
    return f"{where} broke off the connection."


def _of_status(error: openai.APIStatusError, config: LlmConfig) -> Trouble:
    status, where = error.status_code, config.shown_endpoint
    wait = wait_asked_for(error.response.headers, now=time.time())
    code, words = _code(error), _words(error)
    if status == 429 and code == "insufficient_quota":
        return _rejected(status, f"The account behind OPENAI_API_KEY has used up its quota at {where}.")
    if status == 429:
        message = f"{where} allows fewer requests than we send. Lower OPENAI_CONCURRENCY or raise the limit."
        return Trouble(ModelFailure("rate_limited", message), status, None, wait)
    if status in (408, 409) or status >= 500:
        message = f"{where} answered with HTTP {status}: it is overloaded or failing."
        return Trouble(ModelFailure("unreachable", message), status, None, wait, provider_down=True)
    if status == 413 or code in _TOO_LONG_CODES or any(said in words for said in _TOO_LONG_WORDS):
        message = "Text and demonstrations exceed the model's context. Set CONTEXT_WINDOW to its size."
        return _failed("too_long", status, message)
    if code == "content_filter":
        return _failed("refused", status, "The provider's content filter declined this text.")
    return _rejected(status, _rejection_message(status, code, words, config))


def _rejection_message(status: int, code: str, words: str, config: LlmConfig) -> str:
    where = config.shown_endpoint
    if status in (401, 403):
        return f"{where} refuses the key (HTTP {status}). Check OPENAI_API_KEY."
    if status == 402:
        return f"The account behind OPENAI_API_KEY has no money left at {where} (HTTP 402)."
    if code in ("model_not_found", "DeploymentNotFound") or (status in (400, 404) and "model" in words):
        hint = f" (`ollama pull {config.model}` fetches it)" if config.provider == "ollama" else ""
        return f"{where} does not serve the model {config.model!r}. Check {config.model_variable}{hint}."
    if status == 404:
        return f"No OpenAI-compatible service at {where}; most end in /v1. Check {config.url_variable}."
    variables = f"{config.model_variable} and {config.url_variable}"
    return f"{where} rejects the request (HTTP {status}). Check {variables}."


def _failed(kind: FailureKind, status: int, message: str) -> Trouble:
    return Trouble(ModelFailure(kind, message), status)


def _rejected(status: int, message: str) -> Trouble:
    return _failed("rejected", status, message)


def _code(error: openai.APIStatusError) -> str:
    """The provider's code or type of error; llama.cpp puts a number in one and the word in the other."""
    named = [value for value in (error.code, error.type) if isinstance(value, str) and not value.isdigit()]
    return named[0] if named else ""


def _words(error: openai.APIStatusError) -> str:
    """The provider's message in lower case: to look for known phrases in, never to show."""
    body = error.body
    said = body.get("message") if isinstance(body, dict) else body
    return said.lower()[:2000] if isinstance(said, str) else ""


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
