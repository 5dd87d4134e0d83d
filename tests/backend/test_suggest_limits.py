"""Answers that are cut, declined or limited: what becomes of the tasks, and what people are told."""

from __future__ import annotations

from typing import Any

import pytest
from projects import PROJECT, AnyLabelStudio, FullModel, connected, settle, spot_fruits

from allabel_core.prompting import DEFAULT_TEMPLATES, Prompt
from allabel_core.simulation.extractors import Corpus, Question
from backend import doctor
from backend.adapters.llm import OpenAiModel
from backend.adapters.llm_config import LlmConfig
from backend.adapters.llm_store import MemoryKeyValue
from backend.adapters.store import Store
from backend.errors import LanguageModelError
from backend.ports import Answer, ModelFailure
from backend.simulate.llm import ModelExtractor
from backend.usecases.report import report
from backend.usecases.trial import try_question
from fakes import make_tools
from scripted_llm import ScriptedLlm, error, reply
from scripted_providers import answer_of

TASKS = {n: {"text": f"Basket {n}: a pear and an apple, said {n}."} for n in range(1, 6)}


def tools_with(store: Store, model: FullModel, tasks: dict[int, Any] = TASKS) -> Any:
    return make_tools(store, AnyLabelStudio(tasks), model, budget="100%", audit=0.0)


def problems(store: Store) -> list[str | None]:
    return [made.problem for made in store.suggestions(PROJECT, list(TASKS)).values()]


def test_a_cut_answer_is_shown_as_far_as_it_goes_and_told(store: Store) -> None:
    model = FullModel(
        lambda prompt: Answer('{"entities": [{"text": "pear", "label": "Fruit"}, {"te', truncated=True)
    )
    tools = connected(tools_with(store, model))
    assert set(problems(store)) == {"truncated"}
    made = store.suggestions(PROJECT, [1])[1]
    assert [region["value"]["text"] for region in made.regions] == ["pear"]
    told = report(tools, PROJECT)
    assert told.problem == ""
    assert "limit of tokens" in told.errors[0].message
    assert "REASONING_EFFORT" in told.errors[0].remedy
    assert told.unreadable == {"truncated": len(model.prompts)}


def test_a_model_that_only_thinks_degrades_the_project_with_the_remedy(store: Store) -> None:
    failure = ModelFailure("truncated", "It used up all tokens on thinking. Set REASONING_EFFORT.")
    tools = connected(tools_with(store, FullModel(lambda prompt: failure)))
    told = report(tools, PROJECT)
    assert told.state == "degraded"
    assert "REASONING_EFFORT" in told.problem
    # Not asked for ever: the tasks are settled, the queue goes on.
    assert not store.wanted_count(PROJECT)


def test_a_model_told_to_think_less_is_asked_again(store: Store) -> None:
    failing = FullModel(lambda prompt: ModelFailure("truncated", "It used up all tokens on thinking."))
    label_studio = AnyLabelStudio(TASKS)
    connected(make_tools(store, label_studio, failing, budget="100%", audit=0.0))
    assert set(problems(store)) == {"truncated"}
    told = FullModel(spot_fruits)
    told.variant = '["none", {}]'
    tools = make_tools(store, label_studio, told, budget="100%", audit=0.0)
    store.mark_dirty(PROJECT, "tasks")
    settle(tools)
    assert set(problems(store)) == {None}
    assert report(tools, PROJECT).problem == ""


def test_one_declined_text_is_settled_and_all_is_well(store: Store) -> None:
    def react(prompt: Prompt) -> str | ModelFailure:
        declined = "Basket 3" in prompt.messages[-1].content
        return ModelFailure("refused", "declined") if declined else spot_fruits(prompt)

    tools = connected(tools_with(store, FullModel(react)))
    told = report(tools, PROJECT)
    assert (told.state, told.problem) == ("ready", "")
    assert problems(store).count("refused") == 1
    assert not store.wanted_count(PROJECT)


class Limited(FullModel):
    def longest_answer(self) -> int | None:
        return 400


def test_a_text_whose_answer_would_be_too_long_is_asked_about_in_parts(store: Store) -> None:
    sentence = "A pear lay beside an apple on the long wooden table. "
    texts = {1: {"text": sentence * 60}, 2: {"text": sentence}}
    model = Limited(spot_fruits, context_window=64_000)
    tools_ = connected(tools_with(store, model, texts))
    assert len(model.prompts) > 3
    assert max(prompt.max_answer_tokens for prompt in model.prompts) <= 400
    regions = store.suggestions(PROJECT, [1])[1].regions
    assert [r["value"]["text"] for r in regions] == ["pear", "apple"] * 60
    assert report(tools_, PROJECT).problem == ""


def test_the_doctor_asks_the_projects_own_question(store: Store) -> None:
    tools = connected(tools_with(store, FullModel(spot_fruits)))
    assert "labels is answered" in try_question(tools, PROJECT)
    tools = connected(tools_with(store, FullModel(lambda prompt: "I cannot.")))
    with pytest.raises(LanguageModelError, match="not json"):
        try_question(tools, PROJECT)
    checks = doctor._check("Question", lambda: try_question(tools, PROJECT), "See the guide.")
    assert (checks.ok, checks.remedy) == (False, "See the guide.")


def test_a_declined_text_does_not_end_a_simulation() -> None:
    with ScriptedLlm() as server:
        server.react = lambda request: (
            error(400, "", "no") if "heated" in str(request.body) else reply(answer_of(request))
        )
        model = OpenAiModel(LlmConfig(model="m", base_url=server.url, max_retries=0), MemoryKeyValue())
        extractor = ModelExtractor(model, ["Metal", "Gas"], DEFAULT_TEMPLATES)
        asked = [Question(text, ()) for text in ("iron was heated", "argon flows")]
        found = extractor.extract(Corpus([], list), asked, lambda _: None)
    assert [each.failure for each in found] == ["refused", ""]
    assert [len(each.document.spans) for each in found] == [0, 1]
