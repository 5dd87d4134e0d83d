"""Each provider's peculiarities: every text is answered, and what was learnt is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from allabel_core.prompting import LabelSet, Prompt, build_prompt, parse_answer
from allabel_core.types import Document, Span
from backend.adapters.llm import OpenAiModel
from backend.adapters.llm_config import LlmConfig, Prices
from backend.adapters.llm_store import MemoryKeyValue
from backend.errors import LanguageModelError
from backend.ports import Answer, ModelFailure
from scripted_llm import Reaction, Request, ScriptedLlm, error, reply
from scripted_providers import PROVIDERS, answer_of, is_probe, json_mode_of, limit_of, takes, thinking

pytestmark = pytest.mark.slow

LABELS = LabelSet(("Metal", "Gas"))
SHOWN = Document("steel under nitrogen", (Span(0, 5, "Metal"), Span(12, 20, "Gas")))
TEXTS = [f"iron was heated under argon for {hours} h" for hours in range(1, 7)]


def prompts(texts: list[str] = TEXTS, labels: LabelSet = LABELS) -> list[Prompt]:
    return [build_prompt(labels, [SHOWN], text) for text in texts]


def model_of(server: ScriptedLlm, store: MemoryKeyValue, **settings: Any) -> OpenAiModel:
    defaults = {"model": "m", "base_url": server.url, "timeout_seconds": 10.0, "max_retries": 2, "seed": 1}
    return OpenAiModel(LlmConfig(**(defaults | settings)), store)


def said(outcomes: list[Answer | ModelFailure]) -> list[Any]:
    return [
        [(m.text, m.label) for m in parse_answer(outcome.text, LABELS, form="chat").mentions]
        if isinstance(outcome, Answer)
        else outcome
        for outcome in outcomes
    ]


IRON_ARGON = [("iron", "Metal"), ("argon", "Gas")]


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_text_is_answered_and_the_way_is_remembered(name: str) -> None:
    store = MemoryKeyValue()
    with ScriptedLlm() as server:
        server.react = PROVIDERS[name]
        assert model_of(server, store).check()
        assert said(model_of(server, store).answer(prompts(), project_id=1)) == [IRON_ARGON] * len(TEXTS)
        server.requests.clear()
        # Another process knows how to ask by now.
        others = [text.replace("heated", "cooled") for text in TEXTS]
        assert said(model_of(server, store).answer(prompts(others), project_id=1)) == [IRON_ARGON] * len(
            TEXTS
        )
        assert len(server.requests) == len(TEXTS)


def test_a_model_that_never_comes_to_an_end_is_named_with_the_remedy() -> None:
    store = MemoryKeyValue()
    with ScriptedLlm() as server:
        server.react = thinking(10**6, lambda thought, said: {"content": said, "reasoning_content": thought})
        model = model_of(server, store, context_window=64000)
        with pytest.raises(LanguageModelError, match="REASONING_EFFORT"):
            model.check()
        [outcome] = model.answer(prompts()[:1], project_id=1)
        assert isinstance(outcome, ModelFailure)
        assert outcome.kind == "truncated"
        assert "OPENAI_EXTRA_BODY" in outcome.message
        # Asked with more room each time, and no answer of these is kept.
        assert [limit_of(r) for r in server.requests if not is_probe(r)] == sorted(
            {limit_of(r) for r in server.requests if not is_probe(r)}
        )
        assert model.spending(1).calls == sum(not is_probe(r) for r in server.requests)


def test_what_is_said_of_thinking_is_sent() -> None:
    with ScriptedLlm() as server:
        server.react = lambda request: reply(answer_of(request))
        extra = {"chat_template_kwargs": {"enable_thinking": False}, "top_p": 1}
        model_of(server, MemoryKeyValue(), reasoning_effort="low", extra_body=extra).answer(
            prompts()[:1], project_id=1
        )
        body = server.requests[-1].body
        assert (body["reasoning_effort"], body["top_p"]) == ("low", 1)
        assert body["chat_template_kwargs"] == {"enable_thinking": False}


def test_the_probe_asks_what_a_real_question_asks() -> None:
    with ScriptedLlm() as server:
        server.react = lambda request: reply(answer_of(request))
        model_of(server, MemoryKeyValue()).check()
        first = server.requests[0].body["messages"]
        assert [message["role"] for message in first] == ["system", "user", "assistant", "user"]
        [schema] = [
            r.body["response_format"]["json_schema"]["schema"]
            for r in server.requests
            if json_mode_of(r) == "json_schema"
        ]
        assert schema["properties"]["entities"]["items"]["properties"]["label"]["enum"]


def test_a_schema_that_is_too_large_concerns_its_project_alone() -> None:
    many = LabelSet(tuple(f"L{n}" for n in range(600)))

    def react(request: Request) -> Reaction:
        if json.dumps(request.body.get("response_format", {})).count('"L') > 500:
            return error(
                400, "invalid_request_error", "Invalid schema for response_format: too many enum values"
            )
        return reply(answer_of(request))

    store = MemoryKeyValue()
    with ScriptedLlm() as server:
        server.react = react
        model = model_of(server, store, context_window=64000, concurrency=1)
        assert all(isinstance(a, Answer) for a in model.answer(prompts(labels=many), project_id=1))
        modes = [json_mode_of(r) for r in server.requests if not is_probe(r)]
        assert modes == ["json_schema", *["json_object"] * len(TEXTS)]
        server.requests.clear()
        model.answer(prompts(), project_id=2)
        assert {json_mode_of(r) for r in server.requests} == {"json_schema"}


def refuses(flagged: str, refusal: Reaction) -> Any:
    return lambda request: refusal if flagged in json.dumps(request.body) else reply(answer_of(request))


@pytest.mark.parametrize(
    "refusal", [error(400, "", "no"), error(422, "", "Unprocessable"), error(400, "", "Content Exists Risk")]
)
def test_one_declined_text_is_that_texts_matter(refusal: Reaction) -> None:
    with ScriptedLlm() as server:
        server.react = refuses("for 3 h", refusal)
        outcomes = said(model_of(server, MemoryKeyValue()).answer(prompts(), project_id=1))
        [declined] = [outcome for outcome in outcomes if isinstance(outcome, ModelFailure)]
        assert declined.kind == "refused"
        assert "Check" not in declined.message
        assert outcomes.count(IRON_ARGON) == len(TEXTS) - 1


def test_the_very_first_text_may_be_the_declined_one() -> None:
    with ScriptedLlm() as server:
        server.react = refuses("for 1 h", error(400, "", "no"))
        [declined] = model_of(server, MemoryKeyValue()).answer(prompts()[:1], project_id=1)
        assert isinstance(declined, ModelFailure)
        assert declined.kind == "refused"


def test_where_nothing_is_answered_the_settings_are_to_be_checked() -> None:
    store = MemoryKeyValue()
    with ScriptedLlm() as server:
        server.react = lambda request: reply(answer_of(request))
        model_of(server, store).check()
        server.react = lambda request: error(400, "", "no")
        [failed] = model_of(server, store).answer(prompts()[:1], project_id=1)
        assert isinstance(failed, ModelFailure)
        assert failed.kind == "rejected"
        assert "OPENAI_MODEL" in failed.message


OVERLOADED = {"error": {"message": "Rate limit exceeded", "code": 429}}
PASSING = {
    "empty": reply(""),
    "empty and cut": reply("", finish="length"),
    "white space": reply("\n\n\n   "),
    "endless white space": Reaction(body=b" " * 400_000),
    "broken off": reply('{"entities": [{"text": "ir', finish="error"),
    "an error of HTTP 200": Reaction(body=json.dumps(OVERLOADED).encode()),
    "an error of HTTP 200, of the provider": Reaction(
        body=b'{"error": {"message": "Provider returned error"}}'
    ),
    "an error in words": Reaction(body=b'{"error": "upstream connect error"}'),
    "an error in a choice": Reaction(
        body=b'{"choices": [{"message": {"content": ""}, "finish_reason": "error", "error": {"code": 502}}]}'
    ),
    "choices null": Reaction(body=b'{"choices": null}'),
    "no choices": Reaction(body=b'{"choices": []}'),
    "no message": Reaction(body=b'{"choices": [{"message": null}]}'),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_fault_is_asked_again_and_not_kept(name: str) -> None:
    fault = PASSING[name]
    if b'"usage"' in fault.body:
        fault = Reaction(body=fault.body.replace(b'"usage"', b'"unused"'))
    with ScriptedLlm() as server:
        server.react = lambda request: reply(answer_of(request))
        model = model_of(server, MemoryKeyValue())
        model.check()
        server.faults.append(fault)
        assert said(model.answer(prompts()[:1], project_id=1)) == [IRON_ARGON]
        assert model.spending(1).calls == 1


@pytest.mark.parametrize("name", ["empty", "broken off"])
def test_a_fault_that_stays_is_told_and_not_cached(name: str) -> None:
    with ScriptedLlm() as server:
        server.react = lambda request: reply(answer_of(request))
        model = model_of(server, MemoryKeyValue())
        model.check()
        server.faults.extend([PASSING[name]] * 3)
        [failed] = model.answer(prompts()[:1], project_id=1)
        assert isinstance(failed, ModelFailure)
        assert failed.kind == "malformed"
        assert said(model.answer(prompts()[:1], project_id=1)) == [IRON_ARGON]
        # These said what they cost.
        assert model.spending(1).calls == 4


@pytest.mark.parametrize(
    "words",
    [
        "max_tokens is too large: {n}. This model supports at most 150 completion tokens.",
        "max_tokens: {n} > 150, which is the maximum allowed number of output tokens for m",
        "Invalid max_tokens value, the valid range of max_tokens is [1, 150]",
        "`max_tokens` must be less than or equal to `150`",
        "a maxOutputTokens value of {n} but the supported range is from 1 (inclusive) to 151 (exclusive)",
        "The maximum tokens you requested exceeds the model limit of 150. Try again with fewer",
    ],
)
def test_the_models_own_limit_is_learnt_from_its_refusal(words: str) -> None:
    store = MemoryKeyValue()

    def react(request: Request) -> Reaction:
        if limit_of(request) > 150:
            return error(400, "invalid_value", words.format(n=limit_of(request)))
        return reply(answer_of(request))

    with ScriptedLlm() as server:
        server.react = react
        model = model_of(server, store, concurrency=1)
        assert model.longest_answer() is None
        assert said(model.answer(prompts(), project_id=1)) == [IRON_ARGON] * len(TEXTS)
        assert model.longest_answer() == 150
        assert sum(limit_of(r) > 150 for r in server.requests) <= 2


def test_room_for_thoughts_is_given_up_where_the_context_is_too_small() -> None:
    def react(request: Request) -> Reaction:
        if limit_of(request) > 2000:
            return error(
                400,
                "",
                "This model's maximum context length is 2048 tokens and your request has 500 input tokens",
            )
        return reply(answer_of(request), message={"reasoning": "hm"})

    with ScriptedLlm() as server:
        server.react = react
        assert said(model_of(server, MemoryKeyValue()).answer(prompts(), project_id=1)) == [IRON_ARGON] * len(
            TEXTS
        )


def test_a_reply_in_parts_a_refusal_in_parts() -> None:
    refusal = {"content": [{"type": "refusal", "refusal": "I cannot"}]}
    with ScriptedLlm() as server:
        server.react = lambda request: reply(answer_of(request))
        model = model_of(server, MemoryKeyValue())
        model.check()
        server.faults.extend(
            [
                reply(
                    "",
                    message={
                        "content": [{"type": "text", "text": "a"}, {"type": "output_text", "text": "b"}, "c"]
                    },
                ),
                reply("", message=refusal),
                reply(
                    "",
                    message={"content": None, "function_call": {"name": "f", "arguments": {"entities": []}}},
                ),
                reply("", finish="SAFETY", message={"content": None}),
            ]
        )
        outcomes = [model.answer([prompt], project_id=1)[0] for prompt in prompts()[:4]]
        assert [o.text if isinstance(o, Answer) else o.kind for o in outcomes] == [
            "abc",
            "refused",
            '{"entities": []}',
            "refused",
        ]


def test_the_ledger_shows_what_the_cache_saved() -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}
    with ScriptedLlm() as server:
        server.react = lambda request: reply(answer_of(request), usage=usage)
        model = model_of(server, MemoryKeyValue(), prices=Prices(prompt=2.0, completion=10.0, cached=0.5))
        model.answer(prompts()[:1], project_id=1)
        spent = model.spending(1)
    # Four probes and the answer.
    assert spent.cached_tokens == 400 * spent.calls
    assert spent.saved == pytest.approx(spent.calls * 400 * 1.5 / 1e6)


def test_questions_begin_alike_as_far_as_they_can() -> None:
    with ScriptedLlm() as server:
        server.react = takes({})
        model_of(server, MemoryKeyValue()).answer(prompts(), project_id=1)
        bodies = [json.dumps(r.body["messages"]) for r in server.requests if not is_probe(r)]
    first = bodies[0]
    shared = next(n for n in range(len(first)) if len({body[: n + 1] for body in bodies}) > 1)
    # The system message and the demonstrations that all of them have.
    assert shared >= first.index("iron was heated")


def test_calls_whose_answer_never_came_are_counted_and_marked() -> None:
    with ScriptedLlm() as server:
        server.react = lambda request: reply(answer_of(request))
        model = model_of(server, MemoryKeyValue(), timeout_seconds=1.0, max_retries=1)
        model.check()
        server.faults.extend(
            [Reaction(body=reply("x").body, ending="cut"), Reaction(body=b" " * 99, ending="hang")]
        )
        [lost] = model.answer(prompts()[:1], project_id=1)
        assert isinstance(lost, ModelFailure)
        assert (model.spending(1).calls, model.spending(1).unanswered) == (2, 2)
        assert said(model.answer(prompts()[:1], project_id=1)) == [IRON_ARGON]
        assert (model.spending(1).calls, model.spending(1).unanswered) == (3, 2)


def test_odd_token_counts_do_not_use_up_the_cap() -> None:
    usage = {"prompt_tokens": 10**18, "completion_tokens": 10**18}
    with ScriptedLlm() as server:
        server.react = lambda request: reply(answer_of(request), usage=usage)
        model = model_of(server, MemoryKeyValue(), max_tokens=10_000)
        assert said(model.answer(prompts()[:2], project_id=1)) == [IRON_ARGON] * 2
        assert model.spending(1).prompt_tokens < 5_000


def test_room_that_is_wanted_and_refused_is_not_asked_for_without_end() -> None:
    def react(request: Request) -> Reaction:
        if limit_of(request) > 2000:
            return error(400, "", "This model's maximum context length is 2048 tokens")
        return reply("", finish="length", message={"reasoning": "hm"})

    with ScriptedLlm() as server:
        server.react = react
        [failed] = model_of(server, MemoryKeyValue()).answer(prompts()[:1], project_id=1)
        assert isinstance(failed, ModelFailure)
        assert failed.kind == "truncated"
        assert sum(not is_probe(request) for request in server.requests) <= 4
