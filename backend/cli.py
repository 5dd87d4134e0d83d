"""The `allabel` command: translates, runs a use case, shows what comes of it."""

from __future__ import annotations

import json as json_module
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from redis.exceptions import RedisError
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from allabel_core.errors import AllabelError, InvalidInputError

from . import doctor as checks
from .bootstrap import build_tools, rotate_secrets
from .dashboard import Fitted, dashboard
from .exporting.command import export
from .importing.command import import_
from .logs import configure_logging
from .settings import Settings, read_settings
from .simulate.command import simulate
from .starting import require_port, require_services
from .tag import tag
from .usecases.connect import connect as connect_project
from .usecases.connect import project_page
from .usecases.estimate import estimate as estimate_project
from .usecases.figures import ProjectReport
from .usecases.finish import cancel_finishing
from .usecases.finish import finish as finish_project
from .usecases.forecast import finish_forecast
from .usecases.report import report
from .usecases.reset import reset as reset_project
from .usecases.take_away import export_tagger as take_tagger_away
from .usecases.tools import Tools

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Get a whole Label Studio project labelled with entities while annotating 5-10% of it.",
)
out = Console()
err = Console(stderr=True)

logger = logging.getLogger(__name__)

EXIT_PROBLEM = 1
EXIT_INTERRUPTED = 130
_LEFT_OFF = "Labelling the rest was left off. What the model has said so far is kept and not paid again."
POLL_SECONDS = 0.5
WATCH_SECONDS = 2.0

ProjectArgument = Annotated[
    int, typer.Argument(help="The project's number, as in its address /projects/NUMBER.")
]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(metadata.version("allabel"))
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """The console script. Errors made on purpose end as one sentence and exit code 1."""
    try:
        app()
    except AllabelError as error:
        err.print(f"[red]{escape(str(error))}[/red]", highlight=False)
        sys.exit(EXIT_PROBLEM)
    except RedisError as error:
        err.print(
            f"[red]Redis does not answer ({type(error).__name__}); check REDIS_URL and that it is up.[/red]"
        )
        sys.exit(EXIT_PROBLEM)


@app.command()
def serve() -> None:
    """Answer Label Studio: run the HTTP side of the backend.

    Example: [bold]LABEL_STUDIO_API_KEY=... allabel serve[/bold]
    """
    from .security import is_loopback
    from .serving import run_server

    settings = read_settings()
    configure_logging(settings, err)
    if settings.basic_auth is None and not is_loopback(settings.host):
        logger.warning(
            "anyone who reaches %s:%d may use this backend: set BASIC_AUTH_USER and BASIC_AUTH_PASS, "
            "or HOST=127.0.0.1",
            settings.host,
            settings.port,
        )
    require_port(settings)
    tools = build_tools(settings)
    require_services(tools)
    tools.store.require_lasting()
    tools.store.migrate()
    run_server(settings)


@app.command()
def worker(
    scheduler: Annotated[
        str | None, typer.Option(help="Dask scheduler for very large projects: tcp://HOST:8786.")
    ] = None,
) -> None:
    """Rank, ask the model, publish: run a worker. Start as many as you like.

    Example: [bold]LABEL_STUDIO_API_KEY=... OPENAI_API_KEY=... allabel worker[/bold]
    """
    from .worker import run_worker

    if scheduler is not None:
        # The jobs, too, read their settings from there.
        os.environ["DASK_SCHEDULER"] = scheduler
    # A log is no place for the progress bars with which sentence-transformers loads its model.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    settings = read_settings()
    configure_logging(settings, err)
    require_services(build_tools(settings))
    run_worker(settings)


