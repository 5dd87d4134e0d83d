"""The study end to end: results, resuming, the language model, the command."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr
from rich.console import Console
from typer.testing import CliRunner

from allabel_core.errors import InvalidInputError
from allabel_core.simulation.extractors import Copying
from allabel_core.simulation.runs import Replay
from allabel_core.simulation.statistics import f1
from allabel_core.types import Document, Span
from backend import cli
from backend.adapters.llm_store import KeyValue, MemoryKeyValue
from backend.demo.sample import as_task
from backend.errors import LanguageModelError, SettingsError
from backend.settings import Settings, read_settings
from backend.simulate.cache import FileKeyValue
from backend.simulate.plan import EXPERIMENTS, Grid, make_grid, planned_runs
from backend.simulate.reading import Dataset
from backend.simulate.records import Row
from backend.simulate.run import Options, dry_run, simulate
from scripted_llm import Abilities, Request, ScriptedLlm, error

pytestmark = pytest.mark.slow

COLUMNS = (
    "dataset,strategy,budget,n_annotated,similarity,k,seed,extractor,"
    "precision,recall,f1,span_f1,full_f1,seconds,tokens"
)
TWO_SEEDS = Grid(seeds=2)
METALS = ("zinc", "iron", "tin", "lead")


def dataset(n: int = 24) -> Dataset:
    documents = []
    for i in range(n):
        metal = METALS[i % len(METALS)]
        documents.append(Document(f"heat {metal} number{i}", (Span(5, 5 + len(metal), "Metal"),)))
    return Dataset("metals", tuple(documents))


def options(out: Path, grid: Grid = TWO_SEEDS, extractor: str = "copy", **more: object) -> Options:
    return Options([dataset()], grid, extractor, out, **more)  # type: ignore[arg-type]


def quiet() -> Console:
    return Console(file=sys.stderr, quiet=True)


def results(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open() as file:
        return list(csv.DictReader(file))


def test_results_have_a_row_per_run_and_exactly_these_columns(tmp_path: Path) -> None:
    simulate(options(tmp_path), Settings(), quiet())
    rows = results(tmp_path)
    assert ",".join(rows[0]) == COLUMNS == ",".join(field.name for field in fields(Row))
    drawn = [(row["strategy"], row["budget"], row["seed"]) for row in rows]
    assert drawn == [
        ("full", "100%", "0"),
        *(
            (strategy, budget, seed)
            for budget in ("5%", "10%")
            for strategy, seed in (("allabel", "0"), ("coverage", "0"), ("random", "0"), ("random", "1"))
        ),
    ]
    assert [row["n_annotated"] for row in rows[:2]] == ["23", "1"]


def test_results_are_those_of_the_replay_itself(tmp_path: Path) -> None:
    finished = simulate(options(tmp_path), Settings(), quiet())
    replay = Replay(dataset().documents)
    full = finished[0].scores
    for run, row in zip(finished[1:], results(tmp_path)[1:], strict=True):
        planned = next(
            p
            for p in planned_runs(TWO_SEEDS, 24)
            if (p.spec.strategy, p.budget, str(p.spec.seed)) == (row["strategy"], row["budget"], row["seed"])
        )
        again = replay.run(planned.spec)
        scores = replay.score(again, replay.extract(again, Copying()))
        assert float(row["f1"]) == pytest.approx(scores.total.f1, abs=1e-4)
        assert float(row["full_f1"]) == pytest.approx(full.on(again.evaluated).f1, abs=1e-4)
        assert run.scores.evaluated == again.evaluated


def test_an_interrupted_study_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    stop_after = 4
    real = Replay.extract

    def counting(self, run, extractor, on_done):  # type: ignore[no-untyped-def]
        made.append(1)
        if len(made) == stop_after:
            raise KeyboardInterrupt
        return real(self, run, extractor, on_done)

    monkeypatch.setattr(Replay, "extract", counting)
    with pytest.raises(KeyboardInterrupt):
        simulate(options(tmp_path), Settings(), quiet())
    assert len(results(tmp_path)) == stop_after - 1
    stop_after = 0
    simulate(options(tmp_path), Settings(), quiet())
    assert len(results(tmp_path)) == 9
    assert len(made) == 10
    simulate(options(tmp_path), Settings(), quiet())
    assert len(made) == 10


def test_a_resumed_study_gives_the_same_results(tmp_path: Path) -> None:
    simulate(options(tmp_path / "whole"), Settings(), quiet())
    simulate(options(tmp_path / "parts", Grid(budgets=("5%",), seeds=1)), Settings(), quiet())
    simulate(options(tmp_path / "parts"), Settings(), quiet())

    def scored(out: Path) -> list[dict[str, str]]:
        return [{**row, "seconds": ""} for row in results(out)]

    assert scored(tmp_path / "parts") == scored(tmp_path / "whole")


def test_a_damaged_record_is_made_anew(tmp_path: Path) -> None:
    simulate(options(tmp_path), Settings(), quiet())
    before = [row["f1"] for row in results(tmp_path)]
    for path in (tmp_path / "runs").iterdir():
        path.write_bytes(path.read_bytes()[:40])
    simulate(options(tmp_path), Settings(), quiet())
    assert [row["f1"] for row in results(tmp_path)] == before


def test_other_data_does_not_use_old_runs(tmp_path: Path) -> None:
    simulate(options(tmp_path), Settings(), quiet())
    bare = tuple(Document(document.text, document.spans[:1]) for document in dataset().documents)
    other = Dataset("metals", (*bare[:-1], Document(bare[-1].text)))
    chosen = Options([other], TWO_SEEDS, "copy", tmp_path)
    assert [estimate.finished for _, estimate, _ in dry_run(chosen, Settings())] == [0]
    assert [estimate.finished for _, estimate, _ in dry_run(options(tmp_path), Settings())] == [9]


def test_the_time_left_is_told_at_the_speed_of_the_finished_runs(tmp_path: Path) -> None:
    assert dry_run(options(tmp_path), Settings())[0][1].seconds is None
    [_, done] = simulate(options(tmp_path, Grid(("coverage",), ("10%",))), Settings(), quiet())
    ((_, estimate, _),) = dry_run(options(tmp_path), Settings())
    speed = done.row.seconds / len(done.scores.evaluated)
    assert (estimate.finished, estimate.seconds) == (1, pytest.approx(speed * estimate.texts))


def test_the_report_is_complete_and_needs_no_other_file(tmp_path: Path) -> None:
    simulate(options(tmp_path, command="allabel simulate <x>"), Settings(), quiet())
    page, text = (tmp_path / "report.html").read_text(), (tmp_path / "report.md").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "allabel simulate &lt;x&gt;" in page
    for name in ("curves.png", "labels.png", "closeness.png"):
        assert f"({name})" in text
        assert (tmp_path / name).stat().st_size < 200_000
    assert "not reached" in text or "%" in text
    for name in ("summary", "needed", "closeness", "labels"):
        assert (tmp_path / f"{name}.csv").exists()


def test_plots_by_k_and_by_similarity(tmp_path: Path) -> None:
    def encode(texts):  # type: ignore[no-untyped-def]
        return np.array([[text.count("n"), text.count("i"), 1.0] for text in texts])

    grid = Grid(("coverage",), ("10%",), ("bm25", "sbert", "fused"), (1, 3))
    simulate(options(tmp_path, grid, encode=encode), Settings(), quiet())
    page = (tmp_path / "report.md").read_text()
    assert "(k.png)" in page
    assert "(similarity.png)" in page
    assert "(curves.png)" not in page
    assert len(results(tmp_path)) == 2 * 6


def test_every_experiment_is_a_grid_that_can_be_planned() -> None:
    assert set(EXPERIMENTS) == {
        "main", "stages", "warmstart", "proportions", "k", "similarity", "correlation", "per-label",
    }  # fmt: skip
    for name in EXPERIMENTS:
        assert planned_runs(make_grid(name), 700)
    assert {planned.spec.k for planned in planned_runs(make_grid("k"), 100)} == {1, 2, 3, 4, 6, 8, 12, 16}
    assert {p.budget for p in planned_runs(make_grid("main"), 100)} == {"1%", "2%", "5%", "10%", "15%", "20%"}


def test_options_take_the_place_of_an_experiments_own() -> None:
    grid = make_grid(
        "stages", strategies="coverage, random", budgets="7", ks="1,5", seeds=4, similarities="sbert"
    )
    assert grid == Grid(("coverage", "random"), ("7",), ("sbert",), (1, 5), 4)
    assert len(planned_runs(grid, 100)) == 2 * (1 + 4)


@pytest.mark.parametrize(
    "wrong",
    [{"ks": "0"}, {"ks": "x"}, {"strategies": "best"}, {"similarities": "cosine"}],
)
def test_wrong_options_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        make_grid(None, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError):
        make_grid("everything")


@pytest.mark.parametrize("budget", ["100%", "24", "x", "0"])
def test_a_budget_must_leave_something_to_evaluate(budget: str) -> None:
    with pytest.raises(InvalidInputError):
        planned_runs(Grid(budgets=(budget,)), 24)


# The language model.


def says_gold(request: Request) -> str:
    """What a perfect model answers: the metal of the question."""
    asked = request.body["messages"][-1]["content"]
    found = [metal for metal in METALS if metal in asked]
    return json.dumps({"entities": [{"text": words, "label": "Metal"} for words in found]})


@pytest.fixture
def model():  # type: ignore[no-untyped-def]
    with ScriptedLlm(Abilities()) as server:
        server.say = says_gold
        yield server


def settings_for(server: ScriptedLlm, **more: str) -> Settings:
    return read_settings({"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "k", "OPENAI_MODEL": "m", **more})


def asked_about(server: ScriptedLlm) -> int:
    return sum("number" in json.dumps(request.body) for request in server.requests)


def test_the_language_model_is_asked_scored_and_paid_once(tmp_path: Path, model: ScriptedLlm) -> None:
    grid = Grid(("coverage", "random"), ("10%",), seeds=2)
    settings = settings_for(model, PRICE_PROMPT="1", PRICE_COMPLETION="2")
    chosen = options(tmp_path, grid, "llm", test_texts=8)
    ((_, estimate, cost),) = dry_run(chosen, settings)
    assert asked_about(model) == 0
    assert estimate.runs == 4
    assert cost is not None
    assert cost == pytest.approx((estimate.prompt_tokens + 2 * estimate.answer_tokens) / 1e6)

    simulate(chosen, settings, quiet())
    rows = results(tmp_path)
    assert {row["f1"] for row in rows} == {"1.0000"}
    assert {row["extractor"] for row in rows} == {"m"}
    assert all(int(row["tokens"]) >= 8 * 110 for row in rows)
    assert asked_about(model) == estimate.prompts
    assert "with perplexity" in (tmp_path / "report.md").read_text()

    for path in (tmp_path / "runs").iterdir():
        path.unlink()
    simulate(chosen, settings, quiet())
    assert asked_about(model) == estimate.prompts


def test_a_bar_shows_what_is_done_of_how_much_and_the_cost_left(tmp_path: Path, model: ScriptedLlm) -> None:
    screen = io.StringIO()
    settings = settings_for(model, PRICE_PROMPT="1000", PRICE_COMPLETION="1000")
    chosen = options(tmp_path, Grid(("coverage",), ("10%",)), "llm", test_texts=5)
    ((_, estimate, _),) = dry_run(chosen, settings)
    simulate(chosen, settings, Console(file=screen, force_terminal=True, width=160))
    frames = screen.getvalue()
    assert f"0/{estimate.texts}" in frames
    last = frames[frames.rindex("metals ") :]
    assert f"{estimate.texts}/{estimate.texts}" in last
    assert re.search(r"cost [1-9]\d*\.\d\d, about 0\.00 left", last)


def test_perplexity_is_of_the_answers_tokens(tmp_path: Path, model: ScriptedLlm) -> None:
    chosen = options(tmp_path, Grid(("coverage",), ("10%",)), "llm", test_texts=5)
    for run in simulate(chosen, settings_for(model), quiet()):
        assert run.scores.perplexity == pytest.approx(np.exp(0.5))


def test_a_model_that_is_gone_ends_the_run_and_the_next_goes_on(tmp_path: Path, model: ScriptedLlm) -> None:
    chosen = options(tmp_path, Grid(("coverage",), ("10%",)), "llm", test_texts=8)
    settings = settings_for(model, OPENAI_CONCURRENCY="1")
    model.say = None
    answered = 0

    def fail_later(request: Request) -> str:
        nonlocal answered
        answered += 1
        if answered == 6:
            model.faults.extend([error(401)] * 50)
        return says_gold(request)

    model.say = fail_later
    with pytest.raises(LanguageModelError, match="again"):
        simulate(chosen, settings, quiet())
    model.faults.clear()
    before = asked_about(model)
    simulate(chosen, settings, quiet())
    ((_, estimate, _),) = dry_run(options(tmp_path / "new", chosen.grid, "llm", test_texts=8), settings)
    assert asked_about(model) - before < estimate.prompts
    assert {row["f1"] for row in results(tmp_path)} == {"1.0000"}


def test_an_answer_that_is_no_answer_counts_as_nothing_found(tmp_path: Path, model: ScriptedLlm) -> None:
    model.say = lambda request: "I would rather not."
    chosen = options(tmp_path, Grid(("coverage",), ("10%",)), "llm", test_texts=5)
    finished = simulate(chosen, settings_for(model), quiet())
    assert [run.scores.failures for run in finished] == [len(run.scores.evaluated) for run in finished]
    assert {row["f1"] for row in results(tmp_path)} == {"0.0000"}
    assert "answers failed" in (tmp_path / "report.md").read_text()


def test_without_a_model_the_language_model_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="OPENAI"):
        simulate(options(tmp_path, extractor="llm"), Settings(), quiet())
    with pytest.raises(InvalidInputError, match="joined"):
        simulate(options(tmp_path, extractor="bert"), Settings(), quiet())


# All sources joined.


def sources(out: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (out / "sources.csv").open() as file:
        return {(row["budget"], row["source"]): row for row in csv.DictReader(file)}


def test_joined_says_what_each_source_gives(tmp_path: Path, model: ScriptedLlm) -> None:
    more = {"test_texts": 8, "fixed_test": True}
    chosen = options(tmp_path, Grid(("coverage",), ("12",)), "joined", **more)
    settings = settings_for(model)
    ((_, estimate, _),) = dry_run(chosen, settings)
    simulate(chosen, settings, quiet())
    # 8 test texts twice and 12 of 16 others as they were before; full annotation asks about all 16.
    assert asked_about(model) == estimate.prompts
    rows = results(tmp_path)
    assert {row["extractor"] for row in rows} == {"joined with m"}
    assert [row["n_annotated"] for row in rows] == ["16", "12"]
    found = sources(tmp_path)
    assert {source for _, source in found} == {"model", "tagger", "lexicon", "learned"}
    assert found["12", "model"]["F1"].startswith("1.000")
    assert found["12", "model"]["joined over it"].startswith("0.000")
    assert float(rows[1]["f1"]) == 1
    assert "What each source gives" in (tmp_path / "report.md").read_text()
    assert "spans" in (tmp_path / "summary.csv").read_text().splitlines()[1]


def test_a_tagger_needs_no_model(tmp_path: Path) -> None:
    simulate(options(tmp_path, Grid(("coverage",), ("50%",)), "tagger"), Settings(), quiet())
    full, half = results(tmp_path)
    assert half["tokens"] == "0"
    assert float(full["f1"]) > 0.9
    assert {source for _, source in sources(tmp_path)} == {"tagger", "lexicon", "learned"}


def test_a_text_that_the_model_does_not_answer_is_answered_by_the_others(
    tmp_path: Path, model: ScriptedLlm
) -> None:
    model.say = lambda _: "no JSON at all"
    chosen = options(tmp_path, Grid(("coverage",), ("50%",)), "joined")
    assert float(simulate(chosen, settings_for(model), quiet())[1].row.f1) > 0.5
    assert sources(tmp_path)["50%", "model"]["F1"].startswith("0.000")


# A fixed test.


def test_a_fixed_test_is_the_same_for_every_run_and_never_annotated(tmp_path: Path) -> None:
    grid = Grid(("coverage", "random", "allabel"), ("25%", "50%"), seeds=2)
    finished = simulate(options(tmp_path, grid, test_texts=8, fixed_test=True), Settings(), quiet())
    (evaluated,) = {run.scores.evaluated for run in finished}
    assert len(evaluated) == 8
    replay = Replay(dataset().documents, test_texts=8, fixed_test=True)
    for planned in planned_runs(grid, len(replay.choosable)):
        run = replay.run(planned.spec)
        assert run.evaluated == evaluated
        assert not set(run.corpus) & set(evaluated)
        assert not {text for shown in run.shown for text in shown} & set(evaluated)
    assert {row["n_annotated"] for row in results(tmp_path)} == {"16", "4", "8"}


@pytest.mark.parametrize("test_texts", [None, 23])
def test_a_fixed_test_must_leave_texts_to_choose_from(tmp_path: Path, test_texts: int | None) -> None:
    with pytest.raises(InvalidInputError, match="fixed test"):
        simulate(options(tmp_path, test_texts=test_texts, fixed_test=True), Settings(), quiet())


def test_what_a_model_was_asked_before_shows_earlier_annotations_alone() -> None:
    replay = Replay(dataset().documents)
    run = replay.run(planned_runs(Grid(("coverage",), ("50%",)), 24)[0].spec)
    for place, question in enumerate(replay.asked_before(run)):
        earlier = [replay.documents[text] for text in run.corpus[:place]]
        assert question.text == replay.texts[run.corpus[place]]
        assert all(shown in earlier for shown in question.demonstrations)
        assert len(question.demonstrations) == min(3, place)
    full = replay.full_run("bm25", 3, (0, 1))
    for question in replay.asked_before(full):
        assert question.text not in {shown.text for shown in question.demonstrations}


# The tables before the plots.


def test_without_matplotlib_there_are_tables_and_a_word_about_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    outcome = CliRunner().invoke(
        cli.app,
        ["simulate", "--demo", "--strategies", "coverage", "--budgets", "10%,20%", "--out", str(tmp_path)],
        env={"COLUMNS": "200"},
    )
    assert outcome.exit_code == 0, outcome.output
    assert "no plots: matplotlib is not installed" in outcome.output
    made = {path.name for path in tmp_path.iterdir()}
    assert {"results.csv", "summary.csv", "needed.csv", "report.md", "report.html"} <= made
    assert not {name for name in made if name.endswith(".png")}
    assert "![" not in (tmp_path / "report.md").read_text()


# The cache in a file.


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path):  # type: ignore[no-untyped-def]
    """The memory store beside it: both must do the same."""
    made: KeyValue = FileKeyValue(tmp_path / "cache.sqlite") if request.param == "file" else MemoryKeyValue()
    yield made
    if isinstance(made, FileKeyValue):
        made.close()


def test_values_end_and_claims_belong_to_one(store: KeyValue) -> None:
    store.put("a", b"1", seconds=60)
    store.put("gone", b"1", seconds=-1)
    assert (store.get("a"), store.get("gone"), store.get("never")) == (b"1", None, None)
    assert store.claim("c", "me", seconds=60)
    assert store.claim("c", "me", seconds=60)
    assert not store.claim("c", "you", seconds=60)
    store.release("c", "you")
    assert not store.claim("c", "you", seconds=60)
    store.release("c", "me")
    assert store.claim("c", "you", seconds=-1)
    assert store.claim("c", "me", seconds=60)
    store.drop("a")
    assert store.get("a") is None


def test_sums_add_up_and_end(store: KeyValue) -> None:
    assert store.add("s", {"x": 1}) == {"x": 1}
    assert store.add("s", {"x": 2, "y": 5}) == {"x": 3, "y": 5} == store.sums("s")
    store.add("t", {"x": 1}, seconds=-1)
    assert store.sums("t") == {}
    assert store.add("t", {"x": 1}, seconds=60) == {"x": 1}


def test_the_file_outlives_the_process(tmp_path: Path) -> None:
    first = FileKeyValue(tmp_path / "cache.sqlite")
    first.put("a", b"1", seconds=60)
    first.close()
    second = FileKeyValue(tmp_path / "cache.sqlite")
    assert second.get("a") == b"1"
    second.close()


# The command.


def run(*arguments: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(cli.app, ["simulate", *arguments], env={"COLUMNS": "200"})
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        return 1, str(outcome.exception)
    return outcome.exit_code, outcome.output


def test_the_command_of_the_manual(tmp_path: Path) -> None:
    data = tmp_path / "metals.json"
    data.write_text(json.dumps([as_task(document) for document in dataset().documents]))
    out = tmp_path / "out"
    arguments = [str(data), "--strategies", "allabel,coverage,random", "--budgets", "5%,10%", "--similarity"]
    arguments += ["bm25", "--k", "3", "--seeds", "3", "--extractor", "copy", "--out", str(out)]
    code, said = run(*arguments, "--dry-run")
    assert code == 0
    assert not (out / "results.csv").exists()
    assert "11" in said
    code, said = run(*arguments)
    assert code == 0
    assert "report.html" in said
    assert len(results(out)) == 11


def test_the_sample_and_what_is_missing(tmp_path: Path) -> None:
    code, _ = run(
        "--demo", "--out", str(tmp_path), "--strategies", "random", "--budgets", "5%", "--seeds", "1"
    )
    assert code == 0
    assert results(tmp_path)[0]["dataset"] == "sample"
    assert run("--out", str(tmp_path)) == (1, "Name a file of annotated data, or use --demo for the sample.")


def test_only_one_data_set_at_a_time_goes_through_the_product(tmp_path: Path) -> None:
    data = tmp_path / "metals.json"
    data.write_text(json.dumps([as_task(document) for document in dataset().documents]))
    assert "label-studio only" in run(str(data), "--through", "argilla")[1]
    assert "One data set" in run(str(data), "--demo", "--through", "label-studio")[1]


def test_f1_in_the_summary_is_the_mean_over_seeds(tmp_path: Path) -> None:
    finished = simulate(options(tmp_path), Settings(), quiet())
    drawn = [r for r in finished if r.row.strategy == "random" and r.row.budget == "10%"]
    mean = np.mean([f1(r.scores.by_text(r.texts).sum(axis=0, keepdims=True))[0] for r in drawn])
    with (tmp_path / "summary.csv").open() as file:
        (line,) = [r for r in csv.DictReader(file) if (r["strategy"], r["budget"]) == ("random", "10%")]
    assert line["F1"].startswith(f"{mean:.3f} [")
    assert line["seeds"] == "2"


def test_no_key_is_in_what_is_written(tmp_path: Path, model: ScriptedLlm) -> None:
    settings = settings_for(model, OPENAI_API_KEY="sk-very-secret")
    assert isinstance(settings.openai_api_key, SecretStr)
    simulate(options(tmp_path, Grid(("coverage",), ("10%",)), "llm", test_texts=3), settings, quiet())
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"sk-very-secret" not in path.read_bytes()
