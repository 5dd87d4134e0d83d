"""Files of texts, with or without annotations -> tasks. See ``importing`` for the formats."""

from __future__ import annotations

from pathlib import Path

from allabel_core.types import Document

from .importing.reading import MAX_TASKS, SUFFIXES, read_file
from .importing.records import ImportedFile, ImportedTask, ImportFileError

__all__ = [
    "MAX_TASKS",
    "SUFFIXES",
    "ImportFileError",
    "ImportedFile",
    "ImportedTask",
    "read_documents",
    "read_file",
    "read_tasks",
]


def read_documents(path: Path, *, text_field: str | None = None) -> list[Document]:
    """The annotated documents of a file, as simulation and benchmarks need them.

    :raises ImportFileError: where the file cannot be read or has no annotation at all.
    """
    documents = read_file(path, text_field=text_field).documents
    if not documents:
        raise ImportFileError(f"{path}: no task has an annotation; gold spans are needed here.")
    return documents


def read_tasks(
    path: Path, *, text_field: str | None = None, encoding: str | None = None, max_tasks: int = MAX_TASKS
) -> list[ImportedTask]:
    """The tasks of ``read_file``."""
    return list(read_file(path, text_field=text_field, encoding=encoding, max_tasks=max_tasks).tasks)
