import codecs
import json

import pytest

from allabel_core.types import Document, Relation, Span
from backend.importers import ImportFileError, read_documents, read_file, read_tasks
from backend.importing.label_studio import PREDICTIONS, SKIPPED
from backend.importing.records import LeftOut
from backend.importing.regions import NO_SPANS
from backend.importing.tables import NO_HEADER
from backend.labeling.results import MALFORMED, MISPLACED, UNLABELLED


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def texts(path, **options):
    return [task.data["text"] for task in read_tasks(path, **options)]


def span(start, end, words, label="A", id="1"):
    value = {"start": start, "end": end, "text": words, "labels": [label]}
    return {"id": id, "type": "labels", "from_name": "label", "to_name": "text", "value": value}


def annotated(text, *results):
    return {"data": {"text": text}, "annotations": [{"result": list(result)} for result in results]}


def test_plain_lines_skip_empty_ones_and_split_at_line_feeds_only(write):
    path = write("notes.txt", "one\r\n\n  \ntwo\u2028still two\nthree")
    assert texts(path) == ["one", "two\u2028still two", "three"]


@pytest.mark.parametrize(
    "raw",
    [
        codecs.BOM_UTF8 + "café\nthé".encode(),
        "café\nthé".encode("utf-16"),
        codecs.BOM_UTF16_BE + "café\nthé".encode("utf-16-be"),
        "café\nthé".encode("utf-32"),
    ],
)
def test_byte_order_marks_tell_the_encoding_and_vanish(write, raw):
    assert texts(write("notes.txt", raw)) == ["café", "thé"]


def test_another_encoding_is_named_with_its_line_and_can_be_given(write):
    path = write("notes.txt", "fine\ncafé\n".encode("latin-1"))
    with pytest.raises(ImportFileError, match=r"line 2: not utf-8 \(byte 0xe9\)"):
        read_tasks(path)
    assert texts(path, encoding="latin-1") == ["fine", "café"]
    with pytest.raises(ImportFileError, match="no encoding called 'klingon'"):
        read_tasks(path, encoding="klingon")


def test_csv_takes_the_text_column_and_keeps_the_others(write):
    path = write("t.csv", 'id,text\n1,"a ""quoted"", text\nof two lines"\n2,b\n3,\n')
    assert [task.data for task in read_tasks(path)] == [
        {"id": "1", "text": 'a "quoted", text\nof two lines'},
        {"id": "2", "text": "b"},
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.tsv", "id\ttext\n1\ta, b\n"),
        ("t.csv", "id;text\n1;a, b\n"),
        ("t.csv", 'ID,Text\n1,"a, b"\n'),
        ("t.csv", 'sentence\n"a, b"\n'),
    ],
)
def test_tables_of_other_shapes(write, name, content):
    assert texts(write(name, content)) == ["a, b"]


def test_a_column_can_be_chosen(write):
    path = write("t.csv", "title,body\nx,y\n")
    assert texts(path, text_field="body") == ["y"]
    with pytest.raises(ImportFileError, match=r"line 2: no field 'text'; there are 'title', 'body'"):
        read_tasks(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\n1,a\n2,b,c\n", "line 3: more fields than the 2 columns"),
        ("text,text\na,b\n", "line 1: two columns have the same name"),
        ('text\n"open', r"unexpected end of data"),
    ],
)
def test_a_broken_table_names_the_line(write, content, message):
    with pytest.raises(ImportFileError, match=message):
        read_tasks(write("t.csv", content))


