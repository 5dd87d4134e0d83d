"""Answers already paid for."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import zlib
from collections.abc import Callable
from dataclasses import asdict, replace

from redis.exceptions import RedisError

from allabel_core.prompting import Prompt

from .llm_config import LlmConfig
from .llm_reply import Reply
from .llm_store import KeyValue
from .llm_wire import Capabilities, request_body

logger = logging.getLogger(__name__)

# Raised when a stored reply changes its form.
_VERSION = 2
_PATIENCE_SECONDS = 60.0


class ReplyCache:
    """Replies by everything that shaped them."""

    def __init__(self, store: KeyValue, *, seconds: float) -> None:
        self._store = store
        self._seconds = seconds

    def get(self, key: str) -> Reply | None:
        packed = self._store.get(key)
        if packed is None:
            return None
        fields = json.loads(zlib.decompress(packed))
        if fields["logprobs"] is not None:
            fields["logprobs"] = tuple((token, value) for token, value in fields["logprobs"])
        return Reply(**fields)

    def put(self, key: str, reply: Reply) -> None:
        self._store.put(key, zlib.compress(json.dumps(asdict(reply)).encode(), 1), seconds=self._seconds)


def reply_key(config: LlmConfig, prompt: Prompt, can: Capabilities, *, sample: int) -> str:
    """Of everything that shapes an answer; not of how its limit is called, or how JSON is asked for."""
    plain = replace(can, json="json_schema", system=True, limit_name="max_tokens", room=0, most=None)
    body = request_body(prompt, plain, config, sample=sample)
    version = config.azure_api_version if config.provider == "azure" else ""
    shape = json.dumps([_VERSION, config.endpoint, version, sample, body], sort_keys=True)
    return f"reply:{hashlib.sha256(shape.encode()).hexdigest()}"


async def persist(save: Callable[[], None]) -> None:
    """What is paid for outlives a store that is away for a moment.

    :raises redis.exceptions.RedisError: the store stayed away for a minute.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + _PATIENCE_SECONDS
    while True:
        try:
            return save()
        except RedisError as error:
            if loop.time() >= end:
                raise
            logger.warning("a paid reply could not be stored yet: %s", type(error).__name__)
        await asyncio.sleep(0.5)
