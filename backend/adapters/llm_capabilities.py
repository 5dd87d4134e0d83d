"""What an endpoint can do, found out by asking it a few tiny questions, and remembered."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from allabel_core.prompting import Form, Message, Prompt

from ..ports import ModelFailure
from .llm_config import LlmConfig
from .llm_endpoint import Endpoint
from .llm_store import KeyValue
from .llm_wire import Capabilities, JsonMode, Reply, json_mode, logprobs_of_chosen, request_body

_REMEMBER_SECONDS = 7 * 86400.0
# What was found out while the provider was failing is doubted soon.
_DOUBTFUL_SECONDS = 600.0
# A request rejected in production may mean that the server has changed: ask again, but not each time.
_REPROBE_SECONDS = 600.0
_VERSION = 1
# Statuses by which a server says that it does not know an endpoint or a parameter.
_UNSUPPORTED = (400, 404, 405, 415, 422, 501)

PROBE = Prompt(
    messages=(Message("user", "Say hello as JSON."),),
    completion="Hello. Hello. Hello.",
    schema={
        "type": "object",
        "properties": {"probe": {"type": "boolean"}},
        "required": ["probe"],
        "additionalProperties": False,
    },
    stop=("\n",),
    # Enough to see the answer begin; on a small machine each one takes its time.
    max_answer_tokens=12,
)
# A name that only the schema tells: a model that is not held to it would not write this.
_OBEYS: dict[JsonMode, re.Pattern[str]] = {
    "json_schema": re.compile(r'\s*\{\s*"probe"'),
    "json_object": re.compile(r"\s*\{"),
}


@dataclass(slots=True)
class Probe:
    """One round of questions; ``replies`` are to be accounted for."""

    endpoint: Endpoint
    config: LlmConfig
    replies: list[Reply] = field(default_factory=list)
    doubtful: bool = False

    async def run(self) -> Capabilities | ModelFailure:
        """What the endpoint can do, or why it answers nothing at all."""
        found = await self._plainest()
        if isinstance(found, ModelFailure):
            return found
        plain = request_body(PROBE, found, self.config)
        if found.form == "completion":
            logprobs, seed = await asyncio.gather(
                self._supports_logprobs(plain, "completion"),
                self._accepts(plain | {"seed": 1}, "completion"),
            )
            return replace(found, logprobs=logprobs, seed=seed)
        json_found, logprobs, seed = await asyncio.gather(
            self._json_mode(plain),
            self._supports_logprobs(plain, "chat"),
            self._accepts(plain | {"seed": 1}, "chat"),
        )
        return replace(found, json=json_found, logprobs=logprobs, seed=seed)

    async def _plainest(self) -> Capabilities | ModelFailure:
        """The first way of asking that is answered."""
        first_failure: ModelFailure | None = None
        for candidate in _ways_of_asking(self.config):
            body = request_body(PROBE, candidate, self.config)
            outcome = await self.endpoint.ask(
                body, form=candidate.form, max_answer_tokens=PROBE.max_answer_tokens
            )
            if isinstance(outcome, Reply):
                self.replies.append(outcome)
                return candidate
            first_failure = first_failure or outcome.failure
            if outcome.status not in _UNSUPPORTED:
                return outcome.failure
        return first_failure or ModelFailure("rejected", "There is no way to ask this endpoint.")

    async def _json_mode(self, plain: dict[str, Any]) -> JsonMode:
        for mode, obeys in _OBEYS.items():
            reply = await self._reply(plain | json_mode(mode, PROBE.schema), "chat")
            # A model that thinks first may have used up the few tokens before it wrote anything.
            if reply is not None and (obeys.match(reply.text) or (reply.truncated and not reply.text)):
                return mode
        return "none"

    async def _supports_logprobs(self, body: dict[str, Any], form: Form) -> bool:
        """Some servers take the parameter and do nothing."""
        reply = await self._reply(body | logprobs_of_chosen(form), form)
        return reply is not None and reply.logprobs is not None

    async def _accepts(self, body: dict[str, Any], form: Form) -> bool:
        return await self._reply(body, form) is not None

    async def _reply(self, body: dict[str, Any], form: Form) -> Reply | None:
        outcome = await self.endpoint.ask(
            body, form=form, max_answer_tokens=PROBE.max_answer_tokens, max_retries=2
        )
        if isinstance(outcome, Reply):
            self.replies.append(outcome)
            return outcome
        self.doubtful = self.doubtful or outcome.status not in _UNSUPPORTED
        return None


def _ways_of_asking(config: LlmConfig) -> Iterator[Capabilities]:
    """Chat before completion; models that reason want another limit and no temperature."""
    if config.api_style != "completion":
        for temperature in (True, False):
            yield Capabilities(temperature=temperature)
            yield Capabilities(temperature=temperature, limit_name="max_completion_tokens")
    if config.api_style != "chat":
        yield Capabilities(form="completion")


class Memory:
    """Capabilities that some worker has found out."""

    def __init__(self, store: KeyValue, config: LlmConfig) -> None:
        self._store = store
        named = [
            _VERSION,
            config.provider,
            config.endpoint,
            config.azure_api_version,
            config.model,
            config.api_style,
        ]
        self.name = hashlib.sha256(json.dumps(named).encode()).hexdigest()[:32]
        self._key = f"capabilities:{self.name}"

    def recall(self) -> Capabilities | None:
        stored = self._store.get(self._key)
        return Capabilities(**json.loads(stored)) if stored else None

    def remember(self, found: Capabilities, *, doubtful: bool) -> None:
        seconds = _DOUBTFUL_SECONDS if doubtful else _REMEMBER_SECONDS
        self._store.put(self._key, json.dumps(asdict(found)).encode(), seconds=seconds)

    def doubt(self) -> None:
        """A request made of these capabilities was rejected."""
        if self._store.claim(f"reprobe:{self.name}", "", seconds=_REPROBE_SECONDS):
            self._store.drop(self._key)
