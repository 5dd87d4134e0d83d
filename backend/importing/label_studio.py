"""Tasks as Label Studio exports and imports them: an object with ``data``, and ``annotations``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .records import Findings, ImportFileError, Row
from .regions import Item, read_items
from .texts import choose_text, without_text

SKIPPED = "skipped annotations"
PREDICTIONS = "predictions of a model"


def is_task(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("data"), dict) or ("data" in row and not isinstance(row["data"], str))


def data_of(place: str, row: Mapping[str, Any]) -> dict[str, Any]:
    data = row["data"]
    if not isinstance(data, dict):
        raise ImportFileError(f"{place}: 'data' is {type(data).__name__}, not an object.")
    return data


def items_of(row: Mapping[str, Any]) -> list[Item]:
    """The result items of all annotations, as far as they are some."""
    found = row.get("annotations") or row.get("completions")
    made = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    results = [each["result"] for each in made if isinstance(each.get("result"), list)]
    return [item for result in results for item in result if isinstance(item, dict)]


def read_task(place: str, row: Mapping[str, Any], column: str | None, findings: Findings) -> Row:
    """:raises ImportFileError: it has no text."""
    data = data_of(place, row)
    name, text = choose_text(place, data, column)
    annotations = row.get("annotations") or row.get("completions") or []
    if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
        raise ImportFileError(f"{place}: 'annotations' is not a list of objects.")
    submitted = [a for a in annotations if not (a.get("was_cancelled") or a.get("skipped"))]
    if skipped := len(annotations) - len(submitted):
        findings.leave_out(SKIPPED, place, skipped)
    if isinstance(row.get("predictions"), list) and row["predictions"]:
        findings.leave_out(PREDICTIONS, place, len(row["predictions"]))
    # As in a live project, a ground truth counts, otherwise the newest; which stands last here.
    submitted.sort(key=lambda a: (bool(a.get("ground_truth")), str(a.get("updated_at") or "")))
    made = tuple(read_items(place, text, a.get("result"), findings) for a in submitted)
    return Row(without_text(data, name, text), made)
