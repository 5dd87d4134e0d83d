"""The adapter as the use cases see it, against a scripted server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError

from allabel_core.prompting import LabelSet, Prompt, build_prompt
from backend.adapters import llm_cache
from backend.adapters.llm import OpenAiModel
from backend.adapters.llm_config import LlmConfig, Prices
from backend.adapters.llm_store import MemoryKeyValue
from backend.errors import LanguageModelError
from backend.ports import Answer, LanguageModel, ModelFailure
from scripted_llm import Abilities, Request, ScriptedLlm, error, reply

LABELS = LabelSet(("Material", "Amount"))


def prompt(text: str) -> Prompt:
    return build_prompt(LABELS, [], text)


def echo(request: Request) -> str:
    """The text that was asked about."""
    if "prompt" in request.body:
        return str(request.body["prompt"]).rsplit("Text: ", 1)[-1].split("\n")[0]
    return str(request.body["messages"][-1]["content"]).split("\n")[1]


@pytest.fixture
def server() -> Iterator[ScriptedLlm]:
    with ScriptedLlm() as running:
        yield running


def warm(server: ScriptedLlm, store: MemoryKeyValue | None = None, **settings: Any) -> OpenAiModel:
    """A model whose capabilities are known already; the server then echoes."""
    server.say = None
    config = LlmConfig(**({"model": "m", "base_url": server.url, "timeout_seconds": 10.0} | settings))
    model = OpenAiModel(config, store or MemoryKeyValue())
    model.check()
    server.requests.clear()
    server.say = echo
    return model


def texts(outcomes: list[Answer | ModelFailure]) -> list[str]:
    return [outcome.text if isinstance(outcome, Answer) else outcome.kind for outcome in outcomes]


def test_fulfils_the_port(server: ScriptedLlm) -> None:
    model: LanguageModel = warm(server, context_window=1000)
    assert (model.model, model.context_window) == ("m", 1000)
    assert model.answer([], project_id=1) == []


def test_answers_come_in_order_and_are_told_as_they_come(server: ScriptedLlm) -> None:
    told: dict[int, Any] = {}
    outcomes = warm(server).answer(
        [prompt(f"text {i}") for i in range(30)], project_id=1, on_answer=told.__setitem__
    )
    assert texts(outcomes) == [f"text {i}" for i in range(30)]
    assert [told[i] for i in range(30)] == outcomes


def test_concurrency_is_bounded_and_connections_are_reused(server: ScriptedLlm) -> None:
    model = warm(server, concurrency=3)
    server.delay = 0.02
    server.most_at_once = server.connections = 0
    model.answer([prompt(f"text {i}") for i in range(30)], project_id=1)
    assert server.most_at_once == 3
    assert server.connections == 3


def test_a_request_carries_prompt_schema_limit_seed_and_key(server: ScriptedLlm) -> None:
    model = warm(server, seed=7, temperature=0.25, api_key=SecretStr("sk-verysecret"))
    asked = prompt("BaTiO3")
    [answer] = model.answer([asked], project_id=1)
    [request] = server.requests
    assert request.headers["authorization"] == "Bearer sk-verysecret"
    assert [m["content"] for m in request.body["messages"]] == [m.content for m in asked.messages]
    assert request.body["response_format"]["json_schema"]["schema"] == asked.schema
    assert request.body["max_tokens"] == asked.max_answer_tokens
    assert (request.body["seed"], request.body["temperature"]) == (7, 0.25)
    assert (request.body["logprobs"], request.body["top_logprobs"]) == (True, 1)
    assert answer == Answer("BaTiO3", prompt_tokens=100, completion_tokens=10, logprobs=(("BaTiO3", -0.5),))


def test_one_failure_spoils_no_other(server: ScriptedLlm) -> None:
    model = warm(server, concurrency=1)
    server.faults.extend([reply("first"), error(400, "context_length_exceeded")])
    assert texts(model.answer([prompt(t) for t in "abc"], project_id=1)) == ["first", "too_long", "c"]


def test_nothing_is_paid_twice(server: ScriptedLlm) -> None:
    model = warm(server)
    paid = model.answer([prompt("a"), prompt("b")], project_id=1)
    again = model.answer([prompt("b"), prompt("a"), prompt("c")], project_id=1)
    assert texts(again) == ["b", "a", "c"]
    assert len(server.requests) == 3
    assert [isinstance(a, Answer) and a.from_cache for a in again] == [True, True, False]
    assert isinstance(paid[0], Answer)
    assert again[1] == replace(paid[0], from_cache=True)
    assert model.spending(1).calls == 3


@pytest.mark.parametrize(
    "changed", [{"temperature": 0.5}, {"seed": 4}, {"model": "other"}, {"api_style": "completion"}]
)
def test_what_shapes_an_answer_is_part_of_its_key(server: ScriptedLlm, changed: dict[str, Any]) -> None:
    store = MemoryKeyValue()
    warm(server, store, seed=3).answer([prompt("a")], project_id=1)
    other = warm(server, store, **({"seed": 3} | changed))
    other.answer([prompt("a")], project_id=1)
    assert len(server.requests) == 1


def test_two_workers_asking_the_same_at_once_pay_once(server: ScriptedLlm) -> None:
    store = MemoryKeyValue()
    models = [warm(server, store), warm(server, store)]
    server.delay = 0.2
    prompts = [prompt(f"text {i}") for i in range(4)]
    outcomes: list[list[Answer | ModelFailure]] = []
    threads = [
        threading.Thread(target=lambda model=model: outcomes.append(model.answer(prompts, project_id=1)))
        for model in models
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 4
    assert [texts(each) for each in outcomes] == [[f"text {i}" for i in range(4)]] * 2


def test_the_same_prompt_twice_in_a_batch_is_paid_once(server: ScriptedLlm) -> None:
    model = warm(server)
    assert texts(model.answer([prompt("a")] * 5, project_id=1)) == ["a"] * 5
    assert len(server.requests) == 1


def test_samples_are_asked_for_at_another_temperature(server: ScriptedLlm) -> None:
    model = warm(server, seed=5, sample_temperature=0.9)
    server.say = lambda request: f"seed {request.body['seed']} at {request.body['temperature']}"
    [answer] = model.answer([prompt("a")], project_id=1, samples=3)
    assert isinstance(answer, Answer)
    assert answer.text == "seed 5 at 0.0"
    assert answer.alternatives == ("seed 6 at 0.9", "seed 7 at 0.9")
    assert (answer.prompt_tokens, answer.completion_tokens) == (300, 30)


def test_a_failed_sample_leaves_the_answer(server: ScriptedLlm) -> None:
    model = warm(server)
    server.faults.extend([reply("first"), error(401)])
    [answer] = model.answer([prompt("a")], project_id=1, samples=2)
    assert isinstance(answer, Answer)
    assert (answer.text, answer.alternatives) == ("first", ())


def test_the_ledger_is_kept_by_project_and_price(server: ScriptedLlm) -> None:
    model = warm(server, prices=Prices(prompt=2.0, completion=10.0, cached=0.5))
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}
    server.faults.extend([reply("x", usage=usage), reply("y", usage=usage)])
    model.answer([prompt("a"), prompt("b")], project_id=1)
    model.answer([prompt("c")], project_id=2)
    spent = model.spending(1)
    assert (spent.calls, spent.prompt_tokens, spent.completion_tokens, spent.cached_tokens) == (
        2,
        2000,
        200,
        800,
    )
    # A call: 600 fresh at 2, 400 cached at 0.5, 100 said at 10 a million.
    assert spent.cost == pytest.approx(2 * (600 * 2.0 + 400 * 0.5 + 100 * 10.0) / 1e6, abs=1e-9)
    assert model.spending(2).calls == 1


def test_the_cap_stops_cleanly_and_resumes(server: ScriptedLlm) -> None:
    store = MemoryKeyValue()
    prompts = [prompt(f"text {i}") for i in range(10)]
    capped = warm(server, store, max_tokens=1500, concurrency=4)
    stopped = capped.answer(prompts, project_id=1)
    kinds = {outcome.kind for outcome in stopped if isinstance(outcome, ModelFailure)}
    answered = [outcome for outcome in stopped if isinstance(outcome, Answer)]
    spent = capped.spending(1)
    assert kinds == {"budget"}
    assert 2 <= len(answered) == spent.calls
    assert spent.prompt_tokens + spent.completion_tokens <= 1500
    message = next(outcome.message for outcome in stopped if isinstance(outcome, ModelFailure))
    assert "MAX_TOKENS" in message
    raised = warm(server, store, max_tokens=10_000)
    assert texts(raised.answer(prompts, project_id=1)) == [f"text {i}" for i in range(10)]
    assert raised.spending(1).calls == 10


def test_a_cap_on_cost_concerns_its_project_alone(server: ScriptedLlm) -> None:
    # A call costs 110 tokens at 1 a token; the reservation for one is higher.
    model = warm(server, prices=Prices(1e6, 1e6), max_cost=600.0, concurrency=1)
    first = model.answer([prompt(f"text {i}") for i in range(10)], project_id=1)
    assert 0 < sum(isinstance(outcome, Answer) for outcome in first) < 6
    assert model.spending(1).cost <= 600.0
    assert texts(model.answer([prompt("x")], project_id=2)) == ["x"]


def test_completion_form_for_base_models() -> None:
    with ScriptedLlm(Abilities(chat=False)) as server:
        model = warm(server)
        assert model.form() == "completion"
        asked = prompt("BaTiO3")
        [answer] = model.answer([asked], project_id=1)
        assert isinstance(answer, Answer)
        assert (answer.form, answer.text) == ("completion", "BaTiO3")
        assert server.requests[0].path == "/v1/completions"
        assert server.requests[0].body["prompt"] == asked.completion
        assert server.requests[0].body["stop"] == ["\n\n"]
        assert server.requests[0].body["max_tokens"] == asked.max_completion_tokens


def test_check_names_what_it_found_and_no_secret() -> None:
    with ScriptedLlm(Abilities(json_schema=False, seed=False)) as server:
        url = server.url.replace("//", "//user:secret@")
        line = OpenAiModel(LlmConfig(model="m", base_url=url), MemoryKeyValue()).check()
    assert "chat, json_object, logprobs, no seed, temperature" in line
    assert "secret" not in line


def test_check_raises_with_the_remedy_whatever_is_remembered(server: ScriptedLlm) -> None:
    model = warm(server, api_key=SecretStr("sk-verysecret"))
    server.faults.append(error(401, "invalid_api_key", "Incorrect API key provided: sk-verysecret"))
    with pytest.raises(LanguageModelError, match="OPENAI_API_KEY") as caught:
        model.check()
    assert "verysecret" not in str(caught.value)


def test_form_raises_where_nothing_answers() -> None:
    config = LlmConfig(model="m", base_url="http://127.0.0.1:9/v1", max_retries=0)
    with pytest.raises(LanguageModelError, match="OPENAI_BASE_URL"):
        OpenAiModel(config, MemoryKeyValue()).form()
    assert OpenAiModel(replace(config, api_style="chat"), MemoryKeyValue()).form() == "chat"


def test_azure_asks_its_deployment(server: ScriptedLlm) -> None:
    model = OpenAiModel(
        LlmConfig(
            model="gpt-4o-lab",
            provider="azure",
            base_url=server.url.removesuffix("/v1"),
            api_key=SecretStr("k3y"),
            azure_api_version="2024-10-21",
        ),
        MemoryKeyValue(),
    )
    assert "json_schema" in model.check()
    request = server.requests[0]
    assert request.path == "/openai/deployments/gpt-4o-lab/chat/completions?api-version=2024-10-21"
    assert request.headers["api-key"] == "k3y"


class BrokenStore(MemoryKeyValue):
    """Takes no reply any more after the first."""

    def __init__(self) -> None:
        super().__init__()
        self.puts = 0

    def put(self, key: str, value: bytes, *, seconds: float) -> None:
        self.puts += key.startswith("reply:")
        if self.puts > 1:
            raise RedisConnectionError
        super().put(key, value, seconds=seconds)


def test_a_store_that_fails_ends_the_batch_and_leaves_nothing_running(
    server: ScriptedLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llm_cache, "_PATIENCE_SECONDS", 0.0)
    store = BrokenStore()
    model = warm(server, store, concurrency=2)
    told: list[int] = []
    with pytest.raises(RedisConnectionError):
        model.answer(
            [prompt(f"text {i}") for i in range(50)], project_id=1, on_answer=lambda i, _: told.append(i)
        )
    assert len(told) == 1
    assert len(server.requests) <= 4
