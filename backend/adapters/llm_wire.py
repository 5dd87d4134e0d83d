"""The OpenAI protocol in both forms: what is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from allabel_core.prompting import Form, Prompt, prompt_tokens

from .llm_config import LlmConfig

JsonMode: TypeAlias = Literal["json_schema", "json_object", "none"]
LimitName: TypeAlias = Literal["max_tokens", "max_completion_tokens"]

_BYTES_PER_TOKEN = 1024
_BYTES_AROUND = 65536


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an endpoint can do. ``limit_name``: how it calls the limit on an answer's tokens.

    ``system``: it takes a system message. ``room``: tokens left for thoughts within that limit, 0 for a
    model that does not think. ``most``: the longest answer that it allows, None while that is not known.
    """

    form: Form = "chat"
    json: JsonMode = "none"
    logprobs: bool = False
    seed: bool = False
    temperature: bool = True
    limit_name: LimitName = "max_tokens"
    system: bool = True
    room: int = 0
    most: int | None = None

    def __str__(self) -> str:
        named = [self.form, "no JSON mode" if self.json == "none" else self.json]
        named += [f"{'' if can else 'no '}{name}" for name, can in self._switches()]
        named += [] if self.system else ["no system message"]
        named += [f"room of {self.room:,} tokens for thinking"] if self.room else []
        named += [f"answers of at most {self.most:,} tokens"] if self.most else []
        return ", ".join(named)

    def _switches(self) -> tuple[tuple[str, bool], ...]:
        return ("logprobs", self.logprobs), ("seed", self.seed), ("temperature", self.temperature)


def request_body(prompt: Prompt, can: Capabilities, config: LlmConfig, *, sample: int = 0) -> dict[str, Any]:
    """The request for one answer; ``sample`` 0 is the answer, further ones measure agreement."""
    body: dict[str, Any] = {"model": config.model, can.limit_name: token_limit(prompt, can, config)}
    if can.temperature:
        body["temperature"] = config.sample_temperature if sample else config.temperature
    if can.seed and config.seed is not None:
        body["seed"] = config.seed + sample
    if can.form == "completion":
        body |= {"prompt": prompt.completion, "stop": list(prompt.stop)}
        body |= logprobs_of_chosen("completion") if can.logprobs else {}
        return body | dict(config.extra_body)
    body["messages"] = _messages(prompt, can)
    if config.reasoning_effort:
        body["reasoning_effort"] = config.reasoning_effort
    if can.logprobs:
        body |= logprobs_of_chosen("chat")
    return body | json_mode(can.json, prompt.schema) | dict(config.extra_body)


def _messages(prompt: Prompt, can: Capabilities) -> list[dict[str, str]]:
    messages = [{"role": message.role, "content": message.content} for message in prompt.messages]
    if not can.system and len(messages) > 1 and messages[0]["role"] == "system":
        first = f"{messages[0]['content']}\n\n{messages[1]['content']}"
        return [{"role": messages[1]["role"], "content": first}, *messages[2:]]
    return messages


def token_limit(prompt: Prompt, can: Capabilities, config: LlmConfig) -> int:
    """Tokens the model may write, thoughts included, and we may have to pay for."""
    answer = prompt.answer_limit(can.form)
    limit = answer
    if can.room:
        left = config.context_window - prompt_tokens(prompt, form=can.form)
        limit = max(answer, min(answer + can.room, left))
    return limit if can.most is None else min(limit, can.most)


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


def bytes_allowed(max_tokens: int) -> int:
    """The largest reply that a model which keeps to its limit can send, log-probabilities included."""
    return _BYTES_AROUND + _BYTES_PER_TOKEN * max_tokens
