"""One prompt's reply: from the cache, or paid for once, within the project's cap."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from allabel_core.prompting import Prompt, prompt_tokens

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
        empty, thinks, may_widen = 0, False, True
        while True:
            outcome = await self.ask(prompt, way, sample=sample, key=key)
            if isinstance(outcome, ModelFailure):
                return outcome
            if isinstance(outcome, Trouble):
                lower = after_refusal(way, outcome, prompt, self.config)
                if lower is None:
                    return await self._failed(outcome, prompt, ways)
                logger.info("asked again in another way: %s", lower)
                may_widen = may_widen and outcome.about not in ("context", "output")
                way = lower
                continue
            thinks = thinks or outcome.thought or (outcome.truncated and not outcome.text)
            if outcome.truncated and not outcome.refused:
                if may_widen and (wider := after_cut(way, outcome, prompt, self.config)):
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
        self, prompt: Prompt, way: Capabilities, *, sample: int = 0, key: str = ""
    ) -> Reply | Trouble | ModelFailure:
        """One reply, accounted for; a failure of kind ``budget`` where the cap leaves no room for it.

        ``key``: under which its question is known, so that a call under way counts also if we die.
        """
        asked, limit = prompt_tokens(prompt, form=way.form), token_limit(prompt, way, self.config)
        reservation = (
            self.ledger.reserve(self.project_id, asked, limit) if self.ledger.capped else Reservation()
        )
        if isinstance(reservation, ModelFailure):
            return reservation
        if key:
            self.ledger.begin(self.project_id, key, asked, limit)
        lost: list[None] = []
        try:
            body = request_body(prompt, way, self.config, sample=sample)
            outcome = await self.endpoint.ask(body, form=way.form, on_unanswered=lambda: lost.append(None))
            for _ in lost:
                await persist(lambda: self.ledger.lose(self.project_id, asked, limit))
            if isinstance(outcome, Reply):
                return await self.settle(outcome, prompt, way, estimate=asked)
            if outcome.usage:
                await self._note(*outcome.usage)
            return outcome
        finally:
            self.ledger.release(reservation)
            if key:
                self.ledger.end(key)

    async def settle(
        self, reply: Reply, prompt: Prompt, way: Capabilities, *, estimate: int | None = None
    ) -> Reply:
        """Into the ledger, with estimates where the server told no token counts, or none that can be."""
        asked, said = reply.prompt_tokens, reply.completion_tokens
        if (reply.empty or reply.failed) and not reply.thought and asked is None and said is None:
            return reply
        estimate = prompt_tokens(prompt, form=way.form) if estimate is None else estimate
        written = -(-len(reply.text) // _CHARACTERS_PER_TOKEN)
        counted = replace(
            reply,
            prompt_tokens=plausible(asked, estimate),
            completion_tokens=plausible(said, written, token_limit(prompt, way, self.config)),
        )
        await self._note(counted.prompt_tokens or 0, counted.completion_tokens or 0, counted.cached_tokens)
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
            await self.settle(outcome, PROBE, way)
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

    async def _note(self, asked: int, said: int, cached: int = 0) -> None:
        await persist(
            lambda: self.ledger.settle(
                self.project_id, prompt_tokens=asked, completion_tokens=said, cached_tokens=cached
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
