"""The OpenAI protocol in both forms: what is sent, and what a reply says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from allabel_core.prompting import Form, Prompt

from .llm_config import LlmConfig
from .llm_failures import MalformedReplyError

JsonMode: TypeAlias = Literal["json_schema", "json_object", "none"]
LimitName: TypeAlias = Literal["max_tokens", "max_completion_tokens"]

# Longer words than these do not exist in any vocabulary; a server that sends more ignores our limit.
_CHARACTERS_PER_TOKEN = 16
_BYTES_PER_TOKEN = 1024
_BYTES_AROUND = 65536
# Models that insist on `max_completion_tokens` are those that think first, within that limit.
_THINKING_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an endpoint can do. ``limit_name``: how it calls the limit on an answer's tokens."""

    form: Form = "chat"
    json: JsonMode = "none"
    logprobs: bool = False
    seed: bool = False
    temperature: bool = True
    limit_name: LimitName = "max_tokens"

    def __str__(self) -> str:
        named = [self.form, "no JSON mode" if self.json == "none" else self.json]
        return ", ".join(named + [f"{'' if can else 'no '}{name}" for name, can in self._switches()])

    def _switches(self) -> tuple[tuple[str, bool], ...]:
        return ("logprobs", self.logprobs), ("seed", self.seed), ("temperature", self.temperature)


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's reply; ``cached_tokens`` are part of ``prompt_tokens``. Token counts None: not told."""

    text: str
    truncated: bool = False
    refused: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int = 0
    logprobs: tuple[tuple[str, float], ...] | None = None


def request_body(prompt: Prompt, can: Capabilities, config: LlmConfig, *, sample: int = 0) -> dict[str, Any]:
    """The request for one answer; ``sample`` 0 is the answer, further ones measure agreement."""
    body: dict[str, Any] = {"model": config.model, can.limit_name: token_limit(prompt, can)}
    if can.temperature:
        body["temperature"] = config.sample_temperature if sample else config.temperature
    if can.seed and config.seed is not None:
        body["seed"] = config.seed + sample
    if can.form == "completion":
        body |= {"prompt": prompt.completion, "stop": list(prompt.stop)}
        return body | logprobs_of_chosen("completion") if can.logprobs else body
    body["messages"] = [{"role": message.role, "content": message.content} for message in prompt.messages]
    if can.logprobs:
        body |= logprobs_of_chosen("chat")
    return body | json_mode(can.json, prompt.schema)


def token_limit(prompt: Prompt, can: Capabilities) -> int:
    """Tokens the model may write, and we may have to pay for."""
    thinking = _THINKING_TOKENS if can.limit_name == "max_completion_tokens" else 0
    return prompt.answer_limit(can.form) + thinking


def logprobs_of_chosen(form: Form) -> dict[str, Any]:
    """Asks for the log-probability of each token of the answer, and of no more others than must be.

    llama.cpp takes 0 for "none" where others take it for "the chosen token alone", and sends twenty
    a token where a chat does not say how many: 1 serves them all.
    """
    return {"logprobs": 1} if form == "completion" else {"logprobs": True, "top_logprobs": 1}


def json_mode(mode: JsonMode, schema: dict[str, Any]) -> dict[str, Any]:
    if mode == "json_schema":
        named = {"name": "answer", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    return {"response_format": {"type": "json_object"}} if mode == "json_object" else {}


def bytes_allowed(max_answer_tokens: int) -> int:
    """The largest reply that a model which keeps to its limit can send, log-probabilities included."""
    return _BYTES_AROUND + _BYTES_PER_TOKEN * max_answer_tokens


def read_reply(raw: Any, *, form: Form, max_answer_tokens: int) -> Reply:
    """The first choice of a decoded reply.

    :raises MalformedReplyError: there is none.
    """
    try:
        choice = raw["choices"][0]
        message = choice["message"] if form == "chat" else choice
        text = message.get("content" if form == "chat" else "text") or ""
        reason, refusal = choice.get("finish_reason"), message.get("refusal")
    except (LookupError, TypeError, AttributeError) as error:
        raise MalformedReplyError("its reply has no answer in it") from error
    if not isinstance(text, str):
        raise MalformedReplyError("its answer is not a text")
    most = _CHARACTERS_PER_TOKEN * max_answer_tokens
    usage = raw.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Reply(
        text=text[:most],
        truncated=reason == "length" or len(text) > most,
        refused=bool(refusal) or reason == "content_filter",
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=_cached(usage),
        logprobs=_logprobs(choice.get("logprobs")),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _cached(usage: dict[str, Any]) -> int:
    """OpenAI and vLLM put it into details, DeepSeek beside the others."""
    details = usage.get("prompt_tokens_details")
    nested = details.get("cached_tokens") if isinstance(details, dict) else None
    return _count(nested) or _count(usage.get("prompt_cache_hit_tokens")) or 0


def _logprobs(raw: Any) -> tuple[tuple[str, float], ...] | None:
    """Two shapes: a list of objects (chat; llama.cpp always), or parallel lists (completion)."""
    if not isinstance(raw, dict):
        return None
    try:
        if raw.get("content"):
            pairs = tuple((item["token"], float(item["logprob"])) for item in raw["content"])
        else:
            pairs = tuple(zip(raw["tokens"], map(float, raw["token_logprobs"]), strict=True))
    except (LookupError, TypeError, ValueError):
        return None
    usable = all(isinstance(token, str) and not math.isnan(value) for token, value in pairs)
    return pairs if pairs and usable else None
