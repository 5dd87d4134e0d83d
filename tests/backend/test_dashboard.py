"""The terminal's dashboard shows every figure that there is, and no others."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import cast

import pytest
from rich.console import Console
from typer.testing import CliRunner

from allabel_core.errors import AllabelError
from backend import cli
from backend.adapters.store import Store
from backend.dashboard import Fitted, dashboard, model_lines, progress_lines, quality_lines
from backend.ports import NotedError
from backend.usecases.figures import (
    Advice,
    Estimate,
    JobProgress,
    LabelScore,
    ProjectReport,
    Quality,
    Score,
    StageProgress,
)
from backend.usecases.report import report
from fakes import FakeLabelStudio, make_tools

QUALITY = Quality(
    assisted=Score(0.9, 0.95, 0.85, 0.8, 0.97, 30),
    blind=Score(0.7, 0.75, 0.65, 0.5, 0.85, 10),
    difference=Estimate(0.2, 0.01, 0.4),
    labels=[LabelScore("Fruit", 0.9, 1.0, 0.81, 17)],
    untouched_share=0.6,
    edits_per_task=1.25,
    seconds_per_task=42.0,
)
ADVICE = Advice(
    "go_on", "Go on, because it pays.", 20, expected_f1=Estimate(0.72, 0.5, 0.9), basis="blind audit"
)


@pytest.fixture
def empty(store: Store) -> ProjectReport:
    store.add_project(7)
    return report(make_tools(store, FakeLabelStudio({})), 7)


def shown(item: ProjectReport) -> str:
    console = Console(width=110, file=StringIO())
    console.print(dashboard(item))
    return cast(StringIO, console.file).getvalue()


def test_a_new_project_has_no_figures_yet(empty: ProjectReport) -> None:
    assert dict(quality_lines(empty)) == {"Suggestions": "no data yet"}
    assert dict(progress_lines(empty))["Page"] == "http://localhost:9090/projects/7"
    assert "Problem" not in shown(empty)


def test_every_figure_is_there(empty: ProjectReport) -> None:
    full = replace(
        empty,
        quality=QUALITY,
        advice=ADVICE,
        stages=[StageProgress("audit", 3, 1, 2)],
        jobs=[JobProgress("pre-annotating", 4, 25, 0.0)],
        errors=[NotedError(0.0, "Nothing answers.", "Start it.")],
    )
    text = shown(full)
    for words in (
        "F1 90.0 (80.0 to 97.0) over 30 tasks",
        "F1 70.0 (50.0 to 85.0) over 10 tasks",
        "1.2 edits; 42 s; 60% accepted untouched",
        "expected F1 72.0 (50.0 to 90.0), from the blind audit",
        "Fruit",
        "Go on, because it pays.",
        "pre-annotating 4 of 25",
        "Nothing answers.",
        "Start it.",
    ):
        assert words in text


def test_brackets_of_messages_titles_and_labels_are_shown_as_they_are(empty: ProjectReport) -> None:
    item = replace(
        empty,
        title="[bold]Notes[/]",
        problem="[Errno 111] refused [/red]",
        quality=Quality(labels=[LabelScore("[b]", 0.9, 1.0, 0.8, 17)]),
        errors=[NotedError(0.0, "[x] [/nothing]", "[y]")],
    )
    text = shown(item)
    for words in ("[bold]Notes[/]", "[Errno 111] refused [/red]", "[b]", "[x] [/nothing]", "[y]"):
        assert words in text


def test_a_low_terminal_shows_what_matters_most_and_says_what_is_missing(empty: ProjectReport) -> None:
    ahead = Quality(labels=[LabelScore(f"Label {n}", 0.9, 1.0, 0.8, 17) for n in range(30)])
    item = replace(empty, quality=ahead, advice=ADVICE, problem="Redis is full.", remedy="Give it more.")
    console = Console(width=110, height=12, file=StringIO())
    console.print(Fitted(dashboard(item)))
    lines = cast(StringIO, console.file).getvalue().splitlines()
    assert len(lines) == 12
    text = "\n".join(lines)
    for words in ("Redis is full.", "Give it more.", "Go on, because it pays.", "Annotated"):
        assert words in text
    whole = len(shown(item).splitlines())
    assert lines[-1].startswith(f"{whole - 11} more lines")
    roomy = Console(width=110, height=60, file=StringIO())
    roomy.print(Fitted(dashboard(item)))
    assert cast(StringIO, roomy.file).getvalue() == shown(item)


def test_a_project_that_is_not_connected_is_no_empty_dashboard(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = make_tools(store, FakeLabelStudio({}))
    monkeypatch.setattr(cli, "_tools", lambda: (None, tools))
    run = CliRunner().invoke(cli.app, ["status", "99", "--json"])
    assert run.exit_code == cli.EXIT_PROBLEM
    assert run.stdout == ""
    assert "No project is connected yet" in CliRunner().invoke(cli.app, ["status"]).stdout


def test_brackets_of_an_error_are_shown_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise AllabelError("pip install '.[sbert]' [/x]")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err.strip() == "pip install '.[sbert]' [/x]"


def test_what_the_providers_cache_saved_is_told(empty: ProjectReport) -> None:
    spent = replace(empty.spending, calls=3, prompt_tokens=9_000, cached_tokens=4_096, cost=0.5, saved=0.125)
    told = dict(model_lines(replace(empty, spending=spent)))["Model"]
    assert (
        told
        == "3 calls, 9,000 tokens, cost 0.5000; 4,096 of them from the provider's cache, which saved 0.1250"
    )
