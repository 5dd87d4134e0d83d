"""The terminal command `allabel export`: translates options, writes the file, says what is in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..settings import read_settings


def export(
    project: Annotated[int, typer.Argument(help="The project's number, as in its address /projects/NUMBER.")],
    format: Annotated[str, typer.Option("--format", help="json, conll, spacy or hf.")] = "json",
    out: Annotated[Path | None, typer.Option(help="File to write; the terminal otherwise.")] = None,
    people_only: Annotated[
        bool, typer.Option("--people-only", help="Leave out what only the model has annotated.")
    ] = False,
) -> None:
    """Write down what people have annotated and, marked as such, what the model has.

    Example: [bold]allabel export 1 --format conll --out project.conll[/bold]
    """
    from allabel_core.errors import InvalidInputError

    from ..bootstrap import build_tools
    from .formats import FORMATS, Written
    from .tasks import exported_tasks

    if format not in FORMATS:
        raise InvalidInputError(f"--format must be one of {', '.join(FORMATS)}, not {format!r}.")
    tools = build_tools(read_settings())
    written = Written()
    lines = FORMATS[format](exported_tasks(tools, project, people_only=people_only), written)
    if out is None:
        sys.stdout.writelines(lines)
    else:
        # Nothing half-written takes the place of what was there.
        part = out.with_name(f"{out.name}.part")
        with part.open("w", encoding="utf-8") as file:
            file.writelines(lines)
        part.replace(out)
    err = Console(stderr=True, highlight=False)
    err.print(f"{written.people} tasks annotated by people, {written.model} by the model.")
    for number, what in (
        (written.unannotated, "tasks that nobody has annotated"),
        (written.without_text, "tasks without a readable text"),
        (written.overlapping, "spans across longer ones, for which this format has no place"),
    ):
        if number:
            err.print(f"Left out or empty: {number} {what}.")
