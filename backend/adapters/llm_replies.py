"""One prompt's reply: from the cache, or paid for once, within the project's cap."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from allabel_core.prompting import Form, Prompt, prompt_tokens

from ..ports import ModelFailure
from .llm_cache import ReplyCache, persist, reply_key
from .llm_config import LlmConfig
from .llm_endpoint import Endpoint
from .llm_failures import Trouble
from .llm_lease import Leases
from .llm_ledger import Ledger, Reservation, plausible
from .llm_memory import Memory
from .llm_probe import PROBE
from .llm_reply import Reply
from .llm_ways import Ways, after_cut, after_refusal
from .llm_wire import Capabilities, request_body, token_limit

logger = logging.getLogger(__name__)

# Where a server counts no tokens: characters of an answer per token, on the low side.
_CHARACTERS_PER_TOKEN = 3
_REJECTED_PARAMETERS = (400, 422)
# An answer that is empty for no reason is asked for so many times more.
_RETRIES_OF_EMPTY = 2


@dataclass(frozen=True, slots=True)
class Found:
    """A usable reply, and whether it was paid for earlier."""

    reply: Reply
    from_cache: bool


@dataclass(frozen=True, slots=True)
class Replies:
    """What the prompts of one batch are answered with. ``endpoint`` and ``leases`` end with the batch."""

    config: LlmConfig
    endpoint: Endpoint
    leases: Leases
    cache: ReplyCache
    ledger: Ledger
    memory: Memory
    project_id: int

    async def get(self, prompt: Prompt, ways: Ways, *, sample: int = 0) -> Found | ModelFailure:
        """A reply nobody pays for twice: while one worker asks, others wait for its reply."""
        key = reply_key(self.config, prompt, ways.of(prompt), sample=sample)
        lease = f"lease:{key}"
        known = await self.leases.found_or_taken(lease, lambda: self.cache.get(key))
        if known is not None:
            return _usable(known, from_cache=True)
        try:
            return await self._buy(prompt, ways, sample, key)
        finally:
            self.leases.end(lease)

    async def _buy(self, prompt: Prompt, ways: Ways, sample: int, key: str) -> Found | ModelFailure:
        """Ask, each time otherwise where the last way was refused, cut short or answered with nothing."""
        way = ways.of(prompt)
        empty, thinks = 0, False
        while True:
            outcome = await self.ask(prompt, way, sample=sample, question=key)
            if isinstance(outcome, ModelFailure):
                return outcome
            if isinstance(outcome, Trouble):
                lower = after_refusal(way, outcome, prompt, self.config)
                if lower is None:
                    return await self._failed(outcome, prompt, ways)
                logger.info("asked again in another way: %s", lower)
                way = lower
                continue
            thinks = thinks or outcome.thought or (outcome.truncated and not outcome.text)
            if outcome.truncated and not outcome.refused:
                if wider := after_cut(way, outcome, prompt, self.config):
                    way = wider
                    continue
                if outcome.empty and thinks:
                    return self.no_room(prompt, way)
            if (outcome.empty and not outcome.refused) or outcome.failed:
                empty += 1
                if empty > min(_RETRIES_OF_EMPTY, self.config.max_retries):
                    return _nothing_said(self.config)
                # Endless white space is what some models make of a demand for JSON.
                way = replace(way, json="none") if outcome.truncated else way
                continue
            ways.answered(prompt, way, thinks=thinks)
            await persist(lambda reply=outcome: self.cache.put(key, reply))  # type: ignore[misc]
            return _usable(outcome, from_cache=False)

    async def ask(
        self, prompt: Prompt, way: Capabilities, *, sample: int = 0, question: str = ""
    ) -> Reply | Trouble | ModelFailure:
        """One reply, accounted for; a failure of kind ``budget`` where the cap leaves no room for it.

        ``question``: its name, where nobody else can ask it meanwhile.
        """
        reservation = self._reserve(prompt, way)
        if isinstance(reservation, ModelFailure):
            return reservation
        most = prompt_tokens(prompt, form=way.form), token_limit(prompt, way, self.config)

        async def lost() -> None:
            await persist(lambda: self.ledger.lose(self.project_id, *most))

        try:
            if question:
                await persist(lambda: self.ledger.begin(self.project_id, question, *most))
            body = request_body(prompt, way, self.config, sample=sample)
            outcome = await self.endpoint.ask(body, form=way.form, on_lost=lost)
            if isinstance(outcome, Reply):
                return await self.settle(outcome, prompt, way.form)
            if outcome.usage:
                await self._note(
                    Reply("", prompt_tokens=outcome.usage[0], completion_tokens=outcome.usage[1])
                )
            return outcome
        finally:
            if question:
                await persist(lambda: self.ledger.end(question))
            self.ledger.release(reservation)

    def _reserve(self, prompt: Prompt, can: Capabilities) -> Reservation | ModelFailure:
        if not self.ledger.capped:
            return Reservation()
        asked = prompt_tokens(prompt, form=can.form)
        return self.ledger.reserve(self.project_id, asked, token_limit(prompt, can, self.config))

    async def settle(self, reply: Reply, prompt: Prompt, form: Form) -> Reply:
        """Into the ledger, with estimates where the server told no token counts."""
        asked, said = reply.prompt_tokens, reply.completion_tokens
        if (reply.empty or reply.failed) and not reply.thought and asked is None and said is None:
            return reply
        written = -(-len(reply.text) // _CHARACTERS_PER_TOKEN)
        counted = replace(
            reply,
            prompt_tokens=plausible(asked, prompt_tokens(prompt, form=form)),
            completion_tokens=plausible(said, written),
        )
        await self._note(counted)
        return counted

    async def _failed(self, trouble: Trouble, prompt: Prompt, ways: Ways) -> ModelFailure:
        if trouble.failure.kind != "rejected" or trouble.status not in _REJECTED_PARAMETERS:
            return trouble.failure
        if not trouble.about and await self._answers_others(prompt, ways):
            message = (
                f"{self.config.shown_endpoint} rejects this text (HTTP {trouble.status}), while it "
                "answers other questions. Annotate it without a suggestion."
            )
            return ModelFailure("refused", message)
        self.memory.doubt()
        return trouble.failure

    async def _answers_others(self, prompt: Prompt, ways: Ways) -> bool:
        if ways.answers_others(prompt):
            return True
        way = replace(ways.of(prompt), room=0)
        outcome = await self.endpoint.ask(request_body(PROBE, way, self.config), form=way.form)
        if isinstance(outcome, Reply):
            await self.settle(outcome, PROBE, way.form)
        return isinstance(outcome, Reply)

    def no_room(self, prompt: Prompt, way: Capabilities) -> ModelFailure:
        """What to say of a model that thinks as long as it may."""
        limit = token_limit(prompt, way, self.config)
        message = (
            f"{self.config.model} used up all {limit:,} tokens of its answer on thinking and said nothing. "
            "Set REASONING_EFFORT to low or none, switch thinking off by OPENAI_EXTRA_BODY, or raise "
            "CONTEXT_WINDOW."
        )
        return ModelFailure("truncated", message)

    async def _note(self, reply: Reply) -> None:
        await persist(
            lambda: self.ledger.settle(
                self.project_id,
                prompt_tokens=reply.prompt_tokens or 0,
                completion_tokens=reply.completion_tokens or 0,
                cached_tokens=reply.cached_tokens,
            )
        )


def _nothing_said(config: LlmConfig) -> ModelFailure:
    message = f"{config.model} at {config.shown_endpoint} answered with nothing, however often it was asked."
    return ModelFailure("malformed", message)


def _usable(reply: Reply, *, from_cache: bool) -> Found | ModelFailure:
    if reply.refused:
        return ModelFailure(
            "refused", "The model, or its provider's filter, declined to answer about this text."
        )
    return Found(reply, from_cache)
