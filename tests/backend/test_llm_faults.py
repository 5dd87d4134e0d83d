"""Whatever the provider does: an outcome for every prompt, soon, and words that say what to do."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from allabel_core.prompting import LabelSet, Prompt, build_prompt
from backend.adapters.llm import OpenAiModel
from backend.adapters.llm_config import LlmConfig
from backend.adapters.llm_store import MemoryKeyValue
from backend.ports import Answer, ModelFailure
from scripted_llm import Reaction, ScriptedLlm, error, reply

pytestmark = pytest.mark.slow

KEY = "sk-verysecret"
TEXT = "confidential text"


def prompt(text: str = TEXT) -> Prompt:
    return build_prompt(LabelSet(("Material",)), [], text)


@pytest.fixture
def server() -> Iterator[ScriptedLlm]:
    with ScriptedLlm() as running:
        yield running


def warm(server: ScriptedLlm, store: MemoryKeyValue | None = None, **settings: Any) -> OpenAiModel:
    defaults = {"concurrency": 1, "timeout_seconds": 5.0, "api_key": SecretStr(KEY), "max_retries": 1}
    config = LlmConfig(**({"model": "lab-model", "base_url": server.url} | defaults | settings))
    model = OpenAiModel(config, store or MemoryKeyValue())
    model.check()
    server.requests.clear()
    return model


def ask(model: OpenAiModel) -> Answer | ModelFailure:
    [outcome] = model.answer([prompt()], project_id=1)
    return outcome


def failure(model: OpenAiModel) -> ModelFailure:
    outcome = ask(model)
    assert isinstance(outcome, ModelFailure)
    assert KEY not in outcome.message
    assert TEXT not in outcome.message
    return outcome


def test_429_is_asked_again_after_the_time_it_names(server: ScriptedLlm) -> None:
    model = warm(server)
    server.faults.append(error(429, "rate_limit_exceeded", retry_after="1"))
    start = time.monotonic()
    assert isinstance(ask(model), Answer)
    assert 1.0 <= time.monotonic() - start < 4.0
    assert len(server.requests) == 2


def test_all_texts_of_a_batch_keep_to_the_time_one_was_told(server: ScriptedLlm) -> None:
    model = warm(server, concurrency=2)
    server.faults.append(error(429, retry_after="1"))
    server.delay = 0.05
    start = time.monotonic()
    outcomes = model.answer([prompt(f"text {i}") for i in range(6)], project_id=1)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert time.monotonic() - start >= 1.0
    # Two at once before anyone was told; the other four and the repeated one after the second.
    assert len(server.requests) == 7


def test_a_wait_that_is_too_long_is_not_waited(server: ScriptedLlm) -> None:
    model = warm(server, longest_wait_seconds=5.0)
    server.faults.append(error(429, retry_after="3600"))
    start = time.monotonic()
    assert failure(model).kind == "rate_limited"
    assert time.monotonic() - start < 2.0
    assert len(server.requests) == 1


def test_an_exhausted_quota_is_not_asked_again(server: ScriptedLlm) -> None:
    model = warm(server)
    server.faults.append(error(429, "insufficient_quota"))
    found = failure(model)
    assert (found.kind, len(server.requests)) == ("rejected", 1)
    assert "quota" in found.message


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_a_failing_server_is_asked_again_and_then_given_up(server: ScriptedLlm, status: int) -> None:
    model = warm(server)
    server.faults.append(error(status))
    assert isinstance(ask(model), Answer)
    server.faults.extend([error(status)] * 2)
    [outcome] = model.answer([prompt("other")], project_id=1)
    assert isinstance(outcome, ModelFailure)
    assert outcome.kind == "unreachable"
    assert str(status) in outcome.message


def test_a_reply_that_hangs_ends_in_time(server: ScriptedLlm) -> None:
    model = warm(server, timeout_seconds=0.3, max_retries=4)
    server.faults.extend([Reaction(body=b" " * 100, ending="hang")] * 5)
    start = time.monotonic()
    found = failure(model)
    assert (found.kind, len(server.requests)) == ("timeout", 2)
    assert time.monotonic() - start < 4.0
    assert "OPENAI_TIMEOUT" in found.message


def test_a_server_that_never_answers_is_a_timeout(server: ScriptedLlm) -> None:
    model = warm(server, timeout_seconds=0.3, max_retries=0)
    server.faults.append(Reaction(delay=60.0))
    assert failure(model).kind == "timeout"


def test_a_connection_broken_off_in_the_middle_is_made_again(server: ScriptedLlm) -> None:
    model = warm(server)
    broken = Reaction(body=reply("whole").body, ending="cut")
    server.faults.append(broken)
    assert isinstance(ask(model), Answer)
    assert len(server.requests) == 2
    server.faults.extend([broken] * 2)
    [outcome] = model.answer([prompt("other")], project_id=1)
    assert isinstance(outcome, ModelFailure)
    assert outcome.kind == "unreachable"


def test_a_truncated_answer_says_so(server: ScriptedLlm) -> None:
    model = warm(server)
    server.faults.extend([reply('{"entities": [{"te', finish="length")] * 2)
    outcome = ask(model)
    assert len(server.requests) == 2
    assert server.requests[1].body["max_tokens"] == 2 * server.requests[0].body["max_tokens"]
    assert isinstance(outcome, Answer)
    assert (outcome.text, outcome.truncated) == ('{"entities": [{"te', True)


def test_an_answer_that_is_not_json_is_still_an_answer(server: ScriptedLlm) -> None:
    model = warm(server)
    server.faults.append(reply("Sure! Here are the entities:\x00 none \ud83d\ude00"))
    outcome = ask(model)
    assert isinstance(outcome, Answer)
    assert not outcome.truncated


@pytest.mark.parametrize(
    "body",
    [
        b"<html>502</html>", b"", b"null", b"[]", b'{"choices": []}', b'{"choices": [null]}', b"\xff\xfe",
        b'{"choices": [{"message": null}]}', b'data: {"choices": []}', b"[" * 5000,
    ],
)  # fmt: skip
def test_a_reply_that_is_none(server: ScriptedLlm, body: bytes) -> None:
    model = warm(server)
    server.faults.extend([Reaction(body=body)] * 2)
    found = failure(model)
    assert (found.kind, len(server.requests)) == ("unreachable", 2)
    assert model.spending(1).calls == 0
    assert isinstance(ask(model), Answer)


def test_odd_fields_do_no_harm(server: ScriptedLlm) -> None:
    model = warm(server)
    odd = {"usage": {"prompt_tokens": "many", "completion_tokens": -1, "prompt_tokens_details": 3}}
    server.faults.append(reply("fine", logprobs={"content": [{"token": 1, "logprob": "x"}]}, **odd))
    outcome = ask(model)
    assert isinstance(outcome, Answer)
    assert (outcome.text, outcome.logprobs) == ("fine", None)
    # Counts that the server does not tell are estimated: a cap still holds.
    assert outcome.prompt_tokens > 50
    assert outcome.completion_tokens == 2


def test_a_megabyte_of_text_is_cut_short(server: ScriptedLlm) -> None:
    model = warm(server)
    server.faults.extend([reply("x" * 1_000_000)] * 2)
    assert failure(model).kind == "unreachable"
    server.faults.extend([reply("y" * 100_000)] * 2)
    [outcome] = model.answer([prompt("other")], project_id=1)
    assert isinstance(outcome, Answer)
    assert outcome.truncated
    # Asked again with room for twice as much, once.
    assert len(outcome.text) == 16 * 2 * prompt("other").max_answer_tokens


@pytest.mark.parametrize(
    "refusal",
    [
        reply("", message={"content": None, "refusal": "I cannot help with that."}),
        reply("", finish="content_filter"),
    ],
)
def test_a_refusal_is_told_apart_and_paid_once(server: ScriptedLlm, refusal: Reaction) -> None:
    model = warm(server)
    server.faults.append(refusal)
    assert failure(model).kind == "refused"
    assert failure(model).kind == "refused"
    assert (len(server.requests), model.spending(1).calls) == (1, 1)


def test_azures_filter_is_a_refusal(server: ScriptedLlm) -> None:
    model = warm(server)
    server.faults.append(error(400, "content_filter", f"filtered: {TEXT}"))
    assert failure(model).kind == "refused"


@pytest.mark.parametrize(
    ("reaction", "kind", "remedy"),
    [
        (error(401, "invalid_api_key", f"Incorrect API key provided: {KEY}"), "rejected", "OPENAI_API_KEY"),
        (error(403), "rejected", "OPENAI_API_KEY"),
        (error(402), "rejected", "money"),
        (error(404, "model_not_found"), "rejected", "OPENAI_MODEL"),
        (error(404, "", "The model `x` does not exist"), "rejected", "'lab-model'"),
        (error(404), "rejected", "OPENAI_BASE_URL"),
        (error(400, "context_length_exceeded"), "too_long", "CONTEXT_WINDOW"),
        (error(400, "", "the request exceeds the available context size"), "too_long", "CONTEXT_WINDOW"),
        (error(400, "", "This model's maximum context length is 4096 tokens"), "too_long", "CONTEXT_WINDOW"),
        (error(413), "too_long", "CONTEXT_WINDOW"),
        (Reaction(403, b"<html>Forbidden</html>"), "rejected", "a web page"),
    ],
)
def test_rejections_name_the_remedy(server: ScriptedLlm, reaction: Reaction, kind: str, remedy: str) -> None:
    model = warm(server)
    server.faults.append(reaction)
    found = failure(model)
    assert (found.kind, len(server.requests)) == (kind, 1)
    assert remedy in found.message


def test_nothing_listening(server: ScriptedLlm) -> None:
    store = MemoryKeyValue()
    url = server.url
    warm(server, store)
    server.stop()
    model = OpenAiModel(LlmConfig(model="lab-model", base_url=url, max_retries=0), store)
    found = failure(model)
    assert found.kind == "unreachable"
    assert "Is the model server running? Check OPENAI_BASE_URL" in found.message


def test_an_unknown_host_is_named() -> None:
    config = LlmConfig(
        model="m", base_url="http://no-such-host.invalid/v1", max_retries=0, timeout_seconds=20
    )
    found = failure(OpenAiModel(config, MemoryKeyValue()))
    assert found.kind == "unreachable"
    assert "no-such-host.invalid" in found.message


def test_a_provider_that_is_down_is_left_alone_and_tried_again(server: ScriptedLlm) -> None:
    store = MemoryKeyValue()
    settings = {"max_retries": 0, "breaker_failures": 3, "breaker_seconds": 0.5}
    first, second = warm(server, store, **settings), warm(server, store, **settings)
    server.faults.extend([error(503)] * 4)
    outcomes = first.answer([prompt(f"text {i}") for i in range(6)], project_id=1)
    assert all(isinstance(outcome, ModelFailure) and outcome.kind == "unreachable" for outcome in outcomes)
    assert len(server.requests) == 3
    # Another worker knows.
    assert "left alone" in failure(second).message
    assert len(server.requests) == 3
    time.sleep(0.6)
    # The trial fails: closed again at once, after one request for all six.
    first.answer([prompt(f"text {i}") for i in range(6)], project_id=1)
    assert len(server.requests) == 4
    time.sleep(0.6)
    start = time.monotonic()
    outcomes = second.answer([prompt(f"text {i}") for i in range(6)], project_id=1)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert time.monotonic() - start < 10.0


def test_a_rejected_text_is_no_sign_of_a_provider_that_is_down(server: ScriptedLlm) -> None:
    model = warm(server, breaker_failures=2)
    server.faults.extend([error(400)] * 5)
    model.answer([prompt(f"text {i}") for i in range(5)], project_id=1)
    assert isinstance(ask(model), Answer)


def test_logs_hold_no_text_and_no_key(server: ScriptedLlm, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="backend")
    model = warm(server)
    server.say = lambda request: TEXT
    server.faults.append(error(500, "", json.dumps([KEY, TEXT])))
    assert isinstance(ask(model), Answer)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("backend")]
    assert ours
    assert not [line for line in ours if TEXT in line or KEY in line]


# What may have been charged for


def test_every_call_that_was_sent_and_never_answered_counts_by_estimate(server: ScriptedLlm) -> None:
    model = warm(server, timeout_seconds=0.3, max_retries=4)
    server.faults.extend([Reaction(body=b" " * 100, ending="hang"), Reaction(body=b"x" * 200, ending="cut")])
    assert isinstance(ask(model), Answer)
    spent = model.spending(1)
    assert (spent.calls, spent.unanswered) == (len(server.requests), 2) == (3, 2)
    assert spent.completion_tokens > 2 * prompt().max_answer_tokens
    assert isinstance(ask(model), Answer)
    assert model.spending(1) == spent


def test_a_call_that_found_nobody_or_was_refused_does_not(server: ScriptedLlm) -> None:
    store = MemoryKeyValue()
    model = warm(server, store, max_retries=0)
    server.faults.append(error(500, "down"))
    failure(model)
    server.stop()
    failure(model)
    assert model.spending(1).calls == 0


def test_a_cap_holds_though_nothing_is_ever_answered(server: ScriptedLlm) -> None:
    model = warm(server, timeout_seconds=0.2, max_retries=0, max_tokens=5000, breaker_failures=100)
    server.faults.extend([Reaction(ending="hang")] * 100)
    kinds = [failure(model).kind for _ in range(40)]
    assert kinds[0] == "timeout"
    assert kinds[-1] == "budget"
    spent = model.spending(1)
    assert spent.prompt_tokens + spent.completion_tokens <= 5000
    assert spent.unanswered == len(server.requests)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 10**30, "completion_tokens": 10},
        {"prompt_tokens": 2**62, "completion_tokens": 2**62},
        {"prompt_tokens": True, "completion_tokens": False},
        {"prompt_tokens": 90, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 10**6}},
    ],
)
def test_usage_that_cannot_be_is_not_believed(server: ScriptedLlm, usage: dict[str, Any]) -> None:
    model = warm(server)
    server.faults.append(reply("fine", usage=usage))
    assert isinstance(ask(model), Answer)
    spent = model.spending(1)
    assert 50 < spent.prompt_tokens < 1000
    assert 0 < spent.completion_tokens <= 10
    assert spent.cached_tokens <= spent.prompt_tokens
