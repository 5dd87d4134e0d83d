"""Whatever annotated data a person has -> a named data set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from allabel_core.types import Document, Span, without_outer_space

from ..demo.sample import SAMPLE
from ..importers import ImportFileError, read_documents
from .formats import brat_documents, conll_documents, flat_document

CONLL_SUFFIXES = (".conll", ".bio", ".iob", ".iob2", ".iobes", ".bilou")
TASK_SUFFIXES = (".json", ".jsonl", ".ndjson")
MIN_TEXTS = 10


@dataclass(frozen=True, slots=True)
class Dataset:
    """An annotated pool; ``fingerprint`` changes with any text or span."""

    name: str
    documents: tuple[Document, ...]

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
    documents = tuple(map(_trimmed, _documents(path)))
    if len(documents) < MIN_TEXTS:
        raise ImportFileError(
            f"{path}: {len(documents)} annotated texts; simulation needs {MIN_TEXTS} or more."
        )
    if not any(document.spans for document in documents):
        raise ImportFileError(f"{path}: no text has an entity.")
    return Dataset(path.name if path.is_dir() else path.stem, documents)


def _trimmed(document: Document) -> Document:
    """As annotations are read from Label Studio: spans without outer white space."""
    text = document.text
    spans = (Span(*without_outer_space(text, s.start, s.end), s.label) for s in document.spans)
    return replace(document, spans=tuple(spans))


def sample_dataset() -> Dataset:
    """The texts of the demo."""
    return Dataset("sample", tuple(read_documents(SAMPLE)))


def _documents(path: Path) -> Sequence[Document]:
    if path.is_dir():
        if any(path.glob("*.ann")):
            return brat_documents(path)
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in (*CONLL_SUFFIXES, *TASK_SUFFIXES))
        if len(found) != 1:
            raise ImportFileError(
                f"{path}: {len(found)} files of annotations in this folder; name one of them."
            )
        return _documents(found[0])
    suffix = path.suffix.lower()
    if suffix in CONLL_SUFFIXES:
        try:
            return conll_documents(path.read_text("utf-8-sig"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ImportFileError(f"{path} cannot be read as UTF-8 ({type(error).__name__}).") from error
    if suffix not in TASK_SUFFIXES:
        known = ", ".join((*TASK_SUFFIXES, *CONLL_SUFFIXES))
        raise ImportFileError(f"{path}: annotations are read from {known} or a folder of BRAT files.")
    return _flat_documents(path) or read_documents(path)


def _flat_documents(path: Path) -> list[Document]:
    """Empty where the file holds Label Studio tasks or cannot be parsed, which its reader then reports."""
    try:
        content = path.read_text("utf-8-sig")
        lines = path.suffix.lower() != ".json"
        rows = (
            [json.loads(line) for line in content.splitlines() if line.strip()]
            if lines
            else json.loads(content)
        )
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(rows, list) or any(not isinstance(row, dict) or "data" in row for row in rows):
        return []
    found = [flat_document(row, f"{path}, row {number}") for number, row in enumerate(rows, 1)]
    return [document for document in found if document is not None and document.text.strip()]
