"""The sample project: texts with gold spans, written in ``sample.txt`` with inline markup.

``sample.json`` is that source compiled into Label Studio's import format;
``python -m backend.demo.sample`` writes it anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from allabel_core.errors import InvalidInputError
from allabel_core.types import Document, Span

FOLDER = Path(__file__).parent
SOURCE = FOLDER / "sample.txt"
SAMPLE = FOLDER / "sample.json"
LABEL_CONFIG = FOLDER / "label_config.xml"
INSTRUCTIONS = FOLDER / "instructions.txt"
SEEDS = 5
"""So many of the first texts are imported with their annotations, so that the first suggestions are good."""

LABELS = {"C": "Chemical", "A": "Amount", "N": "Condition", "E": "Equipment", "O": "Operation"}

_MARKED = re.compile(r"\[([^\[\]|]+)\|([A-Z])\]")


def parse_line(line: str) -> Document:
    """A text with its spans from a line of markup, ``[words|C]``.

    :raises InvalidInputError: an unknown label letter, or a bracket or bar outside of markup.
    """
    text = ""
    spans = []
    at = 0
    for marked in _MARKED.finditer(line):
        words, letter = marked.groups()
        if letter not in LABELS:
            raise InvalidInputError(f"{letter!r} is none of the label letters {', '.join(LABELS)}.")
        text += line[at : marked.start()]
        spans.append(Span(len(text), len(text) + len(words), LABELS[letter]))
        text += words
        at = marked.end()
    text += line[at:]
    if any(character in text for character in "[]|"):
        raise InvalidInputError(f"Broken markup in the line that begins {text[:40]!r}.")
    return Document(text, tuple(spans))


def source_documents() -> Iterator[Document]:
    """The sample's documents in the order of the source; blank lines and comments are left out."""
    for line in SOURCE.read_text("utf-8").split("\n"):
        if line.strip() and not line.startswith("#"):
            yield parse_line(line)


def as_task(document: Document) -> dict[str, Any]:
    """A Label Studio task with the document's spans as its one annotation."""
    result = [
        {
            "id": f"{span.start}-{span.end}-{span.label}",
            "from_name": "label",
            "to_name": "text",
            "type": "labels",
            "value": {
                "start": span.start,
                "end": span.end,
                "text": document.text[span.start : span.end],
                "labels": [span.label],
            },
        }
        for span in document.spans
    ]
    return {"data": {"text": document.text}, "annotations": [{"result": result}]}


def compiled() -> str:
    """The content of ``sample.json``, one task a line."""
    tasks = (json.dumps(as_task(document), ensure_ascii=False) for document in source_documents())
    return "[\n" + ",\n".join(tasks) + "\n]\n"


if __name__ == "__main__":
    SAMPLE.write_text(compiled(), "utf-8")