@pytest.mark.parametrize(
    "content",
    [
        '[{"data": {"text": "a"}}, {"data": {"text": "b"}}]',
        '[{"text": "a"}, "b"]',
        '{"text": "a"}\n{"data": {"text": "b"}}\n',
        '{"review": "a"}\n\n{"review": "b", "n": 3}\n',
    ],
)
def test_json_shapes(write, content):
    assert texts(write("t.json", content)) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.json", '[{"text": "a"},\n{"text" "b"}]', r"line 2, column 9: not JSON"),
        ("t.jsonl", '{"text": "a"}\n{"text": }\n', r"line 2: not JSON"),
        ("t.json", '["a", 7]', r"task 2: a task is an object with a text, not int"),
        ("t.json", '[{"text": 7}]', r"task 1: the text is int"),
        ("t.json", '[{"data": 5}]', r"task 1: 'data' is int"),
        ("t.json", '["a\\u0000"]', r"NUL"),
        ("t.json", '["\\ud83d"]', r"surrogate"),
        ("t.json", "[" * 100_000, r"nested too deeply"),
        ("t.json", "[]", r"no text found"),
        ("t.txt", "\n \n", r"no text found"),
        ("t.xlsx", "PK", r"called \*\.xlsx"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(write, name, content, message):
    with pytest.raises(ImportFileError, match=message):
        read_tasks(write(name, content))


def test_limits(write):
    with pytest.raises(ImportFileError, match="more than 2 tasks"):
        read_tasks(write("t.txt", "a\nb\nc\n"), max_tasks=2)
    with pytest.raises(ImportFileError, match=r"line 2: 1,000,001 characters"):
        read_tasks(write("u.txt", "a\n" + "b" * 1_000_001))


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(ImportFileError, match="cannot be read"):
        read_tasks(tmp_path / "none.txt")
    with pytest.raises(ImportFileError, match="0 files of annotations in this folder"):
        read_tasks(tmp_path)


def test_gold_spans_and_relations_are_read_in_code_points(write):
    link = {"type": "relation", "from_id": "b", "to_id": "a", "direction": "right", "labels": ["of"]}
    task = annotated("😀 two mg", [span(2, 5, "two", id="a"), span(6, 8, "mg", "B", "b"), link])
    (document,) = read_documents(write("t.jsonl", json.dumps(task)))
    assert document == Document("😀 two mg", (Span(2, 5, "A"), Span(6, 8, "B")), (Relation(1, 0, "of"),))


def test_an_empty_annotation_is_gold_and_none_is_not(write):
    path = write("t.json", json.dumps([annotated("a", []), {"data": {"text": "b"}}, "c"]))
    assert [task.gold for task in read_tasks(path)] == [Document("a"), None, None]
    assert read_documents(path) == [Document("a")]
    with pytest.raises(ImportFileError, match="gold spans are needed"):
        read_documents(write("u.txt", "a\n"))


def test_ground_truth_comes_first_and_skipped_annotations_do_not_count(write):
    first, second = {"result": [span(0, 1, "a", "First")]}, {"result": [span(0, 1, "a", "Second")]}
    cases = [
        ([first, second], "Second"),
        ([{**first, "ground_truth": True}, second], "First"),
        ([first, {**second, "was_cancelled": True}], "First"),
    ]
    for annotations, expected in cases:
        content = json.dumps([{"data": {"text": "a"}, "annotations": annotations}])
        (document,) = read_documents(write("t.json", content))
        assert document.spans[0].label == expected
    skipped = json.dumps([{"data": {"text": "a"}, "annotations": [{**first, "was_cancelled": True}]}])
    assert read_tasks(write("t.json", skipped))[0].gold is None


RIGHT = [span(0, 1, "a"), span(1, 2, "b")]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (span(0, 9, "ab"), MISPLACED),
        (span(1, 1, ""), MISPLACED),
        (span(0, 1, "b"), MISPLACED),
        ({"type": "labels", "value": {"start": 0, "end": 1}}, UNLABELLED),
        ({"type": "labels", "value": {"start": 0, "end": 1, "labels": 5}}, MALFORMED),
        ({"type": "labels", "value": {"start": "x", "end": 1, "labels": ["A"]}}, MALFORMED),
        ({"type": "choices", "value": {"choices": ["x"]}}, NO_SPANS.format("choices")),
    ],
)
def test_a_wrong_region_is_left_out_by_reason_as_in_a_live_project(write, item, reason):
    found = read_file(write("t.json", json.dumps(["c", annotated("ab", [*RIGHT, item])])))
    assert found.documents == [Document("ab", (Span(0, 1, "A"), Span(1, 2, "A")))]
    assert found.left_out == (LeftOut(reason, 1, "task 2"),)


