"""One endpoint, asked through the ``openai`` client: time limits, retries, bounded replies."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from typing import Any

import httpx2
from openai import AsyncAzureOpenAI, AsyncOpenAI, DefaultAsyncHttpxClient

from allabel_core.prompting import Form

from ..ports import ModelFailure
from .llm_breaker import Breaker
from .llm_config import LlmConfig
from .llm_failures import FOREIGN_ERRORS, MalformedReplyError, Trouble, trouble_of
from .llm_reply import Reply, read_reply
from .llm_wire import bytes_allowed

logger = logging.getLogger(__name__)

_FIRST_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS = 0.5, 8.0
# Servers that keep a connection alive send a few spaces or line breaks before the reply.
_BLANK_BYTES = 262_144
_jitter = random.SystemRandom()


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes longer than a small batch's own overhead: once a process."""
    return httpx2.create_ssl_context()


@asynccontextmanager
async def open_client(config: LlmConfig) -> AsyncIterator[AsyncOpenAI]:
    """Connections are kept while it is open. Retries are ours: the client knows no breaker."""
    common: dict[str, Any] = {
        # Local servers want no key, the client insists on one.
        "api_key": config.api_key.get_secret_value() or "unused",
        "timeout": config.timeout_seconds,
        "max_retries": 0,
        "http_client": DefaultAsyncHttpxClient(verify=_tls()),
    }
    client: AsyncOpenAI
    if config.provider == "azure":
        version = config.azure_api_version
        client = AsyncAzureOpenAI(azure_endpoint=config.endpoint, api_version=version, **common)
    else:
        client = AsyncOpenAI(base_url=config.endpoint, **common)
    async with client:
        yield client


class Endpoint:
    """A client in use. Texts of one batch share what it learns about the provider's limits."""

    def __init__(self, client: AsyncOpenAI, config: LlmConfig, breaker: Breaker) -> None:
        self._client = client
        self._config = config
        self._breaker = breaker
        self._resume_at = 0.0

    async def ask(
        self,
        body: dict[str, Any],
        *,
        form: Form,
        max_retries: int | None = None,
        on_unanswered: Callable[[], None] = lambda: None,
    ) -> Reply | Trouble:
        """One reply, after as many attempts as make sense. ``max_retries`` None: as configured.

        ``on_unanswered`` is told of each attempt whose answer never came: it may have been charged for.
        """
        max_answer_tokens = _limit(body)
        if not await self._breaker.admits():
            return self._down()
        retries_allowed = self._config.max_retries if max_retries is None else max_retries
        attempt = 0
        while True:
            outcome = await self._attempt(body, form, max_answer_tokens)
            if isinstance(outcome, Reply):
                self._breaker.succeeded()
                return outcome
            if outcome.unanswered:
                on_unanswered()
            allowed = retries_allowed if outcome.retries is None else min(outcome.retries, retries_allowed)
            if attempt >= allowed or self._must_wait_too_long(outcome):
                return self._given_up(outcome)
            logger.info("%s, retry %d", outcome.failure.kind, attempt + 1)
            if not outcome.wait_seconds:
                await asyncio.sleep(_backoff_seconds(attempt))
            if self._breaker.is_open():
                return self._down()
            attempt += 1

    async def _attempt(self, body: dict[str, Any], form: Form, max_answer_tokens: int) -> Reply | Trouble:
        loop = asyncio.get_running_loop()
        # This text, or another of the batch, was told to wait. Never less than that, and spread out,
        # so that not all come back at once.
        while (wait := self._resume_at - loop.time()) > 0:
            await asyncio.sleep(wait + _jitter.uniform(0.0, 0.25 + 0.1 * wait))
        try:
            async with asyncio.timeout(self._config.timeout_seconds):
                content = await self._fetch(body, form, bytes_allowed(max_answer_tokens))
            return read_reply(_decoded(content), form=form, max_answer_tokens=max_answer_tokens)
        except FOREIGN_ERRORS as error:
            trouble = trouble_of(error, self._config)
        if trouble.wait_seconds is not None and not self._must_wait_too_long(trouble):
            self._resume_at = max(self._resume_at, loop.time() + trouble.wait_seconds)
        return trouble

    async def _fetch(self, body: dict[str, Any], form: Form, most_bytes: int) -> bytes:
        """The reply's body, read no further than allowed: some servers never stop."""
        # The client checks a body's types key by key, at a multiple of what the request itself costs
        # us; as `extra_body` it is sent as it is. `model` stands outside: Azure's address has it.
        sending: AbstractAsyncContextManager[Any]
        if form == "chat":
            chat = self._client.chat.completions.with_streaming_response
            sending = chat.create(model=self._config.model, messages=[], extra_body=body)
        else:
            plain = self._client.completions.with_streaming_response
            sending = plain.create(model=self._config.model, prompt="", extra_body=body)
        content = bytearray()
        async with sending as response:
            async for chunk in response.iter_bytes():
                content += chunk
                if len(content) > most_bytes:
                    raise MalformedReplyError("its reply is far longer than the limit it was given")
                if len(content) > _BLANK_BYTES and not content.strip():
                    raise MalformedReplyError("its reply is nothing but white space")
        return bytes(content)

    def _must_wait_too_long(self, trouble: Trouble) -> bool:
        return (trouble.wait_seconds or 0.0) > self._config.longest_wait_seconds

    def _given_up(self, trouble: Trouble) -> Trouble:
        if trouble.provider_down:
            self._breaker.failed()
        else:
            self._breaker.succeeded()
        return trouble

    def _down(self) -> Trouble:
        seconds = self._config.breaker_seconds
        message = (
            f"{self._config.shown_endpoint} keeps failing and is left alone for up to {seconds:g} seconds."
        )
        return Trouble(ModelFailure("unreachable", message), retries=None)


def _backoff_seconds(attempt: int) -> float:
    longest = min(_LONGEST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2**attempt)
    return _jitter.uniform(0.5 * longest, longest)


def _limit(body: dict[str, Any]) -> int:
    """The tokens asked for, under either name."""
    return next(int(body[name]) for name in ("max_tokens", "max_completion_tokens") if name in body)


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        if content.lstrip().startswith((b"data:", b"event:")):
            raise MalformedReplyError("it answers only as a stream, which is not used here") from error
        raise MalformedReplyError("its reply is not JSON; is this an OpenAI-compatible service?") from error
