"""The OpenAI protocol in both forms: what a reply says, in whichever shape a provider says it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from allabel_core.prompting import Form
from allabel_core.thoughts import without_thoughts

from .llm_failures import ErrorInsideError, MalformedReplyError

# Longer words than these do not exist in any vocabulary; a server that sends more ignores our limit.
_CHARACTERS_PER_TOKEN = 16
_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
_DECLINED = frozenset(
    {
        "content_filter", "content_filtered", "refusal", "safety", "recitation", "prohibited_content",
        "blocklist", "spii", "sensitive", "guardrail_intervened", "blocked", "content_policy",
    }
)  # fmt: skip
_FAILED = frozenset(
    {"error", "failed", "abort", "aborted", "cancelled", "insufficient_system_resource", "network_error"}
)
_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "thoughts", "reasoning_details")
_THINKING_PARTS = ("thinking", "reasoning", "redacted_thinking", "thought")


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's reply; ``cached_tokens`` are part of ``prompt_tokens``. Token counts None: not told.

    ``truncated``: it ran into its limit. ``thought``: part of it was thoughts, which ``text`` has none of.
    ``failed``: the provider says itself that it broke off.
    """

    text: str
    truncated: bool = False
    refused: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int = 0
    logprobs: tuple[tuple[str, float], ...] | None = None
    thought: bool = False
    failed: bool = False

    @property
    def empty(self) -> bool:
        return not self.text.strip()


def read_reply(raw: Any, *, form: Form, max_answer_tokens: int) -> Reply:
    """The first choice of a decoded reply.

    :raises ErrorInsideError: it is an error in spite of its status.
    :raises MalformedReplyError: there is no choice in it.
    """
    if isinstance(raw, list) and raw:
        raw = raw[0]
    usage = raw.get("usage") if isinstance(raw, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    try:
        choice = raw["choices"][0]
        message = choice["message"] if form == "chat" else choice
        content = message.get("content" if form == "chat" else "text")
        reason = str(choice.get("finish_reason") or "").casefold()
    except (LookupError, TypeError, AttributeError) as error:
        if isinstance(raw, dict) and _is_error(raw):
            raise ErrorInsideError(raw) from error
        raise MalformedReplyError("its reply has no answer in it", _paid(usage)) from error
    said = _text(content) or _arguments(message)
    spoken = without_thoughts(said)
    text = said if spoken is said else spoken.strip()
    if not text and _is_error(choice | raw):
        raise ErrorInsideError({"error": choice.get("error") or raw.get("error")})
    most = _CHARACTERS_PER_TOKEN * max_answer_tokens
    return Reply(
        text=text[:most],
        truncated=reason in _CUT or len(text) > most,
        refused=bool(_refusal(message, content)) or reason in _DECLINED,
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=_cached(usage),
        logprobs=_logprobs(choice.get("logprobs")),
        thought=spoken is not said or _has_thoughts(message, content, usage),
        failed=reason in _FAILED,
    )


def _is_error(raw: Mapping[str, Any]) -> bool:
    return bool(raw.get("error")) or raw.get("object") == "error" or raw.get("type") == "error"


def _text(content: Any) -> str:
    """A content's text: as it is, or of its parts those that are no thoughts."""
    if isinstance(content, str):
        return content
    return "".join(_texts(content)) if isinstance(content, list | dict) else ""


def _texts(content: Any) -> Iterator[str]:
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict) and part.get("type", "text") not in (*_THINKING_PARTS, "refusal"):
            text = part.get("text") or part.get("content") or part.get("json")
            if isinstance(text, str):
                yield text
            elif isinstance(text, dict) and isinstance(text.get("value"), str):
                yield text["value"]
            elif isinstance(text, dict | list):
                yield json.dumps(text, ensure_ascii=False)


def _arguments(message: Mapping[str, Any]) -> str:
    """An answer put into the call of a tool that nobody offered, or into ``parsed``."""
    calls = message.get("tool_calls")
    call = calls[0] if isinstance(calls, list) and calls else {"function": message.get("function_call")}
    function = call.get("function") if isinstance(call, dict) else None
    found = function.get("arguments") if isinstance(function, dict) else message.get("parsed")
    if isinstance(found, dict | list):
        return json.dumps(found, ensure_ascii=False)
    return found if isinstance(found, str) else ""


def _refusal(message: Mapping[str, Any], content: Any) -> object:
    parts = content if isinstance(content, list) else []
    refused = any(isinstance(part, dict) and part.get("type") == "refusal" for part in parts)
    return refused or message.get("refusal")


def _has_thoughts(message: Mapping[str, Any], content: Any, usage: Mapping[str, Any]) -> bool:
    if any(message.get(name) for name in _THOUGHTS):
        return True
    parts = content if isinstance(content, list) else []
    if any(isinstance(part, dict) and part.get("type") in _THINKING_PARTS for part in parts):
        return True
    details = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
    counted = [holder.get(name) for holder in (usage, details) if isinstance(holder, dict)
               for name in ("reasoning_tokens", "thoughts_tokens", "thinking_tokens")]  # fmt: skip
    return any(map(_count, counted)) or _untold(usage)


def _untold(usage: Mapping[str, Any]) -> bool:
    """Gemini counts its thoughts in the total alone."""
    asked, said, total = (_count(usage.get(f"{part}_tokens")) for part in ("prompt", "completion", "total"))
    return asked is not None and total is not None and total > asked + (said or 0)


def _paid(usage: Mapping[str, Any]) -> tuple[int, int] | None:
    asked, said = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    return (asked or 0, said or 0) if asked or said else None


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _cached(usage: Mapping[str, Any]) -> int:
    """OpenAI and vLLM put it into details, DeepSeek and Moonshot beside the others."""
    details = usage.get("prompt_tokens_details")
    nested = details.get("cached_tokens") if isinstance(details, dict) else None
    beside = (
        usage.get(name) for name in ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
    )
    return next(filter(None, map(_count, (nested, *beside))), 0)


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
