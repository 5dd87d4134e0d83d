"""The terminal command `allabel simulate`: translates options, shows what comes of it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from allabel_core.errors import InvalidInputError

from ..importing.command import left_out_lines
from ..settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings
    from .plan import Grid
    from .reading import Dataset
    from .run import Options

DataArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        exists=True,
        help="Annotated data: any file that 'allabel import' takes, such as an export of Label Studio.",
        show_default=False,
    ),
]


def simulate(
    data: DataArgument = None,
    demo: Annotated[bool, typer.Option("--demo", help="Use the sample texts.")] = False,
    strategies: Annotated[
        str | None, typer.Option(help="With commas; a variant of the stages is allabel@1:1:1.")
    ] = None,
    budgets: Annotated[str | None, typer.Option(help="With commas: 5%,10% or numbers of texts.")] = None,
    similarity: Annotated[str | None, typer.Option(help="With commas: bm25, sbert, fused.")] = None,
    k: Annotated[str | None, typer.Option(help="Demonstrations shown; with commas.")] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Repetitions of strategies that draw at random.")
    ] = None,
    extractor: Annotated[
        str,
        typer.Option(
            help="copy; tagger: tagger and lexicon; llm: the language model of the settings; joined: both."
        ),
    ] = "copy",
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("simulation"),
    experiment: Annotated[
        str | None,
        typer.Option(help="main, stages, warmstart, proportions, k, similarity, correlation or per-label."),
    ] = None,
    test_texts: Annotated[
        int | None, typer.Option(min=1, help="Evaluate on so many texts a run, not on all.")
    ] = None,
    fixed_test: Annotated[
        bool,
        typer.Option("--fixed-test", help="Draw the --test-texts once; no strategy may choose them."),
    ] = False,
    through: Annotated[
        str | None,
        typer.Option(help="label-studio: one run through the running product, compared with its simulation."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would take.")] = False,
) -> None:
    """Replay strategies on annotated data: would active learning help here, and how much is enough?

    Example: [bold]allabel simulate export.json --budgets 5%,10% --out results[/bold]
    """
    from .plan import make_grid
    from .reading import read_dataset, sample_dataset
    from .run import Options, simulate

    grid = make_grid(
        experiment, strategies=strategies, budgets=budgets, similarities=similarity, ks=k, seeds=seeds
    )
    datasets = [read_dataset(path) for path in data or ()] + ([sample_dataset()] if demo else [])
    if not datasets:
        raise InvalidInputError("Name a file of annotated data, or use --demo for the sample.")
    if len({dataset.name for dataset in datasets}) < len(datasets):
        raise InvalidInputError("Two data sets have the same name; rename a file or folder.")
    for dataset in datasets:
        for line in left_out_lines(dataset.left_out):
            Console(stderr=True).print(f"{dataset.name}: {line}", highlight=False, markup=False)
    if through is not None:
        _compare(through, datasets, grid)
        return
    command = shlex.join(["allabel", *sys.argv[1:]])
    options = Options(datasets, grid, extractor, out, test_texts, fixed_test, command)
    settings = read_settings()
    console = Console()
    if dry_run:
        console.print(_estimates(options, settings))
        return
    finished = simulate(options, settings, console)
    console.print(f"{len(finished)} runs; see {out / 'report.html'}", highlight=False)


def _compare(through: str, datasets: Sequence[Dataset], grid: Grid) -> None:
    """The first run of the grid through the product; exit code 1 where it differs from its simulation."""
    from ..bootstrap import build_label_studio, build_tools
    from .plan import planned_runs
    from .through import through_label_studio

    if through != "label-studio":
        raise InvalidInputError(f"--through knows label-studio only, not {through!r}.")
    if len(datasets) != 1:
        raise InvalidInputError("One data set at a time goes through the product.")
    settings = read_settings()
    spec = planned_runs(grid, len(datasets[0].documents))[0].spec
    console = Console()
    client = build_label_studio(settings)
    try:
        with console.status("Importing") as status:
            found = through_label_studio(
                datasets[0],
                spec,
                build_tools(settings),
                client,
                auth=settings.basic_auth,
                say=status.update,
            )
    finally:
        client.close()
    order = "the same order" if found.served == found.simulated else "another order"
    console.print(
        f"Project {found.project_id}: {spec.strategy} served {len(found.served)} texts in {order}; F1 of "
        f"the others {found.served_f1:.4f}, simulated {found.simulated_f1:.4f}.",
        highlight=False,
    )
    if not found.same:
        raise typer.Exit(1)


def _estimates(options: Options, settings: Settings) -> Table:
    from .run import dry_run

    table = Table(title="What it would take")
    for name in ("data", "runs", "finished", "texts to ask about", "prompts", "tokens", "cost", "time"):
        table.add_column(name, justify="left" if name == "data" else "right")
    for name, estimate, cost in dry_run(options, settings):
        tokens = estimate.prompt_tokens + estimate.answer_tokens
        counts = (estimate.runs, estimate.finished, estimate.texts, estimate.prompts, tokens)
        price = "" if cost is None else f"{cost:.2f}"
        table.add_row(name, *(f"{count:,}" for count in counts), price, _duration(estimate.seconds))
    return table


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "after a first run"
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
