"""A file -> its tasks. What kind of file it is, its content tells; its name, where that leaves a choice."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from allabel_core.types import Document

from . import brat, conll, flat, label_studio, tables
from .decoding import decode
from .records import TEXT_FIELD, Findings, ImportedFile, ImportFileError, Row, merged
from .regions import check_places, column_of_regions
from .texts import choose_text

logger = logging.getLogger(__name__)

MAX_TASKS = 200_000
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
SUFFIXES = (*JSON_SUFFIXES, *tables.SUFFIXES, *conll.SUFFIXES, ".txt")
EMPTY = "empty texts"
_UNREADABLE = "JSON nested too deeply, or a number of thousands of digits"

Rows = Iterator[tuple[str, Any]]


def read_file(
    path: Path, *, text_field: str | None = None, encoding: str | None = None, max_tasks: int = MAX_TASKS
) -> ImportedFile:
    """Every task of a file, in order, with its annotations; of a folder: of its one file or BRAT's pairs.

    ``text_field``: the column or key of the text; by default the one in which annotated words stand where
    they are said to, otherwise "text", otherwise the only one there is.
    ``encoding``: UTF-8 by default, or what a byte order mark says.

    :raises ImportFileError: naming the line or task, and what is wrong.
    """
    findings = Findings(str(path))
    tasks = []
    for place, task in merged(_read(path, text_field, encoding, findings)):
        if not task.text.strip():
            findings.leave_out(EMPTY, place)
            continue
        tasks.append(task)
        if len(tasks) > max_tasks:
            raise ImportFileError(f"{path}: more than {max_tasks:,} tasks; split the file.")
    if not tasks:
        raise ImportFileError(f"{path}: no text found in it.")
    check_places(str(path), findings)
    logger.info("read %d tasks from a file", len(tasks))
    return ImportedFile(tuple(tasks), findings.left_out())


def _read(
    path: Path, text_field: str | None, encoding: str | None, findings: Findings
) -> Iterator[tuple[str, Row]]:
    if path.is_dir():
        if any(path.glob("*.ann")):
            yield from _documents(brat.read_brat(path, findings))
            return
        path = _only_file(path)
    content = decode(path, encoding)
    if _is_conll(path, content):
        yield from _documents(conll.read_conll(content, str(path)))
        return
    rows = [(place, flat.as_row(row)) for place, row in _rows(path, content, findings)]
    column = text_field or _column(path, rows)
    for place, row in rows:
        yield place, _row(f"{path}, {place}", row, column, findings)


def _documents(found: Iterator[tuple[str, Document]]) -> Iterator[tuple[str, Row]]:
    for place, document in found:
        yield place, Row({TEXT_FIELD: document.text}, (document,))


def _only_file(folder: Path) -> Path:
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in (*JSON_SUFFIXES, *conll.SUFFIXES))
    if len(found) != 1:
        raise ImportFileError(
            f"{folder}: {len(found)} files of annotations in this folder; name one of them."
        )
    return found[0]


def _is_conll(path: Path, content: str) -> bool:
    """By its content; a file that is said to be one may also be broken, which its reader then reports."""
    if path.suffix.lower() in conll.SUFFIXES:
        return not _is_json(content)
    return path.suffix.lower() not in JSON_SUFFIXES and conll.is_conll(content)


def _is_json(content: str) -> bool:
    """Whether the whole, or the first line, is an object or a list."""
    begin = content.lstrip()
    if not begin.startswith(("{", "[")):
        return False
    for candidate in (begin.partition("\n")[0], begin):
        try:
            json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        return True
    return False


def _rows(path: Path, content: str, findings: Findings) -> Rows:
    """(place for messages, row): a dict, or a bare string where there are no fields."""
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(path, content)
    if suffix == ".json" or _is_json(content):
        return _json_rows(path, content)
    if suffix in tables.SUFFIXES or tables.holds_table(content):
        usual = tables.usual_delimiter(suffix) if suffix in tables.SUFFIXES else "\t"
        return tables.read_table(str(path), content, findings, usual=usual)
    if suffix == ".txt":
        return ((f"line {number}", line.strip()) for number, line in enumerate(content.split("\n"), 1))
    raise ImportFileError(
        f"{path}: files called *{suffix} cannot be imported unless they hold JSON or CoNLL; "
        f"files called {', '.join(SUFFIXES)} can, and folders of BRAT files."
    )


def _json_rows(path: Path, content: str) -> Rows:
    try:
        whole = json.loads(content, parse_constant=lambda _: None)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            # One object a line under the name .json is common; a syntax error names its own line.
            yield from _json_lines(path, content)
            return
        raise ImportFileError(
            f"{path}, line {error.lineno}, column {error.colno}: not JSON ({error.msg})."
        ) from error
    except (RecursionError, ValueError) as error:
        raise ImportFileError(f"{path}: {_UNREADABLE}.") from error
    rows = whole if isinstance(whole, list) else [whole]
    for number, row in enumerate(rows, 1):
        yield f"task {number}", row


def _json_lines(path: Path, content: str) -> Rows:
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_constant=lambda _: None)
        except json.JSONDecodeError as error:
            raise ImportFileError(f"{path}, line {number}: not JSON ({error.msg}).") from error
        except (RecursionError, ValueError) as error:
            raise ImportFileError(f"{path}, line {number}: {_UNREADABLE}.") from error
        if number == 1 and isinstance(row, list) and not content[len(line) :].strip():
            # A whole file in one line under the name .jsonl.
            for position, each in enumerate(row, 1):
                yield f"task {position}", each
            return
        yield f"line {number}", row


def _column(path: Path, rows: list[tuple[str, Any]]) -> str | None:
    """The column of the text for all rows, where their regions tell it."""
    told = []
    for place, row in rows:
        if isinstance(row, dict) and label_studio.is_task(row):
            told.append((label_studio.data_of(f"{path}, {place}", row), label_studio.items_of(row)))
        elif isinstance(row, dict):
            told.append((row, flat.items_of(row)))
    return column_of_regions(told)


def _row(place: str, row: Any, column: str | None, findings: Findings) -> Row:
    if isinstance(row, str):
        return Row({TEXT_FIELD: choose_text(place, {TEXT_FIELD: row}, TEXT_FIELD)[1]})
    if not isinstance(row, dict):
        raise ImportFileError(f"{place}: a task is an object with a text, not {type(row).__name__}.")
    if label_studio.is_task(row):
        return label_studio.read_task(place, row, column, findings)
    return flat.read_row(place, row, column, findings)
