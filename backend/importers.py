"""Files of texts -> tasks: Label Studio JSON or JSONL, CSV or TSV with a text column, plain lines.

Gold spans are read where a task carries Label Studio annotations. Nothing is guessed silently: a file
that cannot be read exactly is refused with the place of the problem.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allabel_core.errors import AllabelError
from allabel_core.types import Document, Relation, Span

logger = logging.getLogger(__name__)

TEXT_FIELD = "text"
MAX_FILE_BYTES = 500_000_000
MAX_TASKS = 200_000
MAX_TEXT_CHARACTERS = 200_000
SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt")
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_UNREADABLE = "JSON nested too deeply, or a number of thousands of digits"


class ImportFileError(AllabelError):
    """A file that cannot be imported; the message names the place and what is wrong there."""


@dataclass(frozen=True, slots=True)
class ImportedTask:
    """A task for Label Studio; ``data["text"]`` is its text.

    ``gold``: the text with its annotated spans, None where the task carries no annotation.
    """

    data: dict[str, Any]
    gold: Document | None = None


def read_documents(path: Path, *, text_field: str | None = None) -> list[Document]:
    """The annotated documents of a file, as simulation and benchmarks need them.

    :raises ImportFileError: where the file cannot be read or carries no annotation at all.
    """
    documents = [task.gold for task in read_tasks(path, text_field=text_field) if task.gold is not None]
    if not documents:
        raise ImportFileError(f"{path}: no task has an annotation; gold spans are needed here.")
    return documents


def read_tasks(
    path: Path, *, text_field: str | None = None, encoding: str | None = None, max_tasks: int = MAX_TASKS
) -> list[ImportedTask]:
    """Every task of a file, in order; rows with an empty text are left out.

    ``text_field``: the column or key of the text, by default "text", or the only one there is.
    ``encoding``: UTF-8 by default, or what a byte order mark says.

    :raises ImportFileError: naming the line or task, and what is wrong.
    """
    content = _decode(path, encoding)
    tasks: list[ImportedTask] = []
    empty = 0
    for place, row in _rows(path, content):
        task = _task(f"{path}, {place}", row, text_field)
        if not str(task.data[TEXT_FIELD]).strip():
            empty += 1
            continue
        tasks.append(task)
        if len(tasks) > max_tasks:
            raise ImportFileError(f"{path}: more than {max_tasks:,} tasks; split the file.")
    if not tasks:
        raise ImportFileError(f"{path}: no text found in it.")
    logger.info("read %d tasks from a file, %d empty ones left out", len(tasks), empty)
    return tasks


def _decode(path: Path, encoding: str | None) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ImportFileError(f"{path}: larger than {MAX_FILE_BYTES // 10**6} MB; split the file.")
        raw = path.read_bytes()
    except OSError as error:
        raise ImportFileError(f"{path} cannot be read: {error.strerror}.") from error
    marked = next((name for mark, name in BYTE_ORDER_MARKS if raw.startswith(mark)), None)
    chosen = encoding or marked or "utf-8"
    try:
        return raw.decode(chosen)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ImportFileError(
            f"{path}, line {line}: not {chosen} (byte {raw[error.start]:#04x}). Save the file as UTF-8."
        ) from error
    except LookupError as error:
        raise ImportFileError(f"There is no encoding called {chosen!r}.") from error


def _rows(path: Path, content: str) -> Iterator[tuple[str, Any]]:
    """(place for messages, row): a dict, or a bare string where there are no fields."""
    match path.suffix.lower():
        case ".json":
            yield from _json_rows(path, content)
        case ".jsonl" | ".ndjson":
            yield from _json_lines(path, content)
        case ".csv":
            yield from _table_rows(path, content, ",")
        case ".tsv":
            yield from _table_rows(path, content, "\t")
        case ".txt":
            for number, line in enumerate(content.split("\n"), 1):
                yield f"line {number}", line.strip()
        case other:
            raise ImportFileError(
                f"{path}: files called *{other} cannot be imported; only {', '.join(SUFFIXES)} can."
            )


def _json_rows(path: Path, content: str) -> Iterator[tuple[str, Any]]:
    try:
        whole = json.loads(content)
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


def _json_lines(path: Path, content: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", json.loads(line)
        except json.JSONDecodeError as error:
            raise ImportFileError(f"{path}, line {number}: not JSON ({error.msg}).") from error
        except (RecursionError, ValueError) as error:
            raise ImportFileError(f"{path}, line {number}: {_UNREADABLE}.") from error


def _table_rows(path: Path, content: str, delimiter: str) -> Iterator[tuple[str, Any]]:
    if delimiter == "," and ";" in (header := content.partition("\n")[0]) and "," not in header:
        delimiter = ";"
    csv.field_size_limit(MAX_FILE_BYTES)
    reader = csv.DictReader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    try:
        names = reader.fieldnames or []
        if len(set(names)) < len(names):
            raise ImportFileError(f"{path}, line 1: two columns have the same name.")
        for row in reader:
            place = f"line {reader.line_num}"
            if None in row:
                raise ImportFileError(f"{path}, {place}: more fields than the {len(names)} columns.")
            yield place, {name: value or "" for name, value in row.items()}
    except csv.Error as error:
        raise ImportFileError(f"{path}, line {reader.line_num}: {error}.") from error


def _task(place: str, row: Any, text_field: str | None) -> ImportedTask:
    if isinstance(row, str):
        row = {TEXT_FIELD: row}
        text_field = TEXT_FIELD
    if not isinstance(row, dict):
        raise ImportFileError(f"{place}: a task is an object with a text, not {type(row).__name__}.")
    data = row.get("data", row)
    if not isinstance(data, dict):
        raise ImportFileError(f"{place}: 'data' is {type(data).__name__}, not an object.")
    text = data[_find_text_field(place, data, text_field)]
    if not isinstance(text, str):
        raise ImportFileError(f"{place}: the text is {type(text).__name__}, not a string.")
    _check_text(place, text)
    annotations = row.get("annotations") or row.get("completions") if "data" in row else None
    gold = None if annotations is None else _gold(place, text, annotations)
    return ImportedTask({**data, TEXT_FIELD: text}, gold)


def _find_text_field(place: str, data: dict[str, Any], text_field: str | None) -> str:
    wanted = text_field or TEXT_FIELD
    if wanted in data:
        return wanted
    candidates = [name for name in data if name.lower() == wanted.lower()]
    if text_field is None and not candidates:
        candidates = [name for name, value in data.items() if isinstance(value, str)]
    if len(candidates) == 1:
        return candidates[0]
    named = ", ".join(map(repr, data)) or "none"
    raise ImportFileError(f"{place}: no field {wanted!r}; there are {named}. Say which one holds the text.")


def _check_text(place: str, text: str) -> None:
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ImportFileError(
            f"{place}: {len(text):,} characters; at most {MAX_TEXT_CHARACTERS:,} fit a task."
        )
    if "\0" in text:
        raise ImportFileError(f"{place}: the text holds a NUL character.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ImportFileError(f"{place}: the text holds half of a surrogate pair, which is no character.")


def _gold(place: str, text: str, annotations: Any) -> Document | None:
    """The gold of one task: its ground truth, else its last annotation that was not skipped."""
    if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
        raise ImportFileError(f"{place}: 'annotations' is not a list of objects.")
    submitted = [a for a in annotations if not a.get("was_cancelled")]
    chosen = next((a for a in submitted if a.get("ground_truth")), submitted[-1] if submitted else None)
    if chosen is None:
        return None
    spans: list[Span] = []
    index_of: dict[str, int] = {}
    links = []
    for item in chosen.get("result") or ():
        if not isinstance(item, dict):
            raise ImportFileError(f"{place}: an annotation's result holds something other than objects.")
        if item.get("type") == "relation":
            links.append(item)
        elif item.get("type") == "labels":
            index_of[str(item.get("id"))] = len(spans)
            spans.append(_span(place, text, item))
    relations = [_relation(place, link, index_of) for link in links]
    return Document(text, tuple(spans), tuple(relations))


def _span(place: str, text: str, item: dict[str, Any]) -> Span:
    value = item.get("value")
    try:
        start, end, label = value["start"], value["end"], value["labels"][0]  # type: ignore[index]
    except (TypeError, KeyError, IndexError) as error:
        raise ImportFileError(f"{place}: a span needs start, end and labels.") from error
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)):
        raise ImportFileError(f"{place}: a span from {start} to {end} is not inside {len(text)} characters.")
    said = value.get("text") if isinstance(value, dict) else None
    if said is not None and said != text[start:end]:
        raise ImportFileError(
            f"{place}: the span {start}-{end} covers other words than it says; offsets count code points."
        )
    return Span(start, end, str(label))


def _relation(place: str, link: dict[str, Any], index_of: dict[str, int]) -> Relation:
    try:
        source, target = index_of[str(link["from_id"])], index_of[str(link["to_id"])]
    except KeyError as error:
        raise ImportFileError(f"{place}: a relation refers to a span that is not there.") from error
    labels = link.get("labels") or [""]
    return Relation(source, target, str(labels[0]))
