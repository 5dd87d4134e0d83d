"""One endpoint, asked through the ``openai`` client: time limits, retries, bounded replies."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncAzureOpenAI, AsyncOpenAI

from allabel_core.prompting import Form

from ..ports import ModelFailure
from .llm_breaker import Breaker
from .llm_config import LlmConfig
from .llm_failures import FOREIGN_ERRORS, MalformedReplyError, Trouble, trouble_of
from .llm_wire import Reply, bytes_allowed, read_reply

logger = logging.getLogger(__name__)

_FIRST_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS = 0.5, 8.0
_jitter = random.SystemRandom()


@asynccontextmanager
async def open_client(config: LlmConfig) -> AsyncIterator[AsyncOpenAI]:
    """Connections are kept while it is open. Retries are ours: the client knows no breaker."""
    # Local servers want no key, the client insists on one.
    key = config.api_key.get_secret_value() or "unused"
    client: AsyncOpenAI
    if config.provider == "azure":
        client = AsyncAzureOpenAI(
            azure_endpoint=config.endpoint,
            api_version=config.azure_api_version,
            api_key=key,
            timeout=config.timeout_seconds,
            max_retries=0,
        )
    else:
        client = AsyncOpenAI(
            base_url=config.endpoint, api_key=key, timeout=config.timeout_seconds, max_retries=0
        )
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
        self, body: dict[str, Any], *, form: Form, max_answer_tokens: int, max_retries: int | None = None
    ) -> Reply | Trouble:
        """One reply, after as many attempts as make sense. ``max_retries`` None: as configured."""
        if not await self._breaker.admits():
            return self._down()
        retries_allowed = self._config.max_retries if max_retries is None else max_retries
        attempt = 0
        while True:
            outcome = await self._attempt(body, form, max_answer_tokens)
            if isinstance(outcome, Reply):
                self._breaker.succeeded()
                return outcome
            allowed = retries_allowed if outcome.retries is None else min(outcome.retries, retries_allowed)
            if attempt >= allowed or self._must_wait_too_long(outcome):
                return self._given_up(outcome)
            wait = _wait_seconds(attempt, outcome.wait_seconds)
            logger.info("%s, retry %d in %.1f s", outcome.failure.kind, attempt + 1, wait)
            await asyncio.sleep(wait)
            if self._breaker.is_open():
                return self._down()
            attempt += 1

    async def _attempt(self, body: dict[str, Any], form: Form, max_answer_tokens: int) -> Reply | Trouble:
        loop = asyncio.get_running_loop()
        # Another text of this batch was told to wait: so must this one.
        await asyncio.sleep(max(0.0, self._resume_at - loop.time()))
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
        completions: Any = self._client.chat.completions if form == "chat" else self._client.completions
        content = bytearray()
        async with completions.with_streaming_response.create(**body) as response:
            async for chunk in response.iter_bytes():
                content += chunk
                if len(content) > most_bytes:
                    raise MalformedReplyError("its reply is far longer than the limit it was given")
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


def _wait_seconds(attempt: int, asked: float | None) -> float:
    """Never less than the provider asks for; spread out, so that not all come back at once."""
    if asked is not None:
        return asked + _jitter.uniform(0.0, 0.25 + 0.1 * asked)
    backoff = min(_LONGEST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2**attempt)
    return _jitter.uniform(0.5 * backoff, backoff)


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MalformedReplyError("its reply is not JSON; is this an OpenAI-compatible service?") from error
