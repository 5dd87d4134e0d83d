"""The terminal command `allabel import`: translates options, shows what comes of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..settings import read_settings

LONGEST_TITLE = 50


def import_(
    project: Annotated[
        str, typer.Argument(help="Title of the new project, or the number of one that takes more texts.")
    ],
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            help="JSON, JSON-MIN or CSV of Label Studio, JSONL of Prodigy, doccano, spaCy or Hugging Face, "
            "CoNLL, a folder of BRAT files, CSV or TSV, or a text a line. Its content tells which.",
        ),
    ],
    labels: Annotated[
        str | None, typer.Option(help="Labels of a new project, with commas; otherwise those in the file.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Column or key of the text.")] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Of the file, such as cp1252; UTF-8 otherwise.")
    ] = None,
) -> None:
    """Make a Label Studio project from a file, with the annotations that are in it.

    Example: [bold]allabel import "Recipes" recipes.jsonl --labels "Chemical,Amount"[/bold]
    """
    from allabel_core.errors import InvalidInputError

    from ..bootstrap import build_label_studio
    from .project import import_tasks, parse_labels, prepare
    from .reading import read_file

    settings = read_settings()
    out = Console()
    found = read_file(file, text_field=text, encoding=encoding)
    named = parse_labels(labels) if labels is not None else []
    client = build_label_studio(settings)
    try:
        if project.isdecimal():
            if named:
                raise InvalidInputError("--labels is for new projects; this one has its own label config.")
            project_id, is_new = int(project), False
            prepared = prepare(found, config=client.project(project_id).label_config)
        else:
            prepared, is_new = prepare(found, labels=named), True
            project_id = client.create_project(project[:LONGEST_TITLE], prepared.label_config)
        import_tasks(client, project_id, prepared.tasks)
    finally:
        client.close()
    out.print(f"{'Made' if is_new else 'Added to'} project {project_id}: {prepared}.", highlight=False)
    for line in left_out_lines(prepared.left_out):
        out.print(line, highlight=False, markup=False)
    out.print(
        f"It is at {settings.label_studio_public_url or settings.label_studio_url}/projects/{project_id}"
    )
    if is_new:
        out.print(f"Connect it: allabel connect {project_id}", highlight=False)


def left_out_lines(left_out: Iterable[object]) -> list[str]:
    """What was not read, a line each."""
    return [f"Left out: {each}" for each in left_out]
