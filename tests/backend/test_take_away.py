"""An exported tagger, and texts through it, by the commands that people type."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
from projects import PROJECT, gold, make_tools, settle
from typer.testing import CliRunner

from allabel_core.errors import AllabelError
from allabel_core.tagging import Suggester, dump, load
from allabel_core.types import Document, Span
from backend import cli
from backend.adapters.store import Store
from backend.simulate.reading import read_dataset
from backend.tag import TextsError
from backend.usecases.connect import register
from backend.usecases.take_away import export_tagger
from fakes import FakeLabelStudio

FRUITS = ("apple", "pear", "plum", "cherry", "quince", "lemon")
TEXTS = {100 + i: f"A hen ate {FRUITS[i % 6]} number {i} at noon" for i in range(12)}


def annotated(text: str) -> Document:
    fruit = text.split()[3]
    return Document(text, (Span(text.index(fruit), text.index(fruit) + len(fruit), "Fruit"),))


@pytest.fixture
def tagger(tmp_path: Path) -> Path:
    path = tmp_path / "fruits.tagger"
    path.write_bytes(dump(Suggester.train([annotated(text) for text in TEXTS.values()])))
    return path


def run(*arguments: str | Path, stdin: str | bytes = "") -> str:
    outcome = CliRunner().invoke(cli.app, ["tag", *map(str, arguments)], input=stdin)
    if outcome.exception is not None:
        raise outcome.exception
    return outcome.stdout


def spans(line: str) -> list[tuple[str, str]]:
    row = json.loads(line)
    assert all(row["text"][s["start"] : s["end"]] == s["text"] for s in row["spans"])
    return [(s["text"], s["label"]) for s in row["spans"]]


@pytest.mark.slow
def test_a_projects_tagger_is_exported_and_finds_what_people_marked(store: Store, tmp_path: Path) -> None:
    label_studio = FakeLabelStudio(TEXTS)
    tools = make_tools(store, label_studio, None)
    register(tools, PROJECT, backend_url="http://localhost:9090", extra_params={})
    settle(tools)
    path = tmp_path / "fruits.tagger"
    with pytest.raises(AllabelError, match="0 annotated texts"):
        export_tagger(tools, PROJECT, path, say=lambda _: None)
    for task_id, text in TEXTS.items():
        label_studio.annotate(task_id, gold(label_studio, text, (text.split()[3], "Fruit")))
    store.mark_dirty(PROJECT, "annotations")
    settle(tools)
    export_tagger(tools, PROJECT, path, say=lambda _: None)
    assert load(path).texts == len(TEXTS)
    assert [p.name for p in tmp_path.iterdir()] == ["fruits.tagger"]
    found = load(path).suggest("A hen ate mango number 3 at noon")
    assert [each.span for each in found.spans] == [Span(10, 15, "Fruit")]
    with pytest.raises(AllabelError, match="cannot be written"):
        export_tagger(tools, PROJECT, tmp_path / "no" / "folder", say=lambda _: None)


def test_lines_and_json_lines_are_tagged_and_keep_what_they_had(tagger: Path, tmp_path: Path) -> None:
    plain = tmp_path / "texts.txt"
    plain.write_bytes("\ufeffA hen ate apple number 7 at noon\r\n\r\nNothing here\r\n".encode())
    first, second = run(tagger, plain).splitlines()
    assert spans(first) == [("apple", "Fruit")]
    assert spans(second) == []
    rows = tmp_path / "texts.jsonl"
    rows.write_text(
        '{"id": 7, "text": "A hen ate plum number 1 at noon"}\n'
        '{"data": {"text": "A hen ate pear 😀 at noon"}}\n'
    )
    out = tmp_path / "out.jsonl"
    assert run(tagger, rows, "--out", out) == ""
    first, second = out.read_text("utf-8").splitlines()
    assert json.loads(first)["id"] == 7
    assert (spans(first), spans(second)) == ([("plum", "Fruit")], [("pear", "Fruit")])


def test_texts_can_be_piped_and_the_result_simulated(tagger: Path, tmp_path: Path) -> None:
    piped = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS.values())
    out = tmp_path / "out.jsonl"
    out.write_text(run(tagger, "-", stdin=piped))
    documents = read_dataset(out).documents
    assert [document.text for document in documents] == list(TEXTS.values())
    assert set(documents) == {annotated(text) for text in TEXTS.values()}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": 3}\n', "line 2: no text"),
        ("a.jsonl", b"[1]\n", "line 1: no text"),
        ("a.jsonl", b"{\n", "line 1: no JSON"),
        ("a.jsonl", b'{"text": "\xff"}\n', "line 1: not UTF-8"),
        ("a.csv", b"text\n", "texts are read from"),
    ],
)
def test_what_cannot_be_read_is_named(
    tagger: Path, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextsError, match=message):
        run(tagger, tmp_path / name)


def test_no_file_is_overwritten_by_its_own_result(tagger: Path, tmp_path: Path) -> None:
    rows = tmp_path / "texts.jsonl"
    rows.write_text('{"text": "x"}\n')
    with pytest.raises(TextsError, match="name another file"):
        run(tagger, rows, "--out", rows)
    assert rows.read_text() == '{"text": "x"}\n'
    with pytest.raises(AllabelError, match="no tagger"):
        run(rows, rows)
    with pytest.raises(TextsError, match="cannot be read"):
        run(tagger, tmp_path / "none.jsonl")


def test_memory_does_not_grow_with_the_number_of_texts(tagger: Path, tmp_path: Path) -> None:
    def peak(n: int) -> int:
        path = tmp_path / f"{n}.txt"
        path.write_text("A hen ate plum number 1 at noon\n" * n)
        tracemalloc.start()
        run(tagger, path, "--out", tmp_path / "out")
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(50)
    assert peak(1_500) < peak(50) + 200_000