@app.command()
def connect(
    project: ProjectArgument,
    budget: Annotated[str | None, typer.Option(help="Tasks that people will annotate: 10% or 70.")] = None,
    strategy: Annotated[str | None, typer.Option(help="How texts are chosen.")] = None,
    similarity: Annotated[str | None, typer.Option(help="bm25 or sbert.")] = None,
    k: Annotated[int | None, typer.Option(min=0, help="Demonstrations shown to the model.")] = None,
    window: Annotated[int | None, typer.Option(min=1, help="Tasks pre-annotated ahead.")] = None,
    dictionary: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Terms of your own: TSV of term and label, in UTF-8."),
    ] = None,
    other: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting of a project, as NAME=VALUE.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the first queue is published.")] = True,
) -> None:
    """Connect a project, or change its settings; the same as 'Connect model' in Label Studio.

    Example: [bold]allabel connect 1 --budget 15%[/bold]
    """
    _, tools = _tools()
    given = {"budget": budget, "strategy": strategy, "similarity": similarity, "k": k, "window": window}
    params: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    params |= {name: value for name, _, value in (setting.partition("=") for setting in other or ())}
    if dictionary is not None:
        params["dictionary"] = _read_text(dictionary)
    connect_project(tools, project, params)
    out.print(f"Project {project} is connected to {tools.backend_url}.")
    out.print(f"Its page: {project_page(tools, project)}")
    if wait:
        _follow(tools, project, until=("ready", "budget_used", "no_tasks", "no_texts", "finished", "capped"))


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read as UTF-8 text.") from error


@app.command()
def status(
    project: Annotated[int | None, typer.Argument(help="One project; all by default.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON line per project.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Keep showing it, until Ctrl+C.")] = False,
) -> None:
    """Where each project stands: state, budget, quality of the suggestions, advice on stopping.

    Example: [bold]allabel status 1 --watch[/bold]
    """
    _, tools = _tools()
    if json:
        for item in _reports(tools, project):
            typer.echo(json_module.dumps(asdict(item), ensure_ascii=False))
        return
    if not watch:
        out.print(_dashboards(tools, project))
        return
    first = Fitted(_dashboards(tools, project))
    with suppress(KeyboardInterrupt), Live(first, console=out, screen=True) as live:
        while True:
            time.sleep(WATCH_SECONDS)
            live.update(Fitted(_dashboards(tools, project)))


@app.command()
def estimate(
    project: ProjectArgument,
    json: Annotated[bool, typer.Option("--json", help="One JSON line.")] = False,
) -> None:
    """What the window, the budget and 'finish' will cost: calls, tokens, money. Asks no model.

    Example: [bold]PRICE_PROMPT=0.15 PRICE_COMPLETION=0.60 allabel estimate 1[/bold]
    """
    _, tools = _tools()
    _require_connected(tools, project)
    found = estimate_project(tools, project)
    if json:
        typer.echo(found.to_json())
        return
    if not found.costs:
        out.print("No model is configured, so nothing is asked and nothing is spent.", highlight=False)
        return
    table = Table("", "calls", "prompt tokens", "answer tokens", "cost", title=f"Project {project}")
    for cost in found.costs:
        money = "-" if cost.money is None else f"{cost.money:.4f}"
        figures = (cost.calls, cost.prompt_tokens, cost.completion_tokens)
        table.add_row(cost.what, *(f"{figure:,}" for figure in figures), money)
    out.print(table)
    out.print(f"Tokens of a call: {found.basis}.", highlight=False)
    if found.shares:
        shares = Table(
            "asked about", "expected F1", "tokens", "cost", "", title="finish, by share of the texts"
        )
        for each in found.shares:
            money = "-" if each.money is None else f"{each.money:.4f}"
            mark = "by default" if each.worth_asking else ""
            shares.add_row(f"{each.share:.0%}", f"{each.f1:.3f}", f"{each.tokens:,}", money, mark)
        out.print(shares)


@app.command()
def rerank(project: ProjectArgument) -> None:
    """Read the project anew and rank it now.

    Example: [bold]allabel rerank 1[/bold]
    """
    _, tools = _tools()
    _require_connected(tools, project)
    before = int(tools.store.fact(project, "rankings") or 0)
    tools.store.mark_dirty(project, "setup", "tasks")
    with out.status("Ranking ..."):
        while int(tools.store.fact(project, "rankings") or 0) == before:
            _require_healthy(tools, project)
            time.sleep(POLL_SECONDS)
    seconds, queue = tools.store.fact(project, "rank_seconds"), tools.store.queue(project)
    out.print(f"Ranked in {seconds} s; {len(queue)} to annotate.")


