"""How single providers answer, each with its peculiarities: for ``ScriptedLlm.react``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from scripted_llm import Reaction, Request, error, reply

React = Callable[[Request], Reaction]
WORDS = {"iron": "Metal", "steel": "Metal", "argon": "Gas", "nitrogen": "Gas"}
THOUGHT = "Let me see. "


def answer_of(request: Request) -> str:
    """The entities of the text asked about; the probe has none."""
    said = str(request.body["messages"][-1]["content"])
    asked = re.search(r"<text>\n(.*)\n</text>", said, re.DOTALL)
    if asked is None:
        return '{"probe": true, "entities": []}'
    found = [word for word in re.findall(r"\w+", asked[1]) if word in WORDS]
    return json.dumps({"entities": [{"text": word, "label": WORDS[word]} for word in found]})


def is_probe(request: Request) -> bool:
    return "<text>" not in str(request.body["messages"][-1]["content"])


def limit_of(request: Request) -> int:
    return int(request.body.get("max_tokens") or request.body["max_completion_tokens"])


def json_mode_of(request: Request) -> str:
    return str(request.body.get("response_format", {}).get("type", "text"))


def thinking(tokens: int, put: Callable[[str, str], dict[str, Any]], before: React | None = None) -> React:
    """Thinks so many tokens within its limit; ``put`` makes the reply's message of thought and answer.

    ``before``: what it refuses, by a status other than 200.
    """

    def react(request: Request) -> Reaction:
        if before and (refusal := before(request)).status != 200:
            return refusal
        limit, answer = limit_of(request), answer_of(request)
        room = limit - (tokens if not is_probe(request) else tokens // 4)
        thought = THOUGHT * (min(limit, tokens) // 3)
        said = answer if room * 4 >= len(answer) else answer[: max(0, room) * 4]
        message = put(thought, said)
        usage = message.pop("usage", None) or {
            "prompt_tokens": 200,
            "completion_tokens": min(limit, tokens + 20),
        }
        return reply("", finish="stop" if said == answer else "length", message=message, usage=usage)

    return react


def takes(refusals: dict[str, Reaction]) -> React:
    """Refuses requests that hold a named field, or ``json_schema``, ``json_object`` or ``system``."""

    def react(request: Request) -> Reaction:
        held = {*request.body, json_mode_of(request)}
        held |= {"system"} if request.body["messages"][0]["role"] == "system" else set()
        return next(
            (reaction for name, reaction in refusals.items() if name in held), reply(answer_of(request))
        )

    return react


def google(status: int, message: str) -> Reaction:
    said = [{"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}]
    return Reaction(status, json.dumps(said).encode())


def pydantic(name: str) -> Reaction:
    """FastAPI's way, as Mistral and others have it."""
    said = {
        "detail": [
            {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
        ]
    }
    return Reaction(422, json.dumps(said).encode())


def plain(status: int, message: str) -> Reaction:
    """vLLM's way."""
    said = {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": status}
    return Reaction(status, json.dumps(said).encode())


def parts(thought: str, said: str) -> dict[str, Any]:
    thinking_part = {"type": "thinking", "thinking": [{"type": "text", "text": thought}]}
    return {"content": [thinking_part, {"type": "text", "text": said}] if said else [thinking_part]}


def counted(thought: str, said: str) -> dict[str, Any]:
    """Gemini says nothing of its thoughts but in the total."""
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110 + len(thought)}
    return {"content": said or None, "usage": usage}


def called(request: Request) -> Reaction:
    call = {"id": "1", "type": "function", "function": {"name": "json", "arguments": answer_of(request)}}
    return reply("", finish="tool_calls", message={"content": None, "tool_calls": [call]})


def white_space_for_json(request: Request) -> Reaction:
    """Endless white space is what some models make of a demand for JSON."""
    if is_probe(request) or json_mode_of(request) == "text":
        return reply(answer_of(request))
    return reply("\n" * 400, finish="length")


PROVIDERS: dict[str, React] = {
    "OpenAI, a model that reasons": takes(
        {
            "max_tokens": error(
                400,
                "unsupported_parameter",
                "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
            ),
            "temperature": error(
                400, "unsupported_value", "Unsupported value: 'temperature' does not support 0.0"
            ),
            "logprobs": error(403, "", "You are not allowed to request logprobs from this model"),
        }
    ),
    "DeepSeek, thinking": thinking(
        700,
        lambda thought, said: {"content": said, "reasoning_content": thought},
        takes(
            {
                "json_schema": error(
                    400, "invalid_request_error", "This response_format type is unavailable now"
                )
            }
        ),
    ),
    "Ollama, thinking": thinking(700, lambda thought, said: {"content": said, "reasoning": thought}),
    "Ollama, thinking very long": thinking(
        6000, lambda thought, said: {"content": said, "reasoning": thought}
    ),
    "Gemini, thinking": thinking(
        900,
        counted,
        takes(
            {
                "seed": google(400, 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'),
                "logprobs": google(400, 'Unknown name "logprobs": Cannot find field.'),
            }
        ),
    ),
    "Mistral, magistral": thinking(
        800, parts, takes({"seed": pydantic("seed"), "logprobs": pydantic("logprobs")})
    ),
    "vLLM, thoughts inline": thinking(
        600,
        lambda thought, said: {"content": f"<think>{thought}</think>{said}" if said else f"<think>{thought}"},
    ),
    "a gateway that hides thoughts": thinking(600, lambda _, said: {"content": said or None}),
    "a gateway that calls a tool": called,
    "Gemma's chat template": takes({"system": plain(400, "System role not supported")}),
    "Gemma's chat template under llama.cpp": takes(
        {
            "system": error(
                500, "server_error", "Jinja Exception: Conversation roles must alternate user/assistant/..."
            )
        }
    ),
    "Google, Gemma": takes(
        {
            "system": google(400, "Developer instruction is not enabled for models/gemma-3-27b-it"),
            "json_schema": google(400, "JSON mode is not enabled for models/gemma-3-27b-it"),
            "json_object": google(400, "JSON mode is not enabled for models/gemma-3-27b-it"),
        }
    ),
    "LM Studio": takes(
        {"json_object": error(400, "", "'response_format.type' must be 'json_schema' or 'text'")}
    ),
    "endless white space": white_space_for_json,
    "refuses system and schema without a reason": takes(
        {"system": plain(400, "no"), "json_schema": plain(400, "no")}
    ),
}
