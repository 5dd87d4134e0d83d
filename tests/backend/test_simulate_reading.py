"""Every format gives the same texts and spans; what cannot be read exactly is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.types import Document, Span
from backend.demo.sample import as_task
from backend.importers import ImportFileError
from backend.simulate.formats import brat_documents, conll_documents, flat_document
from backend.simulate.reading import Dataset, read_dataset, sample_dataset

GOLD = Document("Fe2O3 was 🔥 heated", (Span(0, 5, "Material"), Span(12, 18, "Operation")))


def tasks_file(folder: Path, rows: list[object], name: str = "gold.json") -> Path:
    path = folder / name
    lines = name.endswith("l")
    path.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows), "utf-8")
    return path


@pytest.mark.parametrize("name", ["gold.json", "gold.jsonl"])
def test_label_studio_tasks(tmp_path: Path, name: str) -> None:
    dataset = read_dataset(tasks_file(tmp_path, [as_task(GOLD)] * 10, name))
    assert dataset == Dataset("gold", (GOLD,) * 10)


@pytest.mark.parametrize(
    "row",
    [
        {
            "id": 3,
            "text": GOLD.text,
            "label": [
                {"start": 0, "end": 5, "text": "Fe2O3", "labels": ["Material"]},
                {"start": 12, "end": 18, "text": "heated", "labels": ["Operation"]},
            ],
            "annotator": 1,
        },
        {"text": GOLD.text, "label": [[0, 5, "Material"], [12, 18, "Operation"]]},
        {
            "text": GOLD.text,
            "spans": [
                {"start": 0, "end": 5, "label": "Material"},
                {"start": 12, "end": 18, "label": "Operation"},
            ],
            "tokens": ["Fe2O3", "was"],
        },
    ],
)
def test_json_min_and_span_lists(tmp_path: Path, row: dict[str, object]) -> None:
    for name in ("gold.json", "gold.jsonl"):
        assert read_dataset(tasks_file(tmp_path, [row] * 10, name)).documents == (GOLD,) * 10


def test_a_text_without_entities_is_annotated_too() -> None:
    assert flat_document({"text": "nothing", "entities": []}, "row 1") == Document("nothing")
    assert flat_document({"text": "not annotated"}, "row 1") is None


@pytest.mark.parametrize("span", [[0, 99, "A"], [3, 3, "A"], [0, 1], {"start": 0, "end": 2}])
def test_a_wrong_span_is_refused(span: object) -> None:
    with pytest.raises(ImportFileError, match="row 1"):
        flat_document({"text": "iron", "spans": [[0, 1, "A"], span]}, "row 1")


def conll(*tags: str) -> tuple[Span, ...]:
    content = "\n".join(f"w{i}\tX\t{tag}" for i, tag in enumerate(tags))
    (document,) = conll_documents(content + "\n", "file")
    assert document.text == " ".join(f"w{i}" for i in range(len(tags)))
    return document.spans


def test_every_dialect_of_bio() -> None:
    two = (Span(0, 2, "A"), Span(3, 8, "A"))
    assert conll("B-A", "B-A", "I-A") == two
    assert conll("I-A", "B-A", "I-A") == two
    assert conll("S-A", "B-A", "E-A") == two
    assert conll("U-A", "B-A", "L-A") == two
    assert conll("I-A", "I-B", "O") == (Span(0, 2, "A"), Span(3, 5, "B"))
    assert conll("B-A", "E-A", "I-A") == (Span(0, 5, "A"), Span(6, 8, "A"))


def test_conll_sentences_comments_and_labels_with_hyphens() -> None:
    content = "-DOCSTART- -X- O\n\n# a comment\nZinc B-creative-work\r\nmelts O\r\n\r\n\nhot O\n# B-A\n"
    first, second = conll_documents(content, "file")
    assert first == Document("Zinc melts", (Span(0, 4, "creative-work"),))
    assert second == Document("hot")


def test_conll_tokens_may_hold_a_space_or_begin_with_a_number_sign() -> None:
    assert conll_documents("# \tB-A\n1 000\tI-A\n", "file") == [Document("# 1 000", (Span(0, 7, "A"),))]


@pytest.mark.parametrize("line", ["word", "word Label", "word B-", "word b-A", "\tB-A"])
def test_a_line_that_is_no_token_with_a_tag_is_refused(line: str) -> None:
    with pytest.raises(ImportFileError, match="line 2"):
        conll_documents(f"a O\n{line}\n", "file")


@given(st.lists(st.tuples(st.sampled_from(["O", "A", "B"]), st.integers(1, 3)), min_size=1, max_size=8))
def test_conll_written_from_spans_is_read_back(pieces: list[tuple[str, int]]) -> None:
    lines, spans, at = [], [], 0
    for label, size in pieces:
        for i in range(size):
            lines.append(f"xy {'O' if label == 'O' else ('B-' if i == 0 else 'I-') + label}")
        length = 3 * size - 1
        if label != "O":
            spans.append(Span(at, at + length, label))
        at += length + 1
    assert conll_documents("\n".join(lines), "file")[0].spans == tuple(spans)


def brat(folder: Path, text: str, annotations: str, name: str = "a") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.txt").write_bytes(text.encode())
    (folder / f"{name}.ann").write_bytes(annotations.encode())
    return folder


def test_brat_folder(tmp_path: Path) -> None:
    folder = brat(
        tmp_path / "corpus",
        "Fe2O3 🔥\r\nand iron oxide",
        "T1\tMaterial 0 5\tFe2O3\nR1\tIs Arg1:T1 Arg2:T2\n#1\tNote T1\tsure\n"
        "T2\tMaterial 13 17;18 23\tiron oxide\n",
    )
    assert brat_documents(folder)[0].spans == (Span(0, 5, "Material"), Span(13, 23, "Material"))
    for i in range(9):
        brat(folder, "zinc", "T1\tMaterial 0 4\tzinc", f"b{i}")
    assert read_dataset(folder).name == "corpus"


@pytest.mark.parametrize(
    "line", ["T1 Material 0 4 zinc", "T1\tA 0 9\tzinc", "T1\tA 0 3\tzinc", "T1\tA 0\tzinc"]
)
def test_a_wrong_brat_line_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(ImportFileError, match="line 1"):
        brat_documents(brat(tmp_path / "corpus", "zinc", line))


def test_brat_annotations_without_their_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ann").write_text("")
    with pytest.raises(ImportFileError, match=r"a\.txt"):
        brat_documents(tmp_path)


def test_a_folder_with_one_file_is_named_after_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "cdr"
    folder.mkdir()
    tasks_file(folder, [as_task(GOLD)] * 10)
    (folder / "README.md").write_text("about")
    assert read_dataset(folder).name == "cdr"
    tasks_file(folder, [as_task(GOLD)] * 10, "other.jsonl")
    with pytest.raises(ImportFileError, match="2 files"):
        read_dataset(folder)


def test_what_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="9 annotated texts"):
        read_dataset(tasks_file(tmp_path, [as_task(GOLD)] * 9))
    with pytest.raises(ImportFileError, match="no text has an entity"):
        read_dataset(tasks_file(tmp_path, [as_task(Document("plain"))] * 10))
    with pytest.raises(ImportFileError, match="no task has an annotation"):
        read_dataset(tasks_file(tmp_path, [{"text": "plain"}] * 10))
    path = tmp_path / "gold.xml"
    path.write_text("<a/>")
    with pytest.raises(ImportFileError, match=r"\.conll"):
        read_dataset(path)


def test_the_fingerprint_changes_with_texts_and_spans_but_not_with_the_name() -> None:
    base = Dataset("a", (GOLD,))
    assert base.fingerprint == Dataset("b", (GOLD,)).fingerprint
    assert base.fingerprint != Dataset("a", (Document(GOLD.text, GOLD.spans[:1]),)).fingerprint


def test_the_sample_is_a_data_set() -> None:
    sample = sample_dataset()
    assert sample.name == "sample"
    assert len(sample.documents) > 100
