"""CSV and TSV in the dialects that spreadsheets and exports write.

Read by the standard library's ``csv`` with a delimiter found here: its Sniffer guesses from the frequency of
letters, hence takes any.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any

from .decoding import MAX_FILE_BYTES
from .records import TEXT_FIELD, Findings, ImportFileError

SUFFIXES = (".csv", ".tsv", ".tab")
DELIMITERS = ",;\t|"
LINES_LOOKED_AT = 50
NO_HEADER = "header missing: the first line was taken for a text"
_ALIKE = 0.9
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n')

Record = tuple[int, list[str]]


def read_table(
    name: str, content: str, findings: Findings, *, usual: str = ","
) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """(place, row): a dict by column, or a bare string where there is one column without a name.

    ``usual``: the delimiter where the first lines do not tell.

    :raises ImportFileError: naming the line, and what is wrong there.
    """
    if told := _SEPARATOR_LINE.match(content):
        # Excel's own way to tell it.
        records = _records(name, content[told.end() :], told[1])
    elif (delimiter := _delimiter(content, usual)) is not None:
        records = _records(name, content, delimiter)
    else:
        records = _one_column(name, content, usual)
    number, header = next(records, (1, [""]))
    names = [each.strip() for each in header]
    while len(names) > 1 and not names[-1]:
        names.pop()
    if len(names) == 1 and not re.fullmatch(r"\w+", names[0]):
        findings.leave_out(NO_HEADER, f"line {number}")
        yield f"line {number}", names[0]
        yield from ((f"line {number}", fields[0].strip()) for number, fields in records)
        return
    named = [each or f"column {i}" for i, each in enumerate(names, 1)]
    if len(set(named)) < len(named):
        raise ImportFileError(f"{name}, line {number}: two columns have the same name.")
    for number, fields in records:
        if any(fields[len(named) :]):
            raise ImportFileError(f"{name}, line {number}: more fields than the {len(named)} columns.")
        filled = fields + [""] * (len(named) - len(fields))
        row = zip(named, names, filled, strict=False)
        yield f"line {number}", {column: _value(value) for column, own, value in row if own or value}


def holds_table(content: str) -> bool:
    """Whether the first line names tab-separated columns, among them "text", as Excel's Unicode text does."""
    names = content.partition("\n")[0].strip("\r").lower().split("\t")
    return len(names) > 1 and TEXT_FIELD in names


def usual_delimiter(suffix: str) -> str:
    return "\t" if suffix in (".tsv", ".tab") else ","


def _delimiter(content: str, usual: str) -> str | None:
    """The one that parts the first lines into as many fields each; None where there is one column."""
    sample = "".join(content.splitlines(keepends=True)[:LINES_LOOKED_AT])
    header = re.split(r"[\r\n]", sample, maxsplit=1)[0]
    parted: dict[str, float] = {}
    for delimiter in (usual, *DELIMITERS.replace(usual, "")):
        if delimiter in header:
            rows = _sampled(sample, delimiter)
            named = TEXT_FIELD in {each.strip().lower() for each in rows[0]}
            parted[delimiter] = named + sum(len(fields) == len(rows[0]) for fields in rows) / len(rows)
    best = max(parted, key=lambda each: parted[each], default="")
    # Commas in sentences part each of them differently.
    return best if parted.get(best, 0) >= _ALIKE else None


def _sampled(sample: str, delimiter: str) -> list[list[str]]:
    try:
        rows = [row for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter) if row]
    except csv.Error:
        rows = []
    return rows or [[]]


def _records(name: str, content: str, delimiter: str) -> Iterator[Record]:
    if delimiter != "\t":
        yield from _read(name, content, delimiter)
        return
    plain = _plain_lines(content, delimiter)
    if len({len(fields) for _, fields in plain}) <= 1:
        yield from plain
        return
    # Fields in quotation marks may hold tabs and line breaks; otherwise these marks are no more than that.
    try:
        yield from list(_read(name, content, delimiter))
    except ImportFileError:
        yield from plain


def _one_column(name: str, content: str, usual: str) -> Iterator[Record]:
    """Cells in quotation marks as spreadsheets write them, otherwise each line as it is."""
    try:
        cells = list(_read(name, content, usual))
    except ImportFileError:
        if usual != "\t":
            raise
        cells = []
    if cells and all(len(fields) == 1 for _, fields in cells):
        yield from cells
    else:
        yield from ((number, [usual.join(fields)]) for number, fields in _plain_lines(content, usual))


def _read(name: str, content: str, delimiter: str) -> Iterator[Record]:
    csv.field_size_limit(MAX_FILE_BYTES)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    begun = 1
    try:
        for fields in reader:
            if fields:
                yield begun, fields
            begun = reader.line_num + 1
    except csv.Error as error:
        raise ImportFileError(f"{name}, line {begun}: {error}.") from error


def _plain_lines(content: str, delimiter: str) -> list[Record]:
    return [
        (number, [_unquoted(field) for field in line.split(delimiter)])
        for number, line in enumerate(re.split(r"\r\n|\r|\n", content), 1)
        if line.strip()
    ]


def _unquoted(field: str) -> str:
    inside = field[1:-1]
    if len(field) < 2 or field[0] != '"' or field[-1] != '"' or '"' in inside.replace('""', ""):
        return field
    return inside.replace('""', '"')


def _value(value: str) -> Any:
    """A cell; where it holds the regions of Label Studio's own CSV export, these."""
    if value.startswith("[{") and value.endswith("}]"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