@app.command()
def finish(
    project: ProjectArgument,
    ask: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Ask the model about this share of the texts; see estimate."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Leave off labelling the rest.")] = False,
) -> None:
    """Label every remaining task, by all that the annotations so far have taught, and by the model.

    The model is asked as far as it pays: by default about the smallest share of the texts that costs less
    than half a point of F1.

    Example: [bold]allabel finish 1 --ask 0.25[/bold]
    """
    _, tools = _tools()
    _require_connected(tools, project)
    if cancel:
        stopped = cancel_finishing(tools, project)
        out.print(_LEFT_OFF if stopped else f"The model is not labelling the rest of project {project}.")
        return
    out.print(finish_forecast(report(tools, project)), highlight=False)
    if not yes and sys.stdin.isatty():
        typer.confirm("Label the rest?", abort=True)
    finish_project(tools, project, ask)
    try:
        done = _follow(tools, project, until=("finished",), unless=lambda: not _finishing(tools, project))
    except KeyboardInterrupt:
        out.print(
            "The worker goes on labelling without this window. Watch it: "
            f"allabel status {project} --watch. Leave off: allabel finish {project} --cancel"
        )
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if not done:
        out.print(_LEFT_OFF)
        return
    out.print(
        "Done. Label Studio serves the least certain tasks first. Its 'Export' leaves the model's labels"
    )
    out.print("out unless they are made annotations first: docs/how-to/export.md.")


