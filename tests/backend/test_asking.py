"""A project is finished by asking the model as far as it pays."""

from __future__ import annotations

import pytest
from projects import PROJECT, spot_fruits
from test_learning import TEXTS, annotate, made, marked, project, settle, words

from allabel_core.errors import InvalidInputError
from backend.adapters.store import Store
from backend.usecases.asking import UNASKED
from backend.usecases.estimate import estimate
from backend.usecases.finish import finish
from backend.usecases.report import report
from backend.usecases.tools import Tools
from fakes import FakeLabelStudio, ScriptedModel


@pytest.fixture
def label_studio() -> FakeLabelStudio:
    return FakeLabelStudio(TEXTS)


def annotated_project(store: Store, label_studio: FakeLabelStudio, model: ScriptedModel) -> Tools:
    """Twenty-four annotated texts, each with the model's answer; the model finds half of what people mark."""
    tools = project(store, label_studio, model, k=0, occurrences="all")
    for _ in range(3):
        annotate(tools, label_studio, 8)
    return tools


def asked_about(tools: Tools) -> int:
    rest = set(TEXTS) - tools.store.done(PROJECT)
    return sum(not made(tools, task_id).recipe.startswith(UNASKED) for task_id in rest)


@pytest.mark.parametrize(("share", "fewest", "most"), [(0.0, 0, 0), (0.5, 5, 26), (1.0, 28, 28)])
def test_the_model_is_asked_about_the_share_that_a_person_has_chosen(
    store: Store, label_studio: FakeLabelStudio, share: float, fewest: int, most: int
) -> None:
    model = ScriptedModel(spot_fruits)
    tools = annotated_project(store, label_studio, model)
    model.prompts.clear()
    finish(tools, PROJECT, share)
    settle(tools)
    assert report(tools, PROJECT).state == "finished"
    # Eight texts of the front had been asked about before.
    assert fewest <= len(model.prompts) <= most
    assert asked_about(tools) == 8 + len(model.prompts)
    rest = label_studio.served()
    assert len(rest) == 36
    assert all(words(label_studio, task_id) == marked(task_id) for task_id in rest)


def test_by_default_as_few_are_asked_about_as_cost_no_quality(
    store: Store, label_studio: FakeLabelStudio
) -> None:
    model = ScriptedModel(spot_fruits)
    tools = annotated_project(store, label_studio, model)
    shares = estimate(tools, PROJECT).shares
    assert [each.share for each in shares] == [0, 0.25, 0.5, 0.75, 1]
    assert [each.share for each in shares if each.worth_asking] == [0]
    assert 0 == shares[0].calls < shares[1].calls < shares[-1].calls
    assert [each.share for each in report(tools, PROJECT).spending.shares] == [0, 0.25, 0.5, 0.75, 1]
    model.prompts.clear()
    finish(tools, PROJECT)
    settle(tools)
    assert model.prompts == []
    assert report(tools, PROJECT).state == "finished"
    # Whoever thinks better of it is served.
    finish(tools, PROJECT, 1.0)
    settle(tools)
    assert asked_about(tools) == 36


def test_while_nothing_is_known_all_are_asked_about(store: Store, label_studio: FakeLabelStudio) -> None:
    model = ScriptedModel(spot_fruits)
    tools = project(store, label_studio, model, k=0)
    annotate(tools, label_studio, 6)
    assert estimate(tools, PROJECT).shares == ()
    finish(tools, PROJECT)
    settle(tools)
    assert asked_about(tools) == 54


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(store: Store, label_studio: FakeLabelStudio, share: float) -> None:
    tools = project(store, label_studio, None)
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        finish(tools, PROJECT, share)
    assert not store.fact(PROJECT, "finishing")
