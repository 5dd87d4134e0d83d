"""Labelling the rest: what it is said to take, leaving off, raising the budget, and what annotating costs."""

from __future__ import annotations

import pytest
from projects import PROJECT, AnyLabelStudio, FullModel, connected, make_tools, settle, spot_fruits
from typer.testing import CliRunner

from backend import cli
from backend.adapters.store import Store
from backend.ports import Spending
from backend.usecases.budget import raise_budget
from backend.usecases.events import Event, receive
from backend.usecases.finish import cancel_finishing, finish, tokens_for_annotating
from backend.usecases.forecast import finish_forecast
from backend.usecases.report import report
from backend.usecases.suggest import suggest
from backend.usecases.sync import sync
from backend.usecases.tools import Tools

pytestmark = pytest.mark.slow

TASKS = {100 + n: {"text": f"apple number {n} beside a pear"} for n in range(60)}


class PaidModel(FullModel):
    """A hundred tokens for each text."""

    def spending(self, project_id: int) -> Spending:
        asked = len(self.prompts)
        return Spending(calls=asked, prompt_tokens=90 * asked, completion_tokens=10 * asked)


@pytest.fixture
def label_studio() -> AnyLabelStudio:
    return AnyLabelStudio(TASKS)


@pytest.fixture
def tools(store: Store, label_studio: AnyLabelStudio) -> Tools:
    return connected(make_tools(store, label_studio, PaidModel(spot_fruits), budget="10", window=5))


def annotate_all(tools: Tools, label_studio: AnyLabelStudio) -> None:
    while served := label_studio.served():
        for task_id in served:
            label_studio.annotate(task_id, [])
        receive(tools, Event("ANNOTATIONS_CREATED", PROJECT))
        settle(tools)


def test_leaving_off_asks_no_more_and_pays_nothing_twice(tools: Tools, label_studio: AnyLabelStudio) -> None:
    annotate_all(tools, label_studio)
    model: PaidModel = tools.model  # type: ignore[assignment]
    before = len(model.prompts)
    finish(tools, PROJECT)
    assert sync(tools, PROJECT)
    suggest(tools, PROJECT)
    asked = len(model.prompts) - before
    assert 0 < asked < 50
    assert cancel_finishing(tools, PROJECT)
    assert tools.store.wanted_count(PROJECT) == 0
    settle(tools)
    assert len(model.prompts) == before + asked
    assert report(tools, PROJECT).state == "budget_used"
    assert not cancel_finishing(tools, PROJECT)
    finish(tools, PROJECT)
    settle(tools)
    assert report(tools, PROJECT).state == "finished"
    assert len(model.prompts) == before + 50
    assert len(label_studio.served()) == 50


def test_raising_the_budget_serves_more_also_after_finishing(
    tools: Tools, label_studio: AnyLabelStudio
) -> None:
    annotate_all(tools, label_studio)
    assert report(tools, PROJECT).next == "raise"
    assert "Press '20 more' on the project's page" in label_studio.known.description
    finish(tools, PROJECT)
    settle(tools)
    assert report(tools, PROJECT).next == "review"
    assert raise_budget(tools, PROJECT, 20) == 30
    settle(tools)
    found = report(tools, PROJECT)
    assert (found.state, found.budget, found.next) == ("ready", 30, "annotate")
    assert len(label_studio.served()) >= 5
    assert label_studio.extra_params["budget"] == "30"


def test_a_budget_in_tokens_is_raised_by_what_twenty_texts_take(
    store: Store, label_studio: AnyLabelStudio
) -> None:
    tools = connected(
        make_tools(store, label_studio, PaidModel(spot_fruits), budget="60", budget_unit="tokens", window=5)
    )
    before = report(tools, PROJECT).budget
    raise_budget(tools, PROJECT, 20)
    settle(tools)
    assert report(tools, PROJECT).budget == pytest.approx(before + 20, abs=1)


def test_after_finishing_annotations_cost_what_annotations_cost(
    tools: Tools, label_studio: AnyLabelStudio
) -> None:
    annotate_all(tools, label_studio)
    paid = tokens_for_annotating(tools, PROJECT)
    finish(tools, PROJECT)
    settle(tools)
    assert tokens_for_annotating(tools, PROJECT) == paid > 0
    cancel_finishing(tools, PROJECT)
    settle(tools)
    assert tokens_for_annotating(tools, PROJECT) == paid


def test_the_forecast_says_texts_time_tokens_and_quality(tools: Tools) -> None:
    tools.store.set_facts(PROJECT, asked_texts=10, asked_milliseconds=60_000, looked_at="")
    tools.store.mark_dirty(PROJECT, "tasks")
    settle(tools)
    found = report(tools, PROJECT)
    cost = found.spending.finish_now
    assert cost is not None
    # Five of the sixty have their suggestion already; six seconds each for the others.
    assert (cost.calls, cost.seconds) == (55, 330.0)
    words = finish_forecast(found)
    tokens = f"{cost.prompt_tokens + cost.completion_tokens:,} tokens"
    assert words.startswith(
        f"The model labels 60 texts that nobody has annotated, in about 6 minutes, {tokens} and a cost of "
    )
    assert words.endswith("too few suggestions have been corrected.")


@pytest.mark.parametrize(
    ("budget", "tasks", "words"),
    [
        ("0", TASKS, "The budget is 0, so no text is asked for."),
        ("10%", {}, "The project has no texts yet."),
        ("4", TASKS, "Too early to tell"),
    ],
)
def test_odd_projects_get_a_sentence_of_their_own(
    store: Store, budget: str, tasks: dict[int, dict[str, str]], words: str
) -> None:
    tools = connected(make_tools(store, AnyLabelStudio(tasks), PaidModel(spot_fruits), budget=budget))
    assert report(tools, PROJECT).advice.sentence.startswith(words)


def test_the_terminal_leaves_off(
    tools: Tools, label_studio: AnyLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_tools", lambda: (None, tools))
    run = CliRunner().invoke
    assert "is not labelling the rest" in run(cli.app, ["finish", "1", "--cancel"]).output
    finish(tools, PROJECT)
    assert "was left off" in run(cli.app, ["finish", "1", "--cancel"]).output
    assert not tools.store.fact(PROJECT, "finishing")


def test_control_c_says_what_goes_on(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_tools", lambda: (None, tools))

    def interrupted(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_follow", interrupted)
    done = CliRunner().invoke(cli.app, ["finish", "1"])
    assert done.exit_code == 130
    said = " ".join(done.output.split())
    assert "The model labels 60 texts" in said
    assert "goes on labelling without this window" in said
    assert "allabel finish 1 --cancel" in said
    assert tools.store.fact(PROJECT, "finishing") == "1"