@app.command()
def reset(
    project: ProjectArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Undo all that ALLabel put into a project in Label Studio, and forget it. Annotations stay.

    Example: [bold]allabel reset 1[/bold]
    """
    _, tools = _tools()
    if not yes:
        question = f"Remove the connection, the webhook, the queue and the suggestions of project {project}?"
        typer.confirm(question, abort=True)
    with out.status("Waiting for the workers to end what they are at, then undoing it ..."):
        reset_project(tools, project)
    out.print(f"Project {project} is as it was before. Connect it again: allabel connect {project}")


@app.command("rotate-secret")
def rotate_secret() -> None:
    """Replace the secrets that Redis keeps: of webhooks, of the tokens in connections, of signed-in browsers.

    Label Studio is told the new ones within seconds by a running worker; everybody has to sign in again.

    Example: [bold]allabel rotate-secret[/bold]
    """
    settings, tools = _tools()
    rotate_secrets(settings)
    for project in tools.store.projects():
        tools.store.mark_dirty(project, "setup")
    out.print("New secrets are drawn. The worker hands them to Label Studio now; everybody signs in again.")


@app.command()
def doctor(
    project: Annotated[int | None, typer.Argument(help="Check this project's connection too.")] = None,
) -> None:
    """Check every part and say what to do where one fails. Exit code 1 if any does.

    Example: [bold]allabel doctor 1[/bold]
    """
    settings = read_settings()
    failed = False
    for check in checks.run(settings, project):
        mark = "[green]ok[/green]  " if check.ok else "[red]FAIL[/red]"
        out.print(f"{mark} {check.name}: {escape(check.finding)}", highlight=False)
        if not check.ok:
            failed = True
            out.print(f"     -> {escape(check.remedy)}", highlight=False)
    if failed:
        raise typer.Exit(EXIT_PROBLEM)


@app.command()
def demo(
    data: Annotated[
        Path | None,
        typer.Option(exists=True, help="Your own texts, annotated or not: any file that 'import' takes."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Labels for your texts, with commas; otherwise those in the file.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Column or key of your texts.")] = None,
    port: Annotated[int, typer.Option(help="Port of the backend.")] = 9090,
    label_studio_port: Annotated[int, typer.Option(help="Port of Label Studio.")] = 8080,
    autopilot: Annotated[int, typer.Option(min=0, help="Annotate so many sample tasks by itself.")] = 0,
    pace: Annotated[
        float, typer.Option(min=0, help="The autopilot takes so many seconds for a text, at least.")
    ] = 0,
    exit: Annotated[
        bool, typer.Option("--exit", help="Stop everything afterwards and print a JSON line.")
    ] = False,
    no_model: Annotated[
        bool, typer.Option("--no-model", help="No language model: suggestions are learnt from annotations.")
    ] = False,
) -> None:
    """A real Label Studio with sample texts, this backend, Redis and a small language model.

    Example: [bold]allabel demo --autopilot 20[/bold]
    """
    from .demo.run import run_demo
    from .importing.project import parse_labels

    named = tuple(parse_labels(labels)) if labels is not None else ()
    code = run_demo(
        data=data,
        port=port,
        label_studio_port=label_studio_port,
        autopilot=autopilot,
        exit_after=exit,
        pace=pace,
        labels=named,
        text_field=text,
        with_model=not no_model,
    )
    raise typer.Exit(code)


@app.command("export-tagger")
def export_tagger(
    project: ProjectArgument,
    file: Annotated[Path, typer.Argument(dir_okay=False, help="Where to write it.")],
) -> None:
    """Write what was learnt from a project's annotations into a file, for `allabel tag` or Python.

    Example: [bold]allabel export-tagger 1 drugs.tagger[/bold]
    """
    _, tools = _tools()
    _require_connected(tools, project)
    with out.status("Reading annotations") as shown:
        learnt = take_tagger_away(tools, project, file, say=shown.update)
    measured = learnt.figures
    quality = "" if measured is None else f", F1 {measured.learned:.2f} by cross-validation"
    out.print(f"{file}: learnt from {learnt.texts} annotated texts{quality}.", highlight=False)
    out.print(f"Use it: allabel tag {file} texts.jsonl", highlight=False)


app.command()(tag)
app.command()(simulate)
app.command("import")(import_)
app.command()(export)


def _reports(tools: Tools, project: int | None) -> list[ProjectReport]:
    if project is not None and project not in tools.store.refusals():
        _require_connected(tools, project)
    numbers = [project] if project else sorted({*tools.store.projects(), *tools.store.refusals()})
    return [report(tools, number) for number in numbers]


def _dashboards(tools: Tools, project: int | None) -> Group:
    found: list[RenderableType] = [dashboard(item) for item in _reports(tools, project)]
    return Group(*found or ["No project is connected yet. Connect one: allabel connect PROJECT"])


def _tools() -> tuple[Settings, Tools]:
    settings = read_settings()
    logging.getLogger().setLevel(logging.ERROR)
    tools = build_tools(settings)
    tools.store.migrate()
    return settings, tools


def _require_connected(tools: Tools, project: int) -> None:
    if not tools.store.knows(project):
        err.print(f"[red]Project {project} is not connected. Connect it: allabel connect {project}[/red]")
        raise typer.Exit(EXIT_PROBLEM)


def _require_healthy(tools: Tools, project: int) -> None:
    state = tools.store.fact(project, "state")
    if state == "capped":
        err.print(f"[red]{escape(tools.store.fact(project, 'model_problem') or '')}[/red]", highlight=False)
        raise typer.Exit(EXIT_PROBLEM)
    if state == "degraded":
        err.print(f"[red]{escape(tools.store.fact(project, 'problem') or '')}[/red]", highlight=False)
        raise typer.Exit(EXIT_PROBLEM)


@contextmanager
def _bars() -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out) as progress:
        yield progress


def _finishing(tools: Tools, project: int) -> bool:
    return bool(tools.store.fact(project, "finishing"))


def _follow(
    tools: Tools, project: int, *, until: tuple[str, ...], unless: Callable[[], bool] = lambda: False
) -> bool:
    """Show the worker's progress until the project is in one of these states; False if ``unless`` holds."""
    store = tools.store
    with _bars() as progress:
        bar = progress.add_task("waiting for a worker", total=None)
        # The state may be of before; what counts is that nothing is marked as changed any more.
        while store.fact(project, "state") not in until or store.dirty(project)[0]:
            _require_healthy(tools, project)
            if unless():
                return False
            if now := store.progress(project):
                progress.update(bar, description=now.doing, completed=now.done, total=now.total)
            time.sleep(POLL_SECONDS)
        progress.update(bar, description="done", completed=1, total=1)
    return True


if __name__ == "__main__":
    main()