@pytest.mark.parametrize("item", ["a", {"type": "relation", "from_id": "x", "to_id": "y"}])
def test_what_is_no_region_is_passed_over(write, item):
    (document,) = read_documents(write("t.json", json.dumps([annotated("ab", [item])])))
    assert document == Document("ab")


def test_where_most_regions_are_elsewhere_the_offsets_cannot_be_trusted(write):
    items = [span(0, 1, "b"), span(1, 2, "a"), span(0, 1, "a")]
    with pytest.raises(ImportFileError, match=r"task 1: the words of 2 of the file's 3 regions"):
        read_documents(write("t.json", json.dumps([annotated("ab", items)])))


@pytest.mark.parametrize(
    ("text", "start", "end"), [("Patient:\r\nJane Doe came", 9, 17), ("😀 Jane Doe came", 3, 11)]
)
def test_offsets_are_counted_as_in_a_live_project(write, text, start, end):
    (document,) = read_documents(
        write("t.json", json.dumps([annotated(text, [span(start, end, "Jane Doe")])]))
    )
    assert [document.text[s.start : s.end] for s in document.spans] == ["Jane Doe"]


def test_a_region_with_two_labels_is_two_spans(write):
    item = span(0, 1, "a")
    item["value"]["labels"] = ["B", "A"]
    (document,) = read_documents(write("t.json", json.dumps([annotated("ab", [item])])))
    assert document.spans == (Span(0, 1, "A"), Span(0, 1, "B"))


def test_all_annotations_are_kept_the_one_that_counts_last(write):
    made = [
        {"result": [span(0, 1, "a", "New")], "updated_at": "2026-02-01"},
        {"result": [span(0, 1, "a", "Old")], "updated_at": "2026-01-01"},
        {"result": [], "was_cancelled": True},
    ]
    content = [{"data": {"text": "a"}, "annotations": made, "predictions": [{"result": []}]}]
    found = read_file(write("t.json", json.dumps(content)))
    assert [document.spans[0].label for document in found.tasks[0].annotations] == ["Old", "New"]
    assert found.left_out == (LeftOut(SKIPPED, 1, "task 1"), LeftOut(PREDICTIONS, 1, "task 1"))
    assert found.labels == ["Old", "New"]


def test_the_text_is_the_column_in_which_the_regions_are(write):
    rows = [
        {"data": {"title": "x Jane", "body": "Jane x"}, "annotations": [{"result": [span(0, 4, "Jane")]}]},
        {"data": {"title": "only", "body": "other"}},
    ]
    found = read_file(write("t.json", json.dumps(rows)))
    assert [task.data for task in found.tasks] == [
        {"title": "x Jane", "text": "Jane x"},
        {"title": "only", "text": "other"},
    ]


def test_another_column_called_text_is_not_lost(write):
    path = write("t.json", json.dumps([{"text": "a", "body": "b"}]))
    assert read_tasks(path, text_field="body")[0].data == {"text": "b", "text_2": "a"}


