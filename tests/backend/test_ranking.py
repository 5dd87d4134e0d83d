"""The product's ranker: what a project's settings ask for, and a Dask cluster in place of one machine."""

from __future__ import annotations

import dataclasses
import random
import sys

import pytest
from projects import PROJECT, AnyLabelStudio, connected, gold, make_tools, settle
from typer.testing import CliRunner

from allabel_core.errors import InvalidInputError, MissingExtraError, UnreachableClusterError
from allabel_core.similarity.tokenize import tokenize
from backend import cli, worker
from backend.adapters.store import Store
from backend.dashboard import model_lines
from backend.errors import SettingsError
from backend.ports import ProjectSettings
from backend.settings import Settings, read_settings
from backend.usecases.connect import with_params
from backend.usecases.events import Event, receive
from backend.usecases.preannotator import Preannotator
from backend.usecases.ranking import Ranker, reading_budget
from backend.usecases.report import report

SETTINGS = ProjectSettings()


def made_up_texts(count: int) -> dict[int, str]:
    draw = random.Random(0)
    return {i: " ".join(f"w{int(draw.paretovariate(0.7))}" for _ in range(12)) for i in range(1, count + 1)}


def asked(texts: dict[int, str], annotated: list[int], budget: int, **settings: object) -> list[int]:
    chosen = with_params(SETTINGS, settings)
    return [entry.task_id for entry in Ranker().rank(PROJECT, texts, annotated, budget, chosen)]


def test_settings_of_the_selection_as_people_type_them() -> None:
    typed = {"tokenizer": "characters-3", "near_duplicates": "0.9", "budget_unit": "tokens"}
    assert with_params(SETTINGS, typed) == dataclasses.replace(
        SETTINGS, tokenizer="characters-3", near_duplicates=0.9, budget_unit="tokens"
    )


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("tokenizer", "syllables", "tokenizer must be one of words, characters-2"),
        ("near_duplicates", "1.5", "near_duplicates must lie between 0 and 1"),
        ("near_duplicates", "nan", "near_duplicates must lie between 0 and 1"),
        ("budget_unit", "pages", "budget_unit must be one of texts, tokens"),
    ],
)
def test_settings_of_the_selection_that_cannot_be_used(name: str, value: str, complaint: str) -> None:
    with pytest.raises(InvalidInputError, match=complaint):
        with_params(SETTINGS, {name: value})


NAMES = ("water", "iron", "methylbenzene", "gold", "dimethylbenzene", "methylbenzenes", "tin", "acid")
"""As words they share nothing, and ties fall to the lowest id; by characters 5 resembles 3 and 6."""


def test_the_tokenizer_shapes_the_queue_and_its_change_needs_another_index() -> None:
    texts = dict(enumerate(NAMES, start=1))
    ranker = Ranker()
    for tokenizer, queue in (("words", [1, 2]), ("characters-3", [5, 1]), ("words", [1, 2])):
        settings = with_params(SETTINGS, {"strategy": "coverage", "tokenizer": tokenizer})
        assert [entry.task_id for entry in ranker.rank(PROJECT, texts, [], 2, settings)] == queue


def test_demonstrations_are_found_with_the_tokenizer(store: Store) -> None:
    texts = {1: "acetone", 2: "dimethylbenzenes", 3: "water", 4: "methylbenzene"}
    label_studio = AnyLabelStudio({n: {"text": text} for n, text in texts.items()})
    tools = connected(make_tools(store, label_studio, None, tokenizer="characters-3", k=1))
    for task_id in (1, 2, 3):
        label_studio.annotate(task_id, gold(label_studio, texts[task_id], (texts[task_id], "Fruit")))
    store.mark_dirty(PROJECT, "annotations")
    settle(tools)
    assert Preannotator.of_project(tools, PROJECT).question(texts[4]).demonstrations == [2]


def test_of_near_identical_texts_one_is_asked_for() -> None:
    texts = {1: "a b c d", 2: "x y", 3: "a b c d", 4: "a b c d e", 5: "p q"}
    assert sorted(asked(texts, [], 5)) == [1, 2, 3, 4, 5]
    assert sorted(asked(texts, [], 5, near_duplicates=0.8)) == [1, 2, 5]
    assert sorted(asked(texts, [], 5, near_duplicates=1)) == [1, 2, 4, 5]
    assert sorted(asked(texts, [4], 5, near_duplicates=0.8)) == [2, 5]


