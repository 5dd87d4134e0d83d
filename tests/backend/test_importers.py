import codecs
import json

import pytest

from allabel_core.types import Document, Relation, Span
from backend.importers import ImportFileError, read_documents, read_tasks


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
        ("t.json", '[{"data": "a"}]', r"task 1: 'data' is str"),
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
    with pytest.raises(ImportFileError, match=r"line 2: 200,001 characters"):
        read_tasks(write("u.txt", "a\n" + "b" * 200_001))


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(ImportFileError, match="cannot be read"):
            read_tasks(path)


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


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (span(0, 9, "ab"), "from 0 to 9 is not inside 2 characters"),
        (span(1, 1, ""), "is not inside"),
        (span(0, 1, "b"), "covers other words"),
        ({"type": "labels", "value": {"start": 0}}, "needs start, end and labels"),
        ({"type": "relation", "from_id": "x", "to_id": "y"}, "a span that is not there"),
        ("a", "something other than objects"),
    ],
)
def test_wrong_gold_is_refused_with_the_task(write, item, message):
    with pytest.raises(ImportFileError, match=f"task 1: .*{message}"):
        read_documents(write("t.json", json.dumps([annotated("ab", [item])])))
