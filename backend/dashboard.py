"""A project's figures for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from .usecases.figures import ProjectReport


def status_table(item: ProjectReport) -> Table:
    table = Table(title=f"Project {item.id} {item.title}", show_header=False, title_justify="left")
    for name, value in rows(item):
        table.add_row(name, value)
    return table


def rows(item: ProjectReport) -> list[tuple[str, str]]:
    """Name and value of each line."""
    assisted, spent = item.quality.assisted, item.spending
    quality = f"F1 {100 * assisted.f1:.1f} over {assisted.tasks} tasks" if assisted else "no data yet"
    served = f"{item.published} published as {item.version}" if item.version else "nothing published yet"
    lines = [
        ("State", item.state),
        ("Annotated", f"{item.annotated} of {item.budget} (budget), {item.tasks} tasks in all"),
        ("Queue", f"{item.queued} to annotate, {served}"),
        ("Suggestions", quality),
        ("Model", f"{spent.calls} calls, {spent.prompt_tokens + spent.completion_tokens} tokens"),
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


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items()) or "none"