def test_paragraphs_are_lines(write):
    value = {"start": "1", "end": "1", "startOffset": 0, "endOffset": 3, "text": "Bob"}
    item = {"id": "p", "type": "paragraphlabels", "value": {**value, "paragraphlabels": ["A"]}}
    talk = [{"author": "A", "text": "Hello"}, {"author": "B", "text": "Bob"}]
    content = [{"data": {"text": talk}, "annotations": [{"result": [item]}]}]
    (document,) = read_documents(write("t.json", json.dumps(content)))
    assert document == Document("Hello\nBob", (Span(6, 9, "A"),))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("t.csv", "id\ttext\n1\thello\n".encode("utf-16"), [{"id": "1", "text": "hello"}]),
        ("t.txt", "id\ttext\r\n1\thello\r\n".encode("utf-16"), [{"id": "1", "text": "hello"}]),
        ("t.csv", "id|text\n1|hello\n", [{"id": "1", "text": "hello"}]),
        ("t.csv", "sep=;\nid;text\n1;a,b\n", [{"id": "1", "text": "a,b"}]),
        ("t.tsv", "id,text\n1,hello\n", [{"id": "1", "text": "hello"}]),
        (
            "t.csv",
            "first text of mine\nsecond text\n",
            [{"text": "first text of mine"}, {"text": "second text"}],
        ),
        (
            "t.csv",
            "one, two\nthree\nfour, five, six\n",
            [{"text": t} for t in ("one, two", "three", "four, five, six")],
        ),
        ("t.csv", "text\nhello, world\nbye\n", [{"text": "hello, world"}, {"text": "bye"}]),
        ("t.csv", "id,text,,\n1,hello,,\n", [{"id": "1", "text": "hello"}]),
        ("t.csv", "id,text\n1,hello,,\n", [{"id": "1", "text": "hello"}]),
        (
            "t.csv",
            "id,,text\n1,x,hello\n2,,b\n",
            [{"id": "1", "column 2": "x", "text": "hello"}, {"id": "2", "text": "b"}],
        ),
        ("t.csv", "id;text\n1;a, b; c\n".replace("b; c", '"b"'), [{"id": "1", "text": 'a, "b"'}]),
        ("t.csv", "text,id\rhello,1\r", [{"text": "hello", "id": "1"}]),
        ("t.tsv", 'id\ttext\n1\t"hi" he said\n', [{"id": "1", "text": '"hi" he said'}]),
        ("t.tsv", 'id\ttext\n1\t"open\n2\tx"\n', [{"id": "1", "text": '"open'}, {"id": "2", "text": 'x"'}]),
        ("t.tsv", 'id\ttext\n1\t"say ""hi"" now"\n', [{"id": "1", "text": 'say "hi" now'}]),
        ("t.tsv", 'id\ttext\n1\t"two\nlines"\n\n', [{"id": "1", "text": "two\nlines"}]),
        ("t.tsv", 'id\ttext\n1\t"open\n2\n', [{"id": "1", "text": '"open'}]),
    ],
)
def test_dialects_of_tables(write, name, content, expected):
    assert [task.data for task in read_tasks(write(name, content))] == expected


def test_a_missing_header_is_told(write):
    found = read_file(write("t.csv", "first text of mine\nsecond text\n"))
    assert found.left_out == (LeftOut(NO_HEADER, 1, "line 1"),)


def test_the_csv_export_of_label_studio_keeps_its_annotations(write):
    label = json.dumps([{"start": 0, "end": 1, "text": "a", "labels": ["A"]}]).replace('"', '""')
    path = write("t.csv", f'annotation_id,annotator,id,label,text\n7,1,3,"{label}","ab"\n,,4,,cd\n')
    assert [task.gold for task in read_tasks(path)] == [Document("ab", (Span(0, 1, "A"),)), None]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.txt", '{"text": "a"}\n{"text": "b"}\n'),
        ("t.csv", '[{"text": "a"}, {"text": "b"}]'),
        ("t.jsonl", '[{"text": "a"}, {"text": "b"}]'),
        ("t.conll", '{"text": "a"}\n{"text": "b"}\n'),
        ("t", '[["a", {"entities": []}], ["b", {"entities": [[0, 1, "B"]]}]]'),
        ("t.json", '{"id": 1, "data": "a", "label": []}\n{"data": "b", "label": []}\n'),
        ("t.data", "a B-A\n\nb O\n"),
        ("t.txt", "a\tB-A\n\nb\tO\n"),
        ("t.tsv", "a\tB-A\n\nb\tO\n"),
    ],
)
def test_the_content_tells_the_format(write, name, content):
    assert texts(write(name, content)) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04", "Excel"),
        (b"\xd0\xcf\x11\xe0\xa1", "old Excel"),
        (b"%PDF-1.7", "PDF"),
        (b"\x1f\x8b\x08", "compressed"),
        (b"PAR1", "Parquet"),
    ],
)
def test_files_of_other_programs_say_what_to_do(write, content, what):
    with pytest.raises(ImportFileError, match=what):
        read_tasks(write("t.csv", content))


def test_what_a_database_refuses_is_taken_out_of_other_columns(write):
    path = write("t.json", '[{"text": "a", "note": "x\\u0000\\ud83d", "more": [{"n": NaN}]}]')
    assert read_tasks(path)[0].data == {"text": "a", "note": "x?", "more": [{"n": None}]}
