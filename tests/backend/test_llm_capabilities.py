"""What an endpoint can do is found out once, and each thing it cannot do is done without."""

from __future__ import annotations

from typing import Any

import pytest

from allabel_core.prompting import LabelSet, build_prompt
from backend.adapters.llm import NO_PROJECT, OpenAiModel
from backend.adapters.llm_config import LlmConfig
from backend.adapters.llm_store import MemoryKeyValue
from backend.errors import LanguageModelError
from backend.ports import Answer, ModelFailure
from scripted_llm import Abilities, ScriptedLlm, error

PROMPT = build_prompt(LabelSet(("Material",)), [], "BaTiO3")

DEGRADATIONS: dict[str, tuple[Abilities, dict[str, Any], set[str]]] = {
    # abilities, what the request must hold, what it must not
    "OpenAI": (Abilities(), {"response_format.type": "json_schema", "logprobs": True, "seed": 1}, set()),
    "DeepSeek": (
        Abilities(json_schema=False, seed=False),
        {"response_format.type": "json_object", "logprobs": True},
        {"seed"},
    ),
    "no JSON mode": (Abilities(json_schema=False, json_object=False), {}, {"response_format"}),
    "says nothing of what it ignores": (
        Abilities(json_schema=False, json_object=False, logprobs=False, silent=True),
        {},
        {"response_format", "logprobs"},
    ),
    "no log-probabilities": (
        Abilities(logprobs=False),
        {"response_format.type": "json_schema"},
        {"logprobs"},
    ),
    "a model that reasons": (
        Abilities(temperature=False, logprobs=False, limit_name="max_completion_tokens"),
        {"max_completion_tokens": PROMPT.max_answer_tokens + 4096},
        {"temperature", "logprobs", "max_tokens"},
    ),
    "a base model": (
        Abilities(chat=False),
        {"prompt": PROMPT.completion, "logprobs": 1, "seed": 1},
        {"messages", "response_format"},
    ),
    "a plain base model": (Abilities(chat=False, logprobs=False, seed=False), {}, {"logprobs", "seed"}),
}


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_requests_keep_to_what_the_endpoint_can_do(name: str) -> None:
    abilities, held, missing = DEGRADATIONS[name]
    with ScriptedLlm(abilities) as server:
        model = OpenAiModel(LlmConfig(model="m", base_url=server.url, seed=1), MemoryKeyValue())
        [answer] = model.answer([PROMPT], project_id=1)
    assert isinstance(answer, Answer)
    body = server.requests[-1].body
    flat = body | {f"response_format.{k}": v for k, v in body.get("response_format", {}).items()}
    assert {key: flat.get(key) for key in held} == held
    assert not missing & body.keys()


def test_probed_once_for_all_workers_and_accounted_for() -> None:
    store = MemoryKeyValue()
    with ScriptedLlm() as server:
        config = LlmConfig(model="m", base_url=server.url)
        OpenAiModel(config, store).answer([PROMPT], project_id=1)
        probes = len(server.requests) - 1
        assert probes == 4
        assert OpenAiModel(config, store).spending(1).calls == probes + 1
        server.requests.clear()
        assert OpenAiModel(config, store).form() == "chat"
        OpenAiModel(config, store).answer([PROMPT], project_id=2)
        assert not server.requests
        OpenAiModel(config, store).check()
        assert len(server.requests) == 1
        assert OpenAiModel(config, store).spending(NO_PROJECT).calls == 1


def test_the_style_can_be_set() -> None:
    with ScriptedLlm() as server:
        config = LlmConfig(model="m", base_url=server.url, api_style="completion")
        model = OpenAiModel(config, MemoryKeyValue())
        model.answer([PROMPT], project_id=1)
        assert model.form() == "completion"
        assert {request.path for request in server.requests} == {"/v1/completions"}
    with ScriptedLlm(Abilities(chat=False)) as server:
        config = LlmConfig(model="m", base_url=server.url, api_style="chat")
        [outcome] = OpenAiModel(config, MemoryKeyValue()).answer([PROMPT], project_id=1)
        assert isinstance(outcome, ModelFailure)
        assert {request.path for request in server.requests} == {"/v1/chat/completions"}


def test_an_endpoint_that_answers_nothing_fails_every_prompt_and_is_asked_again() -> None:
    store = MemoryKeyValue()
    with ScriptedLlm() as server:
        config = LlmConfig(model="m", base_url=server.url, max_retries=0)
        server.faults.append(error(401))
        outcomes = OpenAiModel(config, store).answer([PROMPT] * 3, project_id=1)
        assert [isinstance(outcome, ModelFailure) and outcome.kind for outcome in outcomes] == [
            "rejected"
        ] * 3
        assert len(server.requests) == 1
        assert isinstance(OpenAiModel(config, store).answer([PROMPT], project_id=1)[0], Answer)


def test_a_model_that_does_not_exist_is_reported_as_such() -> None:
    with ScriptedLlm() as server:
        server.faults.extend([error(404, "model_not_found")] * 5)
        model = OpenAiModel(LlmConfig(model="nope", base_url=server.url), MemoryKeyValue())
        with pytest.raises(LanguageModelError, match=r"'nope'.*OPENAI_MODEL"):
            model.check()


def test_a_server_that_has_changed_is_probed_again() -> None:
    store = MemoryKeyValue()
    with ScriptedLlm() as server:
        model = OpenAiModel(LlmConfig(model="m", base_url=server.url), store)
        model.check()
        server.abilities = Abilities(logprobs=False, json_schema=False)
        [answer] = model.answer([PROMPT], project_id=1)
        assert isinstance(answer, Answer)
        assert "response_format" not in server.requests[-1].body
        assert "logprobs" not in server.requests[-1].body
        [other] = model.answer([build_prompt(LabelSet(("Material",)), [], "TiO2")], project_id=1)
        assert isinstance(other, Answer)
        assert server.requests[-2].body["messages"] != server.requests[-1].body["messages"]
