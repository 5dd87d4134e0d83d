"""A file's tasks, with their annotations, in a project of Label Studio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from allabel_core.errors import InvalidInputError
from allabel_core.types import Document, Relation

from ..errors import LabelConfigError
from ..labeling.config_writing import label_config
from ..labeling.label_config import LabelingInterface, parse_label_config
from ..labeling.results import UNKNOWN_LABEL, result_from_spans
from .records import TEXT_FIELD, Findings, ImportedFile, ImportedTask, LeftOut

CHARACTERS_PER_CALL = 10_000_000
TASKS_PER_CALL = 1000
GENERAL_LABELS = ("Person", "Organization", "Location", "Date", "Product")


class LabelStudio(Protocol):
    """The part of Label Studio that is needed here."""

    def create_project(self, title: str, label_config: str, instructions: str = "") -> int: ...

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """Tasks as Label Studio imports them. ``annotated``: how many of them have an annotation."""

    label_config: str
    tasks: tuple[dict[str, Any], ...]
    annotated: int
    annotations: int
    regions: int
    left_out: tuple[LeftOut, ...]

    def __str__(self) -> str:
        made = f"{self.annotations:,} annotations with {self.regions:,} regions on {self.annotated:,} of them"
        return f"{len(self.tasks):,} texts, {made if self.annotations else 'none of them annotated'}"


def parse_labels(named: str) -> list[str]:
    """Labels as a person lists them, with commas.

    :raises InvalidInputError: there is none.
    """
    labels = list(dict.fromkeys(name.strip() for name in named.split(",") if name.strip()))
    if not labels:
        raise InvalidInputError('--labels needs names such as "Person,Place".')
    return labels


def prepare(
    found: ImportedFile, *, labels: Sequence[str] = (), config: str = "", keep_annotations: bool = True
) -> Prepared:
    """The tasks for a new project, with a label config of these labels, otherwise of those found in the file;
    or for a project that has the label config ``config``. Regions with other labels are left out, and told.

    :raises LabelConfigError: a project with this label config cannot take plain texts.
    """
    if not config:
        config = label_config(labels or found.labels or GENERAL_LABELS, _relations(found))
    interface = parse_label_config(config)
    if interface.kind != "text" or interface.text_from_url:
        raise LabelConfigError(
            "The project shows paragraphs, or texts at addresses; import into a new project instead"
        )
    findings = Findings()
    tasks, annotations, regions, annotated = [], 0, 0, 0
    for number, task in enumerate(found.tasks, 1):
        item: dict[str, Any] = {"data": _data(interface, task)}
        if keep_annotations and task.annotations:
            kept = [_known(interface, made, f"task {number}", findings) for made in task.annotations]
            item["annotations"] = [
                {"result": result_from_spans(interface, made.text, made.spans, relations=made.relations)}
                for made in kept
            ]
            annotated += 1
            annotations += len(kept)
            regions += sum(len(made.spans) for made in kept)
        tasks.append(item)
    left_out = (*found.left_out, *findings.left_out())
    return Prepared(config, tuple(tasks), annotated, annotations, regions, left_out)


def import_tasks(client: LabelStudio, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
    """Their ids, in order; so many at a time as Label Studio takes in one request."""
    ids: list[int] = []
    for part in _parts(tasks):
        ids += client.import_tasks(project_id, part)
    return ids


def _parts(tasks: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    part: list[Mapping[str, Any]] = []
    size = 0
    for task in tasks:
        length = sum(len(value) for value in task["data"].values() if isinstance(value, str))
        if part and (len(part) == TASKS_PER_CALL or size + length > CHARACTERS_PER_CALL):
            yield part
            part, size = [], 0
        part.append(task)
        size += length
    if part:
        yield part


def _relations(found: ImportedFile) -> list[str] | None:
    links = [link for task in found.tasks for made in task.annotations for link in made.relations]
    return list(dict.fromkeys(link.label for link in links)) if links else None


def _data(interface: LabelingInterface, task: ImportedTask) -> dict[str, Any]:
    if interface.key == TEXT_FIELD:
        return task.data
    others = {name: value for name, value in task.data.items() if name != TEXT_FIELD}
    return {**others, interface.key: task.text}


def _known(interface: LabelingInterface, document: Document, place: str, findings: Findings) -> Document:
    """The spans whose labels the label config has, and the relations between them."""
    kept = [i for i, span in enumerate(document.spans) if span.label in interface.from_name]
    number = {i: n for n, i in enumerate(kept)}
    for span in document.spans:
        if span.label not in interface.from_name:
            findings.leave_out(UNKNOWN_LABEL.format(span.label), place)
    return Document(
        document.text,
        tuple(document.spans[i] for i in kept),
        tuple(
            Relation(number[link.source], number[link.target], link.label)
            for link in document.relations
            if link.source in number and link.target in number
        ),
    )
