"""The language model of the use cases: cached, accounted for, one failure spoiling no other."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, TypeVar

from allabel_core.prompting import Form, Prompt

from ..errors import LanguageModelError
from ..ports import Answer, ModelFailure, Spending
from .llm_breaker import Breaker
from .llm_cache import ReplyCache
from .llm_config import LlmConfig
from .llm_endpoint import Endpoint, open_client
from .llm_failures import Trouble
from .llm_lease import Leases
from .llm_ledger import Ledger
from .llm_memory import Memory
from .llm_probe import PROBE, Probe
from .llm_replies import Found, Replies
from .llm_reply import Reply
from .llm_store import KeyValue, MemoryKeyValue
from .llm_ways import Ways
from .llm_wire import Capabilities

logger = logging.getLogger(__name__)
T = TypeVar("T")

# Questions asked outside any project, by `check` and `form`, are accounted for here.
NO_PROJECT = 0


class OpenAiModel:
    """Fulfils ``ports.LanguageModel``. Raises ``redis.exceptions.RedisError`` where the store fails.

    Not to be called from a running event loop: each call runs one of its own.
    """

    def __init__(self, config: LlmConfig, store: KeyValue) -> None:
        self.model = config.model
        self.context_window = config.context_window
        thinks = [config.reasoning_effort, dict(config.extra_body)]
        self.variant = json.dumps(thinks, sort_keys=True) if any(thinks) else ""
        self._config = config
        self._store = store
        self._memory = Memory(store, config)
        self._cache = ReplyCache(store, seconds=config.cache_seconds)
        self._ledger = Ledger(store, config)

    def answer(
        self,
        prompts: Sequence[Prompt],
        *,
        project_id: int,
        samples: int = 1,
        on_answer: Callable[[int, Answer | ModelFailure], None] | None = None,
    ) -> list[Answer | ModelFailure]:
        """One outcome per prompt, in order; calls run side by side; one failure spoils no other."""
        outcomes: dict[int, Answer | ModelFailure] = {}

        def done(index: int, outcome: Answer | ModelFailure) -> None:
            outcomes[index] = outcome
            if on_answer is not None:
                on_answer(index, outcome)

        async def run(replies: Replies) -> None:
            await self._answer_all(replies, prompts, samples, done)

        if prompts:
            asyncio.run(self._with_replies(project_id, run))
        _log_batch(project_id, outcomes)
        return [outcomes[index] for index in range(len(prompts))]

    def form(self) -> Form:
        """The form of prompt it is asked in; raises ``LanguageModelError`` where it cannot be told."""
        if self._config.api_style != "auto":
            return self._config.api_style
        found = self._memory.recall() or asyncio.run(self._with_replies(NO_PROJECT, self._capabilities))
        if isinstance(found, ModelFailure):
            raise LanguageModelError(found.message)
        return found.form

    def longest_answer(self) -> int | None:
        """The most tokens of an answer that it allows; None while no refusal has told."""
        known = self._memory.recall()
        return known.most if known else None

    def spending(self, project_id: int) -> Spending:
        """What the project's calls came to so far."""
        return self._ledger.spending(project_id)

    def recall_spending(self, project_id: int, noted: Spending) -> None:
        """It was at least this: what was written down elsewhere before the store was lost."""
        self._ledger.recall(project_id, noted)

    def price(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """What so many tokens cost by the price table, None without one."""
        prices = self._config.prices
        return prices.cost(prompt_tokens, completion_tokens) if prices else None

    def check(self) -> str:
        """One line on what the endpoint is and can do; raises ``LanguageModelError`` if it fails.

        Asks for real, once, whatever the breaker says: a person wants to know how things are.
        """
        config = replace(self._config, max_retries=0)
        breaker = self._breaker(MemoryKeyValue())
        found = asyncio.run(self._with_replies(NO_PROJECT, self._confirmed, config=config, breaker=breaker))
        if isinstance(found, ModelFailure):
            raise LanguageModelError(found.message)
        return f"{self.model} at {self._config.shown_endpoint}: {found}"

    async def _with_replies(
        self,
        project_id: int,
        run: Callable[[Replies], Coroutine[Any, Any, T]],
        *,
        config: LlmConfig | None = None,
        breaker: Breaker | None = None,
    ) -> T:
        config = config or self._config
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(open_client(config))
            leases = await stack.enter_async_context(Leases(self._store))
            endpoint = Endpoint(client, config, breaker or self._breaker(self._store))
            parts = (config, endpoint, leases, self._cache, self._ledger, self._memory, project_id)
            return await run(Replies(*parts))

    def _breaker(self, store: KeyValue) -> Breaker:
        return Breaker(
            store,
            self._memory.name,
            threshold=self._config.breaker_failures,
            seconds=self._config.breaker_seconds,
            trial_seconds=2 * self._config.timeout_seconds + self._config.longest_wait_seconds,
        )

    async def _capabilities(self, replies: Replies) -> Capabilities | ModelFailure:
        """Remembered, found out by another worker just now, or found out here."""
        lease = f"lease:capabilities:{self._memory.name}"
        known = await replies.leases.found_or_taken(lease, self._memory.recall)
        if known is not None:
            return known
        try:
            return await self._probe(replies)
        finally:
            replies.leases.end(lease)

    async def _probe(self, replies: Replies) -> Capabilities | ModelFailure:
        probe = Probe(replies.endpoint, self._config)
        found = await probe.run()
        for reply in probe.replies:
            await replies.settle(reply, PROBE, Capabilities())
        if isinstance(found, Capabilities):
            self._memory.remember(found, doubtful=probe.doubtful)
            logger.info("probed the endpoint: %s", found)
        return found

    async def _confirmed(self, replies: Replies) -> Capabilities | ModelFailure:
        """What the endpoint can do, once it has answered a whole question just now."""
        known = self._memory.recall()
        if known is None:
            found = await self._probe(replies)
            # Of a model that thinks, the few tokens of the probe have shown no answer yet.
            if isinstance(found, ModelFailure) or not found.room:
                return found
            known = found
        outcome = await replies.ask(PROBE, known)
        if isinstance(outcome, Reply):
            return (
                replies.no_room(PROBE, known) if outcome.empty and outcome.truncated and known.room else known
            )
        return outcome.failure if isinstance(outcome, Trouble) else outcome

    async def _answer_all(
        self,
        replies: Replies,
        prompts: Sequence[Prompt],
        samples: int,
        done: Callable[[int, Answer | ModelFailure], None],
    ) -> None:
        can = await self._capabilities(replies)
        ways = can if isinstance(can, ModelFailure) else Ways(self._memory, can)
        # Workers that share one iterator: what is under way does not grow with the batch.
        waiting = iter(range(len(prompts)))

        async def work() -> None:
            for index in waiting:
                outcome = (
                    ways
                    if isinstance(ways, ModelFailure)
                    else await _asked(replies, prompts[index], ways, samples)
                )
                done(index, outcome)

        workers = [asyncio.create_task(work()) for _ in range(min(self._config.concurrency, len(prompts)))]
        try:
            await asyncio.gather(*workers)
        finally:
            # Where one broke off (a store that fails), none outlives the client it uses.
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)


