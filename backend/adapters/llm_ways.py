"""How an endpoint is asked by now: what the probe found, and what it has taught since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain

from allabel_core.prompting import Prompt

from .llm_config import LlmConfig
from .llm_failures import Trouble
from .llm_memory import Memory
from .llm_reply import Reply
from .llm_wire import Capabilities, token_limit

ROOMS = (4096, 16384)
"""Tokens left for thoughts: at first, and where these were not enough."""

UNSUPPORTED = (400, 404, 405, 415, 422, 501)
"""Statuses by which a server says that it does not know an endpoint or a parameter."""

_SHORTEST_LIMIT = 64


class Ways:
    """One batch's knowledge of how to ask; what is worth it is remembered for all."""

    def __init__(self, memory: Memory, can: Capabilities) -> None:
        self._memory = memory
        self._can = can
        self._by_schema: dict[str, Capabilities] = {}
        self._answered: set[str] = set()

    def of(self, prompt: Prompt) -> Capabilities:
        """The way to ask this prompt: as all are asked, but for what was refused of its schema."""
        schema = json.dumps(prompt.schema)
        if (way := self._by_schema.get(schema)) is None:
            way = self._by_schema[schema] = self._memory.recall_way(_name(schema)) or self._can
        if (way.room, way.most) == (self._can.room, self._can.most):
            return way
        return replace(way, room=self._can.room, most=self._can.most)

    def answered(self, prompt: Prompt, way: Capabilities, *, thinks: bool) -> None:
        """A question like this one was answered when asked in this way."""
        room = max(way.room, ROOMS[0]) if thinks else self._can.room
        if (room, way.most) != (self._can.room, self._can.most):
            self._can = replace(self._can, room=room, most=way.most)
            self._memory.remember(self._can, doubtful=False)
        schema = json.dumps(prompt.schema)
        if (way := replace(way, room=room)) != self.of(prompt):
            self._by_schema[schema] = way
            self._memory.remember_way(_name(schema), way)
        if schema not in self._answered:
            self._answered.add(schema)
            self._memory.note_answered(_name(schema))

    def answers_others(self, prompt: Prompt) -> bool:
        """Whether questions with the same schema were answered lately."""
        return self._memory.answered_lately(_name(json.dumps(prompt.schema)))


def _name(schema: str) -> str:
    return hashlib.sha256(schema.encode()).hexdigest()[:32]


def after_refusal(
    way: Capabilities, trouble: Trouble, prompt: Prompt, config: LlmConfig
) -> Capabilities | None:
    """The next way to ask a prompt that was refused so; None where there is none, or it would not help."""
    if trouble.failure.kind not in ("rejected", "too_long") or trouble.about == "setup":
        return None
    if trouble.about in ("output", "context"):
        return _shorter(way, trouble, prompt, config)
    if trouble.about:
        return next(_without(way, trouble.about), None)
    if trouble.status not in (400, 422):
        return None
    # Not told what is wrong: one thing less at a time, the likeliest first.
    ladder = chain.from_iterable(_without(way, part) for part in ("schema", "system", "logprobs", "seed"))
    return next(ladder, None)


def _without(way: Capabilities, part: str) -> Iterator[Capabilities]:
    """The way without one part, if it has that part."""
    lower: dict[str, tuple[bool, Callable[[], Capabilities]]] = {
        "schema": (
            way.json != "none",
            lambda: replace(way, json="json_object" if way.json == "json_schema" else "none"),
        ),
        "system": (way.system and way.form == "chat", lambda: replace(way, system=False)),
        "logprobs": (way.logprobs, lambda: replace(way, logprobs=False)),
        "seed": (way.seed, lambda: replace(way, seed=False)),
        "temperature": (way.temperature, lambda: replace(way, temperature=False)),
        "limit_name": (
            way.limit_name == "max_tokens",
            lambda: replace(way, limit_name="max_completion_tokens", room=max(way.room, ROOMS[0])),
        ),
    }
    has, without = lower[part]
    if has:
        yield without()


def _shorter(way: Capabilities, trouble: Trouble, prompt: Prompt, config: LlmConfig) -> Capabilities | None:
    """A smaller limit: for an answer the one that the refusal names, for a small context no room."""
    limit = token_limit(prompt, way, config)
    if trouble.about == "context":
        return replace(way, room=0) if limit > prompt.answer_limit(way.form) else None
    allowed = [number for number in trouble.numbers if _SHORTEST_LIMIT <= number < limit]
    if not allowed and limit in trouble.numbers:
        # "to 8193 (exclusive)"
        allowed = [limit - 1]
    return replace(way, most=max(allowed)) if allowed else None


def after_cut(way: Capabilities, reply: Reply, prompt: Prompt, config: LlmConfig) -> Capabilities | None:
    """The way to ask again with more room, where an answer was cut; None where there is none to give.

    A plain completion holds no thoughts, and one that does not come to its end is not worth more of it.
    """
    if way.form == "completion":
        return None
    needed = ROOMS if reply.thought or reply.empty else (prompt.answer_limit(way.form),)
    limit = token_limit(prompt, way, config)
    for room in needed:
        wider = replace(way, room=room)
        if room > way.room and token_limit(prompt, wider, config) > limit:
            return wider
    return None
