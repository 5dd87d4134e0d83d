"""One prompt's reply: from the cache, or paid for once, within the project's cap."""

from __future__ import annotations

from dataclasses import dataclass, replace

from allabel_core.prompting import Form, Prompt, prompt_tokens

from ..ports import ModelFailure
from .llm_cache import ReplyCache, persist, reply_key
from .llm_capabilities import Memory
from .llm_config import LlmConfig
from .llm_endpoint import Endpoint
from .llm_failures import Trouble
from .llm_lease import Leases
from .llm_ledger import Ledger, Reservation
from .llm_wire import Capabilities, Reply, request_body, token_limit

# Where a server counts no tokens: characters of an answer per token, on the low side.
_CHARACTERS_PER_TOKEN = 3
_REJECTED_PARAMETERS = (400, 422)


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

    async def get(self, prompt: Prompt, can: Capabilities, *, sample: int = 0) -> Found | ModelFailure:
        """A reply nobody pays for twice: while one worker asks, others wait for its reply."""
        body = request_body(prompt, can, self.config, sample=sample)
        key = reply_key(self.config, body, sample=sample)
        lease = f"lease:{key}"
        known = await self.leases.found_or_taken(lease, lambda: self.cache.get(key))
        if known is not None:
            return _usable(known, from_cache=True)
        try:
            return await self._buy(prompt, can, body, key)
        finally:
            self.leases.end(lease)

    async def _buy(
        self, prompt: Prompt, can: Capabilities, body: dict[str, object], key: str
    ) -> Found | ModelFailure:
        form = can.form
        reservation = self._reserve(prompt, can)
        if isinstance(reservation, ModelFailure):
            return reservation
        try:
            outcome = await self.endpoint.ask(body, form=form, max_answer_tokens=prompt.max_answer_tokens)
            if isinstance(outcome, Trouble):
                return await self._failed(outcome, prompt, form)
            reply = await self.settle(outcome, prompt, form)
            await persist(lambda: self.cache.put(key, reply))
            return _usable(reply, from_cache=False)
        finally:
            self.ledger.release(reservation)

    def _reserve(self, prompt: Prompt, can: Capabilities) -> Reservation | ModelFailure:
        if not self.ledger.capped:
            return Reservation()
        asked = prompt_tokens(prompt, form=can.form)
        return self.ledger.reserve(self.project_id, asked, token_limit(prompt, can))

    async def settle(self, reply: Reply, prompt: Prompt, form: Form) -> Reply:
        """Into the ledger, with estimates where the server told no token counts."""
        asked, said = reply.prompt_tokens, reply.completion_tokens
        counted = replace(
            reply,
            prompt_tokens=prompt_tokens(prompt, form=form) if asked is None else asked,
            completion_tokens=-(-len(reply.text) // _CHARACTERS_PER_TOKEN) if said is None else said,
        )
        await self._note(counted)
        return counted

    async def _failed(self, trouble: Trouble, prompt: Prompt, form: Form) -> ModelFailure:
        if trouble.failure.kind == "malformed":
            # Paid for all the same, presumably to the limit.
            asked = prompt_tokens(prompt, form=form)
            await self._note(Reply("", prompt_tokens=asked, completion_tokens=prompt.answer_limit(form)))
        elif trouble.failure.kind == "rejected" and trouble.status in _REJECTED_PARAMETERS:
            self.memory.doubt()
        return trouble.failure

    async def _note(self, reply: Reply) -> None:
        await persist(
            lambda: self.ledger.settle(
                self.project_id,
                prompt_tokens=reply.prompt_tokens or 0,
                completion_tokens=reply.completion_tokens or 0,
                cached_tokens=reply.cached_tokens,
            )
        )


def _usable(reply: Reply, *, from_cache: bool) -> Found | ModelFailure:
    if reply.refused:
        return ModelFailure(
            "refused", "The model, or its provider's filter, declined to answer about this text."
        )
    return Found(reply, from_cache)