async def _asked(replies: Replies, prompt: Prompt, ways: Ways, samples: int) -> Answer | ModelFailure:
    first = await replies.get(prompt, ways)
    if isinstance(first, ModelFailure):
        return first
    found = [first]
    for sample in range(1, samples):
        # A sample that fails leaves fewer to compare; the answer itself is there.
        if isinstance(more := await replies.get(prompt, ways, sample=sample), Found):
            found.append(more)
    return Answer(
        text=first.reply.text,
        form=ways.of(prompt).form,
        prompt_tokens=sum(one.reply.prompt_tokens or 0 for one in found),
        completion_tokens=sum(one.reply.completion_tokens or 0 for one in found),
        cached_tokens=sum(one.reply.cached_tokens for one in found),
        from_cache=all(one.from_cache for one in found),
        truncated=first.reply.truncated,
        logprobs=first.reply.logprobs,
        alternatives=tuple(one.reply.text for one in found[1:]),
    )


def _log_batch(project_id: int, outcomes: dict[int, Answer | ModelFailure]) -> None:
    failures = Counter(outcome.kind for outcome in outcomes.values() if isinstance(outcome, ModelFailure))
    cached = sum(isinstance(outcome, Answer) and outcome.from_cache for outcome in outcomes.values())
    logger.info(
        "project %d: %d prompts, %d from the cache, failures %s",
        project_id,
        len(outcomes),
        cached,
        dict(failures),
    )
