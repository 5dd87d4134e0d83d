"""Whatever annotated data a person has -> a named data set."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from allabel_core.types import Document

from ..demo.sample import SAMPLE
from ..importers import ImportFileError, read_documents, read_file
from ..importing.records import LeftOut

MIN_TEXTS = 10


@dataclass(frozen=True, slots=True)
class Dataset:
    """An annotated pool; ``fingerprint`` changes with any text or span. ``left_out``: what was not read."""

    name: str
    documents: tuple[Document, ...]
    left_out: tuple[LeftOut, ...] = field(default=(), compare=False)

    @property
    def fingerprint(self) -> str:
        content = [
            [document.text, sorted((span.start, span.end, span.label) for span in document.spans)]
            for document in self.documents
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def read_dataset(path: Path) -> Dataset:
    """A file, or a folder that holds one, or BRAT's pairs of files. Named after the file or folder.

    :raises ImportFileError: what cannot be read, or is too little to say anything.
    """
    found = read_file(path)
    documents = tuple(found.documents)
    reasons = f" Left out: {'; '.join(map(str, found.left_out))}." if found.left_out else ""
    if not documents:
        raise ImportFileError(f"{path}: no task has an annotation; gold spans are needed here.{reasons}")
    if len(documents) < MIN_TEXTS:
        raise ImportFileError(
            f"{path}: {len(documents)} annotated texts; simulation needs {MIN_TEXTS} or more.{reasons}"
        )
    if not any(document.spans for document in documents):
        raise ImportFileError(f"{path}: no text has an entity.{reasons}")
    return Dataset(path.name if path.is_dir() else path.stem, documents, found.left_out)


def sample_dataset() -> Dataset:
    """The texts of the demo."""
    return Dataset("sample", tuple(read_documents(SAMPLE)))
