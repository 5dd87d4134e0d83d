"""A project with texts that were never answered does not say that it is finished."""

from __future__ import annotations

import pytest
from projects import (
    PROJECT,
    AnyLabelStudio,
    FullModel,
    asked_text,
    connected,
    make_tools,
    settle,
    spot_fruits,
)

from allabel_core.prompting import Prompt
from backend.adapters.store import Store
from backend.ports import Answer, ModelFailure
from backend.usecases.finish import finish
from backend.usecases.report import report

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("silent", "state", "problem"),
    [((), "finished", ""), ((3, 7), "degraded", "The model gave no usable answer for 2 texts.")],
)
def test_finished_means_that_all_texts_have_an_answer(
    store: Store, silent: tuple[int, ...], state: str, problem: str
) -> None:
    def reply(prompt: Prompt) -> str | Answer | ModelFailure:
        if any(asked_text(prompt).endswith(f"no. {number}") for number in silent):
            return ModelFailure("malformed", "It says nothing.")
        return spot_fruits(prompt)

    texts = {number: {"text": f"a pear, no. {number}"} for number in range(1, 11)}
    tools = connected(make_tools(store, AnyLabelStudio(texts), FullModel(reply), budget="4", window=4))
    finish(tools, PROJECT)
    settle(tools)
    found = report(tools, PROJECT)
    assert (found.state, found.problem) == (state, problem)
    assert bool(found.remedy) == bool(problem)
