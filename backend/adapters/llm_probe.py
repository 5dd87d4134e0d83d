"""What an endpoint can do, found out by asking it a few tiny questions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from allabel_core.answers import answer_schema
from allabel_core.prompting import Form, LabelSet, Message, Prompt

from ..ports import ModelFailure
from .llm_config import LlmConfig
from .llm_endpoint import Endpoint
from .llm_reply import Reply
from .llm_ways import ROOMS, UNSUPPORTED, after_refusal
from .llm_wire import Capabilities, JsonMode, json_mode, logprobs_of_chosen, request_body

_SHAPE = answer_schema(LabelSet(("Greeting", "Farewell")))["properties"]
# As a real question is: a system message, an example, a schema of a list of objects.
PROBE = Prompt(
    messages=(
        Message("system", "You answer with JSON alone."),
        Message("user", "Say goodbye as JSON."),
        Message("assistant", '{"goodbye": true}'),
        Message("user", "Say hello as JSON."),
    ),
    completion="Hello. Hello. Hello.",
    schema={
        "type": "object",
        "properties": {"probe": {"type": "boolean"}, **_SHAPE},
        "required": ["probe", *_SHAPE],
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
        # Whether a parameter is taken shows before any thinking is done.
        short = replace(found, room=0) if found.limit_name == "max_tokens" else found
        plain = request_body(PROBE, short, self.config)
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
        tried: set[Capabilities] = set()
        ways = list(_ways_of_asking(self.config))
        while ways:
            candidate = ways.pop(0)
            if candidate in tried:
                continue
            tried.add(candidate)
            body = request_body(PROBE, candidate, self.config)
            outcome = await self.endpoint.ask(body, form=candidate.form)
            if isinstance(outcome, Reply):
                self.replies.append(outcome)
                thinks = outcome.thought or (outcome.truncated and not outcome.text)
                return replace(candidate, room=max(candidate.room, ROOMS[0])) if thinks else candidate
            first_failure = first_failure or outcome.failure
            if outcome.about == "setup" or (outcome.status not in UNSUPPORTED and not outcome.about):
                return outcome.failure
            if outcome.about and (lower := after_refusal(candidate, outcome, PROBE, self.config)):
                ways.insert(0, lower)
        return first_failure or ModelFailure("rejected", "There is no way to ask this endpoint.")

    async def _json_mode(self, plain: dict[str, Any]) -> JsonMode:
        for mode, obeys in _OBEYS.items():
            reply = await self._reply(plain | json_mode(mode, PROBE.schema), "chat")
            # A model that thinks first may have used up the few tokens before it wrote anything.
            if reply is not None and (obeys.match(reply.text) or (reply.truncated and reply.empty)):
                return mode
        return "none"

    async def _supports_logprobs(self, body: dict[str, Any], form: Form) -> bool:
        """Some servers take the parameter and do nothing."""
        reply = await self._reply(body | logprobs_of_chosen(form), form)
        return reply is not None and reply.logprobs is not None

    async def _accepts(self, body: dict[str, Any], form: Form) -> bool:
        return await self._reply(body, form) is not None

    async def _reply(self, body: dict[str, Any], form: Form) -> Reply | None:
        outcome = await self.endpoint.ask(body, form=form, max_retries=2)
        if isinstance(outcome, Reply):
            self.replies.append(outcome)
            return outcome
        self.doubtful = self.doubtful or not (outcome.about or outcome.status in UNSUPPORTED)
        return None


def _ways_of_asking(config: LlmConfig) -> Iterator[Capabilities]:
    """Chat before completion; models that reason want another limit and no temperature."""
    if config.api_style != "completion":
        for temperature in (True, False):
            yield Capabilities(temperature=temperature)
            # Models that insist on this name are those that think first, within that limit.
            yield Capabilities(temperature=temperature, limit_name="max_completion_tokens", room=ROOMS[0])
        yield Capabilities(system=False)
    if config.api_style != "chat":
        yield Capabilities(form="completion")
