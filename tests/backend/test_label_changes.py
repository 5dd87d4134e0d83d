"""Labels that are renamed, removed or misspelt, and texts that are not served: nothing is lost in silence."""

from __future__ import annotations

from dataclasses import replace

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

from allabel_core.errors import InvalidInputError
from backend.adapters.store import Store
from backend.usecases.connect import register, with_params
from backend.usecases.predict import predict
from backend.usecases.report import report
from backend.usecases.sync import sync
from backend.usecases.tools import Tools
from fakes import LABEL_CONFIG

TASKS = {n: {"text": f"an apple no {n}"} for n in range(1, 7)}
RENAMED = LABEL_CONFIG.replace("Fruit", "Food")


@pytest.fixture
def label_studio() -> AnyLabelStudio:
    return AnyLabelStudio(TASKS)


@pytest.fixture
def tools(store: Store, label_studio: AnyLabelStudio) -> Tools:
    return connected(make_tools(store, label_studio, FullModel(spot_fruits), budget="6"))


def rename(tools: Tools, label_studio: AnyLabelStudio) -> None:
    label_studio.known = replace(label_studio.known, label_config=RENAMED)
    tools.store.mark_dirty(PROJECT, "project")


def test_suggestions_with_a_label_that_is_gone_are_withdrawn_at_once(
    tools: Tools, label_studio: AnyLabelStudio
) -> None:
    assert label_studio.shown(3)
    rename(tools, label_studio)
    assert sync(tools, PROJECT)
    assert [region for task_id in TASKS for region in label_studio.shown(task_id)] == []
    tools.stopping.set()
    (answer,) = predict(tools, PROJECT, [(3, TASKS[3])], label_config=RENAMED)
    assert answer["result"] == []


def test_predict_shows_no_label_that_the_label_config_of_now_lacks(tools: Tools) -> None:
    tools.stopping.set()
    (answer,) = predict(tools, PROJECT, [(3, TASKS[3])], label_config=RENAMED)
    assert answer["result"] == []


def test_regions_of_a_renamed_label_are_reported_and_can_be_mapped(
    tools: Tools, label_studio: AnyLabelStudio
) -> None:
    label_studio.annotate(1, gold(label_studio, TASKS[1]["text"], ("apple", "Fruit")))
    tools.store.mark_dirty(PROJECT, "annotations")
    settle(tools)
    assert report(tools, PROJECT).notices == []
    rename(tools, label_studio)
    settle(tools)
    (notice,) = report(tools, PROJECT).notices
    assert "1 regions with the label 'Fruit'" in notice
    assert "task 1" in notice
    assert "labels_renamed" in notice
    assert tools.store.demonstrations(PROJECT)[0].document.spans == ()
    register(tools, PROJECT, backend_url="", extra_params={"labels_renamed": {"Fruit": "Food"}})
    settle(tools)
    assert report(tools, PROJECT).notices == []
    assert [span.label for span in tools.store.demonstrations(PROJECT)[0].document.spans] == ["Food"]


@pytest.mark.parametrize("value", [{"A": "B"}, '{"A": "B"}'])
def test_renamed_labels_are_an_object_or_its_json(tools: Tools, value: object) -> None:
    assert with_params(tools.defaults, {"labels_renamed": value}).labels_renamed == '{"A": "B"}'
    assert with_params(tools.defaults, {"labels_renamed": ""}).labels_renamed == ""


@pytest.mark.parametrize("value", ["A=B", "[1]", {"A": 1}, 5, "{"])
def test_renamed_labels_of_another_shape_are_refused(tools: Tools, value: object) -> None:
    with pytest.raises(InvalidInputError, match="labels_renamed"):
        with_params(tools.defaults, {"labels_renamed": value})


def test_one_malformed_annotation_leaves_out_its_region_by_name(
    tools: Tools, label_studio: AnyLabelStudio
) -> None:
    right = gold(label_studio, TASKS[1]["text"], ("apple", "Fruit"))
    label_studio.annotate(1, [{**right[0], "value": {**right[0]["value"], "labels": 5}}, *right])
    tools.store.mark_dirty(PROJECT, "annotations")
    settle(tools)
    (notice,) = report(tools, PROJECT).notices
    assert notice.startswith("1 regions that are not written as Label Studio writes them: not used")
    assert len(tools.store.demonstrations(PROJECT)[0].document.spans) == 1


def test_of_two_texts_it_is_said_which_one_is_served(store: Store) -> None:
    config = LABEL_CONFIG.replace(
        "</View>",
        '<Text name="title" value="$title"/>'
        '<Labels name="t" toName="title"><Label value="T"/></Labels></View>',
    )
    label_studio = AnyLabelStudio({1: {"text": "an apple", "title": "x"}}, config)
    tools = connected(make_tools(store, label_studio, FullModel(spot_fruits)))
    (notice,) = report(tools, PROJECT).notices
    assert "for 'text' only, not for 'title'" in notice


def test_names_with_outer_white_space_are_suggested_verbatim(store: Store) -> None:
    label_studio = AnyLabelStudio(TASKS, LABEL_CONFIG.replace('"Fruit"', '" Fruit "'))
    tools = connected(make_tools(store, label_studio, FullModel(lambda _: entities(("apple", "Fruit")))))
    assert [region["value"]["labels"] for region in label_studio.shown(1)] == [[" Fruit "]]
    assert report(tools, PROJECT).problem == ""