def test_a_budget_in_tokens_is_what_people_read() -> None:
    texts = made_up_texts(200)
    settings = dataclasses.replace(SETTINGS, budget="10%", budget_unit="tokens")
    budget = reading_budget(settings, texts.values())
    assert budget == 240  # a tenth of 200 texts of 12 tokens
    queue = Ranker().rank(PROJECT, texts, [7], budget, settings)
    assert 12 + sum(len(tokenize(texts[entry.task_id])) for entry in queue) == budget
    assert reading_budget(dataclasses.replace(settings, budget="50"), texts.values()) == 50
    assert reading_budget(dataclasses.replace(SETTINGS, budget="10%"), texts.values()) == 20


def test_a_budget_in_tokens_is_told_as_tasks(store: Store) -> None:
    texts = {n: f"one pear of basket {n}" for n in range(1, 21)}
    label_studio = AnyLabelStudio({n: {"text": text} for n, text in texts.items()})
    tools = connected(make_tools(store, label_studio, None, budget="25", budget_unit="tokens"))
    found = report(tools, PROJECT)
    assert (found.budget, found.queued, found.annotated) == (5, 5, 0)
    first = store.queue(PROJECT)[0].task_id
    label_studio.annotate(first, gold(label_studio, texts[first], ("pear", "Fruit")))
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    # As if the last description had been written some time ago.
    store.release(f"describe:{PROJECT}:{store.fact(PROJECT, 'state')}")
    settle(tools)
    found = report(tools, PROJECT)
    assert (found.budget, found.queued, found.annotated) == (5, 4, 1)
    assert "1 of 5 annotations done" in label_studio.known.description


def test_labels_with_few_demonstrations_are_reported(store: Store) -> None:
    texts = {n: f"one pear of basket {n}" for n in range(1, 21)}
    label_studio = AnyLabelStudio({n: {"text": text} for n, text in texts.items()})
    tools = connected(make_tools(store, label_studio, None, k=2))
    assert "Rare labels" not in dict(model_lines(report(tools, PROJECT)))
    for task_id in (1, 2):
        label_studio.annotate(task_id, gold(label_studio, texts[task_id], ("pear", "Fruit")))
    store.mark_dirty(PROJECT, "annotations")
    settle(tools)
    found = report(tools, PROJECT)
    assert found.scarce_labels == {"Animal": 0}
    assert dict(model_lines(found))["Rare labels"].startswith("Animal in 0 annotated tasks")


@pytest.mark.parametrize("address", ["localhost:8786", "http://localhost:8786", "tcp://localhost"])
def test_a_scheduler_that_is_no_address_is_named(address: str) -> None:
    with pytest.raises(SettingsError, match="DASK_SCHEDULER"):
        read_settings({"DASK_SCHEDULER": address})


def test_the_workers_option_reaches_the_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def run_worker(settings: Settings) -> None:
        # What a job of this process would read.
        seen.extend((settings.dask_scheduler, read_settings().dask_scheduler))

    monkeypatch.setenv("DASK_SCHEDULER", "tcp://elsewhere:1")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "token")
    monkeypatch.setattr(cli, "require_services", lambda tools: None)
    monkeypatch.setattr(worker, "run_worker", run_worker)
    monkeypatch.setattr(cli, "configure_logging", lambda settings, console: None)
    run = CliRunner().invoke(cli.app, ["worker", "--scheduler", "tcp://localhost:8786"])
    assert run.exit_code == 0, run.output
    assert seen == ["tcp://localhost:8786"] * 2


def test_a_scheduler_without_the_package_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        Ranker("tcp://127.0.0.1:8786")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_of_two_processes_gives_the_same_queue() -> None:
    from distributed import LocalCluster

    texts = made_up_texts(2_300)
    more = {**texts, **{n + 5_000: text for n, text in made_up_texts(40).items()}}
    alone = Ranker()
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        shared = Ranker(cluster.scheduler_address)
        for settings in (SETTINGS, dataclasses.replace(SETTINGS, strategy="coverage")):
            for given, annotated in ((texts, []), (texts, [9, 400]), (more, [9, 400])):
                expected = alone.rank(PROJECT, given, annotated, 60, settings)
                assert shared.rank(PROJECT, given, annotated, 60, settings) == expected
        assert "neighbours" in cluster.scheduler.task_prefixes
        address = cluster.scheduler_address
    with pytest.raises(UnreachableClusterError, match=address):
        Ranker(address).rank(PROJECT, texts, [], 60, SETTINGS)
