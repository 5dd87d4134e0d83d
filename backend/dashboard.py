"""A project's figures for the terminal: the same that its page shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from .usecases.figures import Estimate, JobProgress, ProjectReport, Quality, Score

BAR_WIDTH = 30
NARROW_BAR = 12


class Fitted:
    """As much of something as the terminal is high, what matters most being on top; the rest is counted."""

    def __init__(self, whole: RenderableType) -> None:
        self._whole = whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or console.height
        lines = console.render_lines(self._whole, options.reset_height())
        if len(lines) > height:
            missing = len(lines) - height + 1
            hint = Text(f"{missing} more lines: make the terminal higher. Ctrl+C ends.", style="dim")
            lines = [*lines[: height - 1], *console.render_lines(hint, options.reset_height())[:1]]
        for line in lines:
            yield from line
            yield Segment.line()


def dashboard(item: ProjectReport) -> RenderableType:
    """All there is to say about a project, what matters most first."""
    parts: list[list[RenderableType]] = [
        [_table_of(problem_lines(item))] if item.problem else [],
        [Text(item.advice.sentence, style="bold")] if item.advice.sentence else [],
        [_table_of(progress_lines(item))],
        [*([_stages(item)] if item.stages else []), *(_job(job) for job in item.jobs)],
        [_table_of(quality_lines(item))],
        [_labels(item.quality)] if item.quality.labels else [],
        [_table_of(model_lines(item))],
        [_table_of((error.message, error.remedy) for error in item.errors[:3])] if item.errors else [],
    ]
    spaced: list[RenderableType] = []
    for part in filter(None, parts):
        spaced += ["", *part] if spaced else part
    title = Text.assemble((item.title or f"Project {item.id}", "bold"), f"  project {item.id}")
    return Panel(Group(*spaced), title=title, title_align="left", border_style="cyan")


def problem_lines(item: ProjectReport) -> list[tuple[str, str]]:
    """Name and value of each line; so with the following three."""
    return [("Problem", item.problem), ("What to do", item.remedy)]


def progress_lines(item: ProjectReport) -> list[tuple[str, str]]:
    served = f"{item.published} published as {item.version}" if item.version else "nothing published yet"
    return [
        ("State", item.state.replace("_", " ")),
        ("Annotated", f"{item.annotated} of {item.budget} (budget), {item.tasks} tasks in all"),
        ("Queue", f"{item.queued} to annotate, {served}"),
        ("Page", item.page),
    ]


def model_lines(item: ProjectReport) -> list[tuple[str, str]]:
    spent = item.spending
    money = "" if spent.cost is None else f", cost {spent.cost:.4f}"
    saved = f", which saved {spent.saved:.4f}" if spent.saved else ""
    cached = (
        f"; {spent.cached_tokens:,} of them from the provider's cache{saved}" if spent.cached_tokens else ""
    )
    tokens = f"{spent.prompt_tokens + spent.completion_tokens:,} tokens"
    lost = f" ({spent.unanswered} never answered, estimated)" if spent.unanswered else ""
    lines = [("Model", f"{spent.calls} calls{lost}, {tokens}{money}{cached}")]
    if item.confidence.error is not None:
        error = f"off by {item.confidence.error:.2f} on average, over {item.confidence.judged} spans"
        lines.append(("Confidence", error))
    if item.answers:
        lines.append(("Answers", f"{item.answers} read; unreadable: {_listed(item.unreadable)}"))
        lines.append(("Not shown", _listed(item.rejected)))
    if item.scarce_labels and item.annotated:
        found = ", ".join(f"{label} in {n}" for label, n in item.scarce_labels.items())
        lines.append(("Rare labels", f"{found} annotated tasks, fewer than demonstrations are shown"))
    if item.unusable_tasks:
        lines.append(("Left out", f"{item.unusable_tasks} tasks without a text. {item.unusable_reason}"))
    lines += [("Notice", notice) for notice in item.notices]
    return lines


def quality_lines(item: ProjectReport) -> Iterable[tuple[str, str]]:
    found, expected = item.quality, item.advice.expected_f1
    yield "Suggestions", _score(found.assisted) if found.assisted else "no data yet"
    if found.blind:
        yield "Blind audit", _score(found.blind)
    if found.difference:
        yield "Difference", _points(found.difference)
    if found.edits_per_task is not None:
        kept = "" if found.untouched_share is None else f"; {found.untouched_share:.0%} accepted untouched"
        seconds = "" if not found.seconds_per_task else f"; {found.seconds_per_task:.0f} s"
        yield "Per task", f"{found.edits_per_task:.1f} edits{seconds}{kept}"
    if expected:
        basis = "blind audit" if item.advice.basis == "blind audit" else "assisted tasks, which flatter"
        yield "The rest", f"expected {_points(expected)}, from the {basis}"


def _score(score: Score) -> str:
    return f"{_points(Estimate(score.f1, score.low, score.high))} over {score.tasks} tasks"


def _points(estimate: Estimate) -> str:
    value, low, high = (100 * each for each in (estimate.value, estimate.low, estimate.high))
    return f"F1 {value:.1f} ({low:.1f} to {high:.1f})"


def _table_of(pairs: Iterable[tuple[str, RenderableType]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in pairs:
        # Square brackets in a message are no markup.
        table.add_row(Text(name, style="cyan"), Text(value) if isinstance(value, str) else value)
    return table


def _stages(item: ProjectReport) -> Table:
    table = _table("Stage", "", *(Column(name, justify="right") for name in ("done", "in window", "to come")))
    for stage in item.stages:
        total = stage.done + stage.in_window + stage.to_come
        figures = (stage.done, stage.in_window, stage.to_come)
        table.add_row(stage.name, _bar(stage.done, total), *(str(n) for n in figures))
    return table


def _labels(quality: Quality) -> Table:
    table = _table(
        "Label", "", *(Column(name, justify="right") for name in ("F1", "precision", "recall", "marked"))
    )
    for label in quality.labels:
        shares = (f"{100 * share:.1f}" for share in (label.f1, label.precision, label.recall))
        table.add_row(Text(label.label), _bar(100 * label.f1, 100, NARROW_BAR), *shares, str(label.mentions))
    return table


def _job(job: JobProgress) -> RenderableType:
    return _table_of([(f"{job.doing} {job.done} of {job.total}", _bar(job.done, job.total))])


def _table(*columns: Column | str) -> Table:
    return Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="cyan", pad_edge=False)


def _bar(done: float, total: float, width: int = BAR_WIDTH) -> ProgressBar:
    return ProgressBar(
        total=max(1, total), completed=done, width=width, complete_style="cyan", finished_style="green"
    )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items()) or "none"
