"""Annotations of any file are read as those of a live project are: see ``labeling.results``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from allabel_core.types import Document

from ..labeling.label_config import LabelingInterface
from ..labeling.offsets import locate
from ..labeling.results import MISPLACED, read_annotation
from .records import TEXT_FIELD, Findings, ImportFileError

Item = Mapping[str, Any]

TYPES = ("labels", "paragraphlabels")
NO_SPANS = "regions or answers of the type {!r}, which marks no words of a plain text"
ROWS_LOOKED_AT = 200
REGIONS_LOOKED_AT = 20
_TRUSTED_SHARE = 0.5


def read_items(place: str, text: str, result: object, findings: Findings) -> Document:
    """The document of one annotation, with every label that it has; what is left out is noted."""
    items = [item for item in result if isinstance(item, Mapping)] if isinstance(result, list) else []
    kind = next((k for k in TYPES[::-1] if any(i.get("type") == k for i in items)), TYPES[0])
    interface = _interface(kind, items)
    ours = [{**item, "to_name": interface.to_name} for item in items]
    document, left_out = read_annotation(interface, text, ours)
    findings.regions += sum(item.get("type") == kind for item in items)
    others = Counter(str(i.get("type"))[:40] for i in items if i.get("type") not in (kind, "relation"))
    for reason, number in left_out.items():
        findings.leave_out(reason, place, number)
    for name, number in others.items():
        findings.leave_out(NO_SPANS.format(name), place, number)
    return document


def _interface(kind: str, items: Iterable[Item]) -> LabelingInterface:
    """One that has all labels that occur."""
    labels: dict[str, str] = {}
    for item in items:
        value = item.get("value")
        named = value.get(kind) if isinstance(value, Mapping) else None
        for name in named if isinstance(named, list) else ():
            if isinstance(name, str) and name.strip():
                labels[name] = "label"
    return LabelingInterface(
        labels=tuple(labels),
        hints={},
        from_name=labels,
        to_name=TEXT_FIELD,
        kind="text" if kind == "labels" else "paragraphs",
        key=TEXT_FIELD,
    )


def check_places(name: str, findings: Findings) -> None:
    """:raises ImportFileError: most regions are not where they are said to be, so the others may be wrong."""
    misplaced = findings.numbers[MISPLACED]
    if misplaced > _TRUSTED_SHARE * findings.regions:
        raise ImportFileError(
            f"{name}, {findings.first[MISPLACED]}: the words of {misplaced} of the file's {findings.regions} "
            "regions are not at their offsets. Offsets count characters from 0; the end is the first "
            "character after the words."
        )


def column_of_regions(rows: Sequence[tuple[Mapping[str, Any], Sequence[Item]]]) -> str | None:
    """The column in which the words of regions stand at their offsets; None where no region tells.

    :param rows: (data, regions as result items) of each row.
    """
    fitting: Counter[str] = Counter()
    for data, items in [row for row in rows if row[1]][:ROWS_LOOKED_AT]:
        for name, value in data.items():
            if isinstance(value, str):
                fitting[name] += sum(_fits(value, item) for item in items[:REGIONS_LOOKED_AT])
    best = max(fitting, key=lambda name: (fitting[name], name.lower() == TEXT_FIELD), default=None)
    return best if best is not None and fitting[best] else None


def _fits(text: str, item: Item) -> bool:
    value = item.get("value")
    if not isinstance(value, Mapping) or not isinstance(value.get("text"), str):
        return False
    start, end = value.get("start"), value.get("end")
    if not isinstance(start, int) or not isinstance(end, int):
        return False
    return locate(text, start, end, value["text"]) is not None
