"""`allabel tag`: texts through an exported tagger, one at a time, whatever their number."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TextIO

import typer

from allabel_core.errors import AllabelError
from allabel_core.tagging import TextSuggestion, load

STANDARD_STREAM = "-"


class TextsError(AllabelError):
    """Texts that cannot be read; the message names the line and what is wrong there."""


def tag(
    file: Annotated[Path, typer.Argument(help="What `allabel export-tagger` wrote.")],
    texts: Annotated[
        str,
        typer.Argument(
            help="JSONL (a key 'text' in each line) or TXT (a text a line); - for JSONL piped in."
        ),
    ],
    out: Annotated[
        str, typer.Option(help="JSONL: the input's lines with 'spans'; - prints it.")
    ] = STANDARD_STREAM,
) -> None:
    """Find the entities of texts with an exported tagger. Needs no model, no server, no network.

    Example: [bold]allabel tag drugs.tagger texts.jsonl --out labelled.jsonl[/bold]
    """
    suggester = load(file)
    with _opened(texts) as source, _written(out, texts) as target:
        for row in read_rows(source, texts):
            row["spans"] = as_json(row["text"], suggester.suggest(row["text"]))
            target.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_rows(source: BinaryIO, name: str) -> Iterator[dict[str, Any]]:
    """One object with a "text" for each line that is not empty.

    :raises TextsError: a line that is not UTF-8, or no JSON object with a text.
    """
    is_plain = Path(name).suffix.lower() == ".txt"
    for number, line in enumerate(source, 1):
        try:
            content = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise TextsError(f"{name}, line {number}: not UTF-8.") from error
        if content.strip():
            yield {"text": content} if is_plain else _row(content, f"{name}, line {number}")


def _row(content: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise TextsError(f'{place}: no JSON; each line must be an object such as {{"text": ...}}.') from error
    if isinstance(row, dict) and isinstance(row.get("data"), dict) and "text" not in row:
        row = {**row, "text": row["data"].get("text")}
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise TextsError(f'{place}: no text; each line must be an object such as {{"text": ...}}.')
    return row


def as_json(text: str, found: TextSuggestion) -> list[dict[str, Any]]:
    """Spans as objects; offsets are half-open and count code points."""
    return [
        {
            "start": each.span.start,
            "end": each.span.end,
            "label": each.span.label,
            "text": text[each.span.start : each.span.end],
            "confidence": round(each.confidence, 4),
        }
        for each in found.spans
    ]


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == STANDARD_STREAM:
        yield sys.stdin.buffer
        return
    if Path(name).suffix.lower() not in (".jsonl", ".ndjson", ".txt"):
        raise TextsError(f"{name}: texts are read from .jsonl, .ndjson or .txt.")
    with ExitStack() as closing:
        try:
            source = closing.enter_context(Path(name).open("rb"))
        except OSError as error:
            raise TextsError(f"{name} cannot be read: {error.strerror}.") from error
        yield source


@contextmanager
def _written(name: str, source: str) -> Iterator[TextIO]:
    if name == STANDARD_STREAM:
        yield sys.stdout
        return
    if Path(name).resolve() == Path(source).resolve():
        raise TextsError(f"{name} is where the texts are; name another file.")
    with ExitStack() as closing:
        try:
            target = closing.enter_context(Path(name).open("w", encoding="utf-8"))
        except OSError as error:
            raise TextsError(f"{name} cannot be written: {error.strerror}.") from error
        yield target
