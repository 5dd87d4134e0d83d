"""A project's figures for the terminal: the same that its page shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .usecases.figures import Estimate, ProjectReport, Quality, Score

BAR_WIDTH = 30


def dashboard(item: ProjectReport) -> RenderableType:
    """All there is to say about a project, from its state down to the last errors."""
    parts: list[RenderableType] = [_lines(rows(item))]
    if item.stages:
        parts.append(_stages(item))
    if item.quality.labels:
        parts.append(_labels(item.quality))
    if item.advice.sentence:
        parts.append(Text(item.advice.sentence, style="bold"))
    for job in item.jobs:
        bar = ProgressBar(total=max(1, job.total), completed=job.done, width=BAR_WIDTH)
        parts.append(_lines([(f"{job.doing} {job.done} of {job.total}", bar)]))
    if item.errors:
        parts.append(_lines((error.message, error.remedy) for error in item.errors[:3]))
    return Panel(Group(*parts), title=f"Project {item.id} {item.title}", title_align="left")


def rows(item: ProjectReport) -> list[tuple[str, str]]:
    """Name and value of each line."""
    spent = item.spending
    served = f"{item.published} published as {item.version}" if item.version else "nothing published yet"
    money = "" if spent.cost is None else f", cost {spent.cost:.4f}"
    lines = [
        ("State", item.state),
        ("Annotated", f"{item.annotated} of {item.budget} (budget), {item.tasks} tasks in all"),
        ("Queue", f"{item.queued} to annotate, {served}"),
        *_quality(item),
        ("Model", f"{spent.calls} calls, {spent.prompt_tokens + spent.completion_tokens:,} tokens{money}"),
    ]
    if item.confidence.error is not None:
        error = f"off by {item.confidence.error:.2f} on average, over {item.confidence.judged} spans"
        lines.append(("Confidence", error))
    if item.answers:
        lines.append(("Answers", f"{item.answers} read; {_listed(item.unreadable)} unreadable"))
        lines.append(("Not shown", _listed(item.rejected)))
    if item.scarce_labels and item.annotated:
        found = ", ".join(f"{label} in {n}" for label, n in item.scarce_labels.items())
        lines.append(("Rare labels", f"{found} annotated tasks, fewer than demonstrations are shown"))
    if item.unusable_tasks:
        lines.append(("Left out", f"{item.unusable_tasks} tasks without a text. {item.unusable_reason}"))
    if item.problem:
        lines += [("Problem", item.problem), ("What to do", item.remedy)]
    return [*lines, ("Page", item.page)]


def _quality(item: ProjectReport) -> Iterable[tuple[str, str]]:
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


def _lines(pairs: Iterable[tuple[str, RenderableType]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in pairs:
        table.add_row(Text(name, style="cyan"), value)
    return table


def _stages(item: ProjectReport) -> Table:
    table = Table("stage", "", "done", "in the window", "to come", box=None, padding=(0, 2, 0, 0))
    for stage in item.stages:
        total = stage.done + stage.in_window + stage.to_come
        bar = ProgressBar(total=max(1, total), completed=stage.done, width=BAR_WIDTH)
        table.add_row(stage.name, bar, *(str(n) for n in (stage.done, stage.in_window, stage.to_come)))
    return table


def _labels(quality: Quality) -> Table:
    table = Table("label", "F1", "precision", "recall", "marked", box=None, padding=(0, 2, 0, 0))
    for label in quality.labels:
        shares = (f"{100 * share:.1f}" for share in (label.f1, label.precision, label.recall))
        table.add_row(label.label, *shares, str(label.mentions))
    return table


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items()) or "none"
