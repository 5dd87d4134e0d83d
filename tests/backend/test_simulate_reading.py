"""Every format gives the same texts and spans; what cannot be read exactly is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.types import Document, Relation, Span
from backend.demo.sample import as_task
from backend.importers import ImportFileError, read_file
from backend.importing.brat import read_brat
from backend.importing.conll import read_conll
from backend.importing.flat import REJECTED, read_row
from backend.importing.records import Findings, LeftOut
from backend.labeling.results import MALFORMED, MISPLACED
from backend.simulate.reading import Dataset, read_dataset, sample_dataset


def conll_documents(content: str, name: str) -> list[Document]:
    return [document for _, document in read_conll(content, name)]


def brat_documents(folder: Path) -> list[Document]:
    return [document for _, document in read_brat(folder, Findings())]


def flat_document(row: dict[str, Any]) -> tuple[Document | None, dict[str, int]]:
    findings = Findings()
    made = read_row("row 1", row, None, findings).annotations
    return (made[-1] if made else None), dict(findings.numbers)


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
    assert flat_document({"text": "nothing", "entities": []}) == (Document("nothing"), {})
    assert flat_document({"text": "not annotated"}) == (None, {})
    assert flat_document({"text": "nothing", "annotation_id": 7}) == (Document("nothing"), {})
    assert flat_document({"text": "not annotated", "annotation_id": None}) == (None, {})
    assert flat_document({"text": "nothing", "answer": "accept"}) == (Document("nothing"), {})


@pytest.mark.parametrize(
    ("span", "reason"),
    [
        ([0, 99, "A"], MISPLACED),
        ([3, 3, "A"], MISPLACED),
        ([0, 1], MALFORMED),
        ({"start": 0, "end": 2}, MALFORMED),
        (5, MALFORMED),
    ],
)
def test_a_wrong_span_is_left_out(span: object, reason: str) -> None:
    document, left_out = flat_document({"text": "iron", "spans": [[0, 1, "A"], span]})
    assert document == Document("iron", (Span(0, 1, "A"),))
    assert left_out == {reason: 1}


JANE = Document("Jane Doe lives in Berlin", (Span(0, 8, "PER"), Span(18, 24, "LOC")))
LINKED = Document(JANE.text, JANE.spans, (Relation(0, 1, "lives in"),))


@pytest.mark.parametrize(
    ("row", "document"),
    [
        (
            {
                "text": JANE.text,
                "_input_hash": 5,
                "_task_hash": 6,
                "tokens": [{"text": "Jane", "start": 0, "end": 4, "id": 0}],
                "spans": [
                    {"start": 0, "end": 8, "token_start": 0, "token_end": 1, "label": "PER"},
                    {"start": 18, "end": 24, "label": "LOC"},
                ],
                "answer": "accept",
                "_view_id": "ner_manual",
            },
            JANE,
        ),
        (
            {
                "id": 1,
                "text": JANE.text,
                "entities": [
                    {"id": 7, "label": "PER", "start_offset": 0, "end_offset": 8},
                    {"id": 8, "label": "LOC", "start_offset": 18, "end_offset": 24},
                ],
                "relations": [{"id": 1, "from_id": 7, "to_id": 8, "type": "lives in"}],
                "Comments": [],
            },
            LINKED,
        ),
        ({"data": JANE.text, "label": [[0, 8, "PER"], [18, 24, "LOC"]], "Comments": []}, JANE),
        ([JANE.text, {"entities": [[0, 8, "PER"], [18, 24, "LOC"]]}], JANE),
        (
            {
                "tokens": JANE.text.split(),
                "ner_tags": ["B-PER", "I-PER", "O", "O", "B-LOC"],
            },
            JANE,
        ),
        (
            {
                "content": JANE.text,
                "created_at": "2026",
                "ner": [
                    {"start": 0, "end": 8, "text": "Jane Doe", "labels": ["PER"]},
                    {"start": 18, "end": 24, "text": "Berlin", "labels": ["LOC"]},
                ],
            },
            JANE,
        ),
    ],
)
def test_formats_of_other_programs(tmp_path: Path, row: object, document: Document) -> None:
    for name in ("gold.json", "gold.jsonl"):
        found = read_file(tasks_file(tmp_path, [row] * 2, name))
        assert [task.gold for task in found.tasks] in ([document] * 2, [document])
        assert not found.left_out


def test_rows_of_one_task_are_its_annotations(tmp_path: Path) -> None:
    def row(task: int, number: int | None, *labels: str) -> dict[str, object]:
        regions = [{"start": 0, "end": 1, "text": "a", "labels": [label]} for label in labels]
        made = {"id": task, "text": f"a {task}", "annotation_id": number, "annotator": 1}
        return {**made, "label": regions} if labels else made

    rows = [row(1, 1, "A"), row(2, 2, "B"), row(1, 3, "C"), row(3, 4), row(4, None)]
    found = read_file(tasks_file(tmp_path, list(rows)))
    assert [[s.label for made in task.annotations for s in made.spans] for task in found.tasks] == [
        ["A", "C"],
        ["B"],
        [],
        [],
    ]
    assert [task.gold for task in found.tasks][2:] == [Document("a 3"), None]


def test_rows_of_one_annotator_are_tasks_of_their_own(tmp_path: Path) -> None:
    def row(annotator: int) -> dict[str, object]:
        return {"id": 1, "text": "a", "label": [], "annotator": annotator}

    found = read_file(tasks_file(tmp_path, [row(1), row(2), row(1)]))
    assert [len(task.annotations) for task in found.tasks] == [2, 1]


def test_rejected_and_ignored_answers_of_prodigy_are_no_annotations(tmp_path: Path) -> None:
    spans = [{"start": 0, "end": 8, "label": "PER"}]
    rows = [
        {"text": f"{JANE.text} {i}", "spans": spans, "answer": answer}
        for i in range(10)
        for answer in ("accept", "reject", "ignore")
    ]
    dataset = read_dataset(tasks_file(tmp_path, list(rows)))
    assert len(dataset.documents) == 10
    assert dataset.left_out == (
        LeftOut(REJECTED.format("rejected"), 10, "task 2"),
        LeftOut(REJECTED.format("ignored"), 10, "task 3"),
    )


def test_numbers_in_place_of_tags_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="numbers have to be written as the names"):
        read_file(tasks_file(tmp_path, [{"tokens": ["a"], "ner_tags": [1]}]))


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
    content = (
        "-DOCSTART- -X- O\n\n# a comment\nZinc B-creative-work\r\nmelts O\r\n\r\n\nhot O\n# sent 2 O\n#\n"
    )
    first, second = conll_documents(content, "file")
    assert first == Document("Zinc melts", (Span(0, 4, "creative-work"),))
    assert second == Document("hot")


def test_conll_tokens_may_hold_a_space_or_begin_with_a_number_sign() -> None:
    assert conll_documents("# \tB-A\n1 000\tI-A\n", "file") == [Document("# 1 000", (Span(0, 7, "A"),))]


def test_conll_tokens_are_parted_at_blanks_and_lines_at_line_feeds_only() -> None:
    content = "100\u00a0000 B-NUM\nx\u2028y\u0085z O\n\n"
    (document,) = conll_documents(content, "file")
    assert document == Document("100\u00a0000 x\u2028y\u0085z", (Span(0, 7, "NUM"),))


@pytest.mark.parametrize("between", [" ", "\t"])
def test_conll_hashtags_are_tokens(between: str) -> None:
    rows = [("see", "O"), ("#Berlin", "B-LOC"), ("#", "O"), ("-", "O")]
    (document,) = conll_documents("# id 7\n" + "".join(f"{t}{between}{tag}\n" for t, tag in rows), "file")
    assert document == Document("see #Berlin # -", (Span(4, 11, "LOC"),))


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


@pytest.mark.parametrize("line", ["T1 Material 0 4 zinc", "T1\tA 0\tzinc"])
def test_a_wrong_brat_line_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(ImportFileError, match="line 1"):
        brat_documents(brat(tmp_path / "corpus", "zinc", line))


@pytest.mark.parametrize("line", ["T2\tA 0 9\tzinc", "T2\tA 0 3\tzinc"])
def test_words_elsewhere_than_brat_says_are_left_out(tmp_path: Path, line: str) -> None:
    found = read_file(brat(tmp_path / "corpus", "zinc", f"T1\tA 0 4\tzinc\n{line}\nR1\tof Arg1:T1 Arg2:T2\n"))
    assert found.documents == [Document("zinc", (Span(0, 4, "A"),))]
    assert found.left_out == (LeftOut(MISPLACED, 1, "a.ann, line 2"),)


def test_relations_of_brat(tmp_path: Path) -> None:
    lines = "T1\tA 0 4\tzinc\nT2\tB 5 10\toxide\nR1\tof Arg1:T2 Arg2:T1\t\n"
    (document,) = brat_documents(brat(tmp_path / "corpus", "zinc oxide", lines))
    assert document.relations == (Relation(1, 0, "of"),)


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
