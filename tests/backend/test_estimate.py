"""The estimate against what is then really asked and spent."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from projects import (
    PROJECT,
    AnyLabelStudio,
    FullModel,
    connected,
    entities,
    gold,
    make_tools,
    settle,
    spot_fruits,
)
from typer.testing import CliRunner

from allabel_core.answers import render_answer
from allabel_core.chunking import estimate_tokens
from allabel_core.errors import InvalidInputError
from allabel_core.prompting import LabelSet, Prompt, prompt_tokens
from allabel_core.types import Document, Span
from backend import cli
from backend.adapters.store import Store
from backend.ports import Answer, ModelFailure, Spending
from backend.settings import read_settings
from backend.usecases.connect import register
from backend.usecases.estimate import Estimate, estimate
from backend.usecases.events import Event, receive
from backend.usecases.finish import finish
from backend.usecases.sync import sync
from backend.usecases.tools import Tools

pytestmark = pytest.mark.slow

TEXTS = {n: f"One pear of {n} is sold for {n * n} pence in town {n % 7}" for n in range(1, 101)}


class CountingModel(FullModel):
    """Spends what the estimate says a prompt and an answer cost."""

    def __init__(self, reply: Callable[[Prompt], str] = spot_fruits) -> None:
        super().__init__(reply)
        self.spent = Spending()

    def answer(self, prompts: Sequence[Prompt], **options: Any) -> list[Answer | ModelFailure]:
        self.spent = Spending(
            self.spent.calls + len(prompts),
            self.spent.prompt_tokens + sum(prompt_tokens(prompt, form="chat") for prompt in prompts),
            self.spent.completion_tokens + 25 * len(prompts),
        )
        return super().answer(prompts, **options)

    def spending(self, project_id: int) -> Spending:
        return self.spent


@pytest.fixture
def label_studio() -> AnyLabelStudio:
    return AnyLabelStudio({n: {"text": text} for n, text in TEXTS.items()})


@pytest.fixture
def model() -> CountingModel:
    return CountingModel()


def ranked(store: Store, label_studio: AnyLabelStudio, model: CountingModel, **settings: Any) -> Tools:
    """Connected and ranked; nothing has been asked yet."""
    tools = make_tools(store, label_studio, model, **settings)
    register(tools, PROJECT, backend_url="", extra_params={})
    sync(tools, PROJECT)
    return tools


def calls(found: Estimate) -> dict[str, int]:
    return {cost.what: cost.calls for cost in found.costs}


def test_nothing_is_asked_for_an_estimate(
    store: Store, label_studio: AnyLabelStudio, model: CountingModel
) -> None:
    tools = ranked(store, label_studio, model, k=0)
    found = estimate(tools, PROJECT)
    assert model.prompts == []
    assert calls(found) == {"the window": 8, "the rest of the budget": 12, "finish, afterwards": 80}
    assert found.basis == "estimated from the prompts of 20 texts"


def test_window_and_finish_cost_what_was_said(
    store: Store, label_studio: AnyLabelStudio, model: CountingModel
) -> None:
    tools = ranked(store, label_studio, model, k=0)
    window, budget, rest = estimate(tools, PROJECT).costs
    settle(tools)
    assert model.spent.calls == window.calls
    assert model.spent.prompt_tokens == pytest.approx(window.prompt_tokens, rel=0.02)
    finish(tools, PROJECT)
    settle(tools)
    total = window.prompt_tokens + budget.prompt_tokens + rest.prompt_tokens
    assert model.spent.calls == window.calls + budget.calls + rest.calls
    assert model.spent.prompt_tokens == pytest.approx(total, rel=0.02)


def test_the_budget_costs_about_what_was_said(
    store: Store, label_studio: AnyLabelStudio, model: CountingModel
) -> None:
    """Annotated one by one, which is when most is asked again."""
    tools = ranked(store, label_studio, model, k=1)
    window, budget, _ = estimate(tools, PROJECT).costs
    settle(tools)
    while served := label_studio.served():
        label_studio.annotate(served[0], gold(label_studio, TEXTS[served[0]], ("pear", "Fruit")))
        receive(tools, Event("ANNOTATION_CREATED", PROJECT))
        settle(tools)
    assert 0.5 < (window.calls + budget.calls) / model.spent.calls < 2


def test_asked_again_by_hand(store: Store, label_studio: AnyLabelStudio, model: CountingModel) -> None:
    """k = 2, window 2, budget 4: annotations 1 to 3 find 2, 2 and 1 open tasks; the third is near 2 in 3."""
    tools = ranked(store, label_studio, model, k=2, window=2, budget="4")
    assert calls(estimate(tools, PROJECT))["the rest of the budget"] == round(2 + 2 + 2 + 1 * 2 / 3)


def test_samples_and_parts_multiply(store: Store, label_studio: AnyLabelStudio, model: CountingModel) -> None:
    tools = replace(ranked(store, label_studio, model, k=0), samples=3)
    assert calls(estimate(tools, PROJECT))["the window"] == 24
    model.context_window = 1000
    for text in label_studio.data.values():
        text["text"] = "A pear fell. " * 120
    store.mark_dirty(PROJECT, "tasks")
    sync(tools, PROJECT)
    assert calls(estimate(tools, PROJECT))["the window"] > 24 * 2


def test_demonstrations_still_to_come_are_reckoned_with(
    store: Store, label_studio: AnyLabelStudio, model: CountingModel
) -> None:
    tools = ranked(store, label_studio, model, k=3)
    before = estimate(tools, PROJECT).costs[0]
    for task_id in (1, 2, 3):
        label_studio.annotate(task_id, gold(label_studio, TEXTS[task_id], ("pear", "Fruit")))
    receive(tools, Event("ANNOTATIONS_CREATED", PROJECT))
    sync(tools, PROJECT)
    after = estimate(tools, PROJECT).costs[0]
    assert before.prompt_tokens == pytest.approx(after.prompt_tokens, rel=0.15)

    document = Document(TEXTS[5], (Span(4, 8, "Fruit"),))
    answer = render_answer(document, LabelSet(("Fruit", "Animal")), form="chat")
    assert after.completion_tokens / after.calls == pytest.approx(estimate_tokens(answer), rel=0.25)


def test_the_ledgers_averages_are_used_once_there_are_some(
    store: Store, label_studio: AnyLabelStudio, model: CountingModel
) -> None:
    tools = connected(make_tools(store, label_studio, model, k=0))
    model.spent = Spending(calls=50, prompt_tokens=50_000, completion_tokens=5_000)
    found = estimate(tools, PROJECT)
    assert found.basis == "the average of 50 calls so far"
    rest = found.costs[2]
    assert (rest.calls, rest.prompt_tokens, rest.completion_tokens) == (80, 80_000, 8_000)
    assert rest.money == pytest.approx(88_000 / 1e6)


def test_the_models_own_uncertainty_costs_the_whole_pool(
    store: Store, label_studio: AnyLabelStudio, model: CountingModel
) -> None:
    tools = ranked(store, label_studio, model, k=0, strategy="allabel", uncertainty="model")
    assert calls(estimate(tools, PROJECT))["the rest of the budget"] == 12 + 80


def test_while_finishing_only_what_is_left_is_counted(
    store: Store, label_studio: AnyLabelStudio, model: CountingModel
) -> None:
    tools = connected(make_tools(store, label_studio, model, k=0))
    finish(tools, PROJECT)
    sync(tools, PROJECT)
    assert calls(estimate(tools, PROJECT)) == {
        "to finish": 92,
        "the rest of the budget": 0,
        "finish, afterwards": 0,
    }


def test_what_cannot_be_estimated_is_said(store: Store, label_studio: AnyLabelStudio) -> None:
    without_model = estimate(make_tools(store, label_studio, None), PROJECT)
    assert (without_model.costs, without_model.basis) == ((), "no model is configured, so nothing is asked")
    tools = make_tools(store, label_studio, CountingModel(lambda prompt: entities()))
    register(tools, PROJECT, backend_url="", extra_params={})
    with pytest.raises(InvalidInputError, match="not been ranked yet"):
        estimate(tools, PROJECT)


def test_the_command(
    store: Store, label_studio: AnyLabelStudio, model: CountingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = ranked(store, label_studio, model, k=0)
    monkeypatch.setattr(cli, "_tools", lambda: (read_settings({}), tools))
    runner = CliRunner()
    shown = runner.invoke(cli.app, ["estimate", str(PROJECT)])
    assert shown.exit_code == 0, shown.output
    assert "finish, afterwards" in shown.output
    told = json.loads(runner.invoke(cli.app, ["estimate", str(PROJECT), "--json"]).stdout)
    assert told["costs"][0]["calls"] == 8
    assert runner.invoke(cli.app, ["estimate", "77"]).exit_code == 1
