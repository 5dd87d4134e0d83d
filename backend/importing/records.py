"""What comes out of a file, whatever its format, and what was left out of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from allabel_core.errors import AllabelError
from allabel_core.types import Document

TEXT_FIELD = "text"


class ImportFileError(AllabelError):
    """A file that cannot be imported; the message names the place and what is wrong there."""


@dataclass(frozen=True, slots=True)
class ImportedTask:
    """A task for Label Studio; ``data["text"]`` is its text.

    ``annotations``: as people made them, the one that counts last. All have the task's text.
    """

    data: dict[str, Any]
    annotations: tuple[Document, ...] = ()

    @property
    def text(self) -> str:
        return str(self.data[TEXT_FIELD])

    @property
    def gold(self) -> Document | None:
        """The annotation that counts, None where the task has none."""
        return self.annotations[-1] if self.annotations else None


class LeftOut(NamedTuple):
    """``first``: the place of the first of them, such as "line 7"."""

    reason: str
    number: int
    first: str

    def __str__(self) -> str:
        return f"{self.number} {self.reason} (first: {self.first})"


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """The tasks of a file in its order."""

    tasks: tuple[ImportedTask, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def documents(self) -> list[Document]:
        """The annotation that counts of each annotated task."""
        return [task.gold for task in self.tasks if task.gold is not None]

    @property
    def labels(self) -> list[str]:
        """The labels of all annotations, the most frequent first."""
        counts = Counter(s.label for task in self.tasks for made in task.annotations for s in made.spans)
        return [label for label, _ in counts.most_common()]


@dataclass(slots=True)
class Findings:
    """Notes what is left out while the file ``name`` is read. ``regions``: how many were read or left out."""

    name: str = ""
    numbers: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    regions: int = 0

    def leave_out(self, reason: str, place: str, number: int = 1) -> None:
        self.numbers[reason] += number
        self.first.setdefault(reason, place.removeprefix(f"{self.name}, "))

    def left_out(self) -> tuple[LeftOut, ...]:
        return tuple(LeftOut(reason, n, self.first[reason]) for reason, n in self.numbers.items())


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file, read. Rows with the same ``group`` and text, made ``by`` others each or by none
    that is told, are annotations of one task."""

    data: dict[str, Any]
    annotations: tuple[Document, ...] = ()
    group: object = None
    by: object = None


def merged(rows: Iterable[tuple[str, Row]]) -> list[tuple[str, ImportedTask]]:
    """(place, task): rows of one task put together, where the first of them stood."""
    tasks: list[tuple[str, ImportedTask]] = []
    index: dict[tuple[str, str], int] = {}
    made_by: set[tuple[str, str, str]] = set()
    for place, row in rows:
        key = str(row.group), row.data[TEXT_FIELD]
        author = (*key, str(row.by))
        if row.group is not None and key in index and (row.by is None or author not in made_by):
            first, task = tasks[index[key]]
            tasks[index[key]] = first, ImportedTask(task.data, task.annotations + row.annotations)
        else:
            index[key] = len(tasks)
            tasks.append((place, ImportedTask(row.data, row.annotations)))
        made_by.add(author)
    return tasks
