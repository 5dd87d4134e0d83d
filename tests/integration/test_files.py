"""Files into a real Label Studio and out of it again, beside Label Studio's own export and converter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from allabel_core.types import Document, Relation, Span
from backend.importers import read_file
from stack import ROOT, Stack

DOCUMENTS = [
    Document("Jane Doe met Bob .", (Span(0, 8, "PER"), Span(13, 16, "PER")), (Relation(0, 1, "met"),)),
    Document("nothing here", ()),
    Document("😀 Bonn , 25 ºC", (Span(2, 6, "LOC "), Span(9, 14, "a<b & c"))),
]
CONVERT = """
import sys
from label_studio_sdk.converter import Converter
config, source, target, kind = sys.argv[1:]
Converter(config, None, download_resources=False).convert(source, target, kind, is_dir=False)
"""


def converted(config: str, source: Path, kind: str) -> Path:
    """By Label Studio's own converter, in Label Studio's environment."""
    environment = Path(os.environ.get("LABEL_STUDIO_ENVIRONMENT", ROOT / ".label-studio"))
    target = source.parent / f"converted-{kind}"
    command = [environment / "bin" / "python", "-c", CONVERT, config, source, target, kind]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    (found,) = target.glob("result*")
    return found


def allabel(stack: Stack, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "backend.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **stack.environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def spans(path: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    """(text without white space, (words, label) of each span) of every annotated text."""
    return [
        (
            "".join(d.text.split()),
            [("".join(d.text[s.start : s.end].split()), s.label) for s in sorted(d.spans)],
        )
        for d in read_file(path).documents
    ]


@pytest.fixture(scope="module")
def project(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> int:
    """Made by the command from a file in doccano's form, one text of it not annotated."""
    path = tmp_path_factory.mktemp("files") / "doccano.jsonl"
    rows = []
    for document in DOCUMENTS:
        entities = [
            {"id": i, "label": s.label, "start_offset": s.start, "end_offset": s.end}
            for i, s in enumerate(document.spans)
        ]
        links = [{"from_id": r.source, "to_id": r.target, "type": r.label} for r in document.relations]
        rows.append({"text": document.text, "entities": entities, "relations": links})
    rows.append({"text": "Bob is in Bonn ."})
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    output = allabel(stack, "import", "Files", str(path))
    assert "4 texts, 3 annotations with 4 regions on 3 of them" in output
    return int(output.partition("project ")[2].partition(":")[0])


def test_import_keeps_the_annotations_of_a_file(stack: Stack, project: int, tmp_path: Path) -> None:
    exported = stack.raw("GET", f"api/projects/{project}/export", params={"exportType": "JSON"})
    path = tmp_path / "label-studio.json"
    path.write_text(json.dumps(exported))
    assert read_file(path).documents == DOCUMENTS


def test_more_texts_are_added_to_a_project_with_the_labels_it_has(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "more.conll"
    path.write_text("Bob B-PER\nand O\niron B-METAL\n", "utf-8")
    made = allabel(stack, "import", "Few labels", str(path), "--labels", "PER")
    number = made.partition("project ")[2].partition(":")[0]
    assert "Left out: 1 regions with the label 'METAL'" in made
    assert f"Added to project {number}: 1 texts" in allabel(stack, "import", number, str(path))
    assert len(list(stack.client.tasks(int(number)))) == 2


@pytest.mark.parametrize("format", ["json", "conll", "spacy", "hf"])
def test_export_is_read_back_as_it_was(stack: Stack, project: int, tmp_path: Path, format: str) -> None:
    path = tmp_path / f"out.{'conll' if format == 'conll' else 'json' if format == 'json' else 'jsonl'}"
    allabel(stack, "export", str(project), "--format", format, "--out", str(path), "--people-only")
    found = read_file(path).documents
    if format == "json":
        assert found == DOCUMENTS
    elif format == "spacy":
        assert [(d.text, d.spans) for d in found] == [(d.text, d.spans) for d in DOCUMENTS]
    else:
        expected = tmp_path / "gold.jsonl"
        rows = [
            {
                "text": d.text,
                "spans": [
                    [s.start, s.end, s.label.replace(" ", "_") if format == "conll" else s.label]
                    for s in d.spans
                ],
            }
            for d in DOCUMENTS
        ]
        expected.write_text("\n".join(map(json.dumps, rows)), "utf-8")
        assert spans(path) == spans(expected)


@pytest.mark.parametrize("kind", ["JSON_MIN", "CONLL2003", "CSV"])
def test_label_studios_converter_makes_the_same_of_our_export_as_of_its_own(
    stack: Stack, project: int, tmp_path: Path, kind: str
) -> None:
    ours, own = tmp_path / "ours" / "all.json", tmp_path / "own" / "all.json"
    for path in (ours, own):
        path.parent.mkdir()
    allabel(stack, "export", str(project), "--out", str(ours))
    parameters = {"exportType": "JSON", "download_all_tasks": "true"}
    exported = stack.raw("GET", f"api/projects/{project}/export", params=parameters)
    own.write_text(json.dumps(exported))
    config = stack.client.project(project).label_config
    assert converted(config, ours, kind).read_text() == converted(config, own, kind).read_text()
