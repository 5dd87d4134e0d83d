"""Result items and spans: exact places, both ways, whatever characters the text has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.types import Relation, Span, without_outer_space
from backend.labeling.label_config import LabelingInterface, parse_label_config
from backend.labeling.offsets import Offsets
from backend.labeling.results import (
    MALFORMED,
    MISPLACED,
    UNKNOWN_LABEL,
    document_from_annotation,
    read_annotation,
    result_from_spans,
)
from steps import grows_linearly

TEXT = parse_label_config(
    """<View><Relations><Relation value="of"/></Relations>
    <Labels name="one" toName="t"><Label value="A"/><Label value="B"/></Labels>
    <Labels name="two" toName="t"><Label value="Sea" alias="C"/></Labels>
    <Text name="t" value="$text"/></View>"""
)
TALK = parse_label_config(
    """<View><ParagraphLabels name="p" toName="t"><Label value="A"/><Label value="B"/></ParagraphLabels>
    <Paragraphs name="t" value="$talk"/></View>"""
)
CHARACTERS = st.sampled_from(
    ["a", "b", " ", "\n", ".", "é", "e\u0301", "👩\u200d🔬", "😀", "İ", "\r\n", "水", "שלום", "𝒳"]
)
TEXTS = st.lists(CHARACTERS, min_size=1, max_size=20).map("".join)


@st.composite
def annotated(draw: st.DrawFn, labels: tuple[str, ...]) -> tuple[str, list[Span]]:
    text = draw(TEXTS)
    place = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).filter(
        lambda pair: pair[0] < pair[1]
    )
    places = draw(st.lists(st.tuples(place, st.sampled_from(labels)), max_size=5))
    return text, sorted({Span(start, end, label) for (start, end), label in places})


def region(start: int, end: int, words: str, label: str = "A", **more: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "text": words, "labels": [label]}
    return {
        "id": f"{start}-{end}",
        "from_name": "one",
        "to_name": "t",
        "type": "labels",
        "value": value,
        **more,
    }


def trimmed(text: str, spans: list[Span]) -> tuple[Span, ...]:
    """As they are read: without the white space around their words."""
    found = {Span(*without_outer_space(text, s.start, s.end), s.label) for s in spans}
    return tuple(sorted(found))


@given(annotated(("A", "B", "C")))
def test_spans_of_a_text_come_back_as_they_were(case: tuple[str, list[Span]]) -> None:
    text, spans = case
    result = result_from_spans(TEXT, text, spans)
    assert all(
        text[item["value"]["start"] : item["value"]["end"]] == item["value"]["text"] for item in result
    )
    assert len({item["id"] for item in result}) == len(spans)
    assert document_from_annotation(TEXT, text, result).spans == trimmed(text, spans)


@given(annotated(("A", "B")))
def test_spans_of_paragraphs_come_back_as_they_were(case: tuple[str, list[Span]]) -> None:
    text, spans = case
    found = document_from_annotation(TALK, text, result_from_spans(TALK, text, spans))
    assert found.spans == trimmed(text, spans)


@given(TEXTS, st.data())
def test_offsets_in_utf16_units_are_found_by_their_words(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    units = len(text[:start].encode("utf-16-le")) // 2, len(text[:end].encode("utf-16-le")) // 2
    counts = Offsets(text)
    assert (counts.to_utf16(start), counts.to_utf16(end)) == units
    assert (counts.from_utf16(units[0]), counts.from_utf16(units[1])) == (start, end)
    assert counts.locate(*units, text[start:end], utf16=True) == (start, end)


@given(TEXTS)
def test_offsets_where_a_line_break_of_two_characters_counts_as_one(text: str) -> None:
    counts = Offsets(text)
    starts = [i for i in range(len(text) + 1) if text[max(i - 1, 0) : i + 1] != "\r\n"]
    for start, place in enumerate(starts[:-1]):
        words = text[place:] or None
        if words and "\r\n" in text[:place] and not text.startswith(words):
            assert counts.locate(start, len(starts) - 1, words) in {
                (place, len(text)),
                (start, len(starts) - 1),
                (counts.from_utf16(start), counts.from_utf16(len(starts) - 1)),
            }


def test_planted_spans_after_emoji_and_combining_marks() -> None:
    text = "👩\u200d🔬 cafe\u0301 mixed 5 g NaCl"
    span = Span(text.index("NaCl"), len(text), "A")
    assert result_from_spans(TEXT, text, [span], scores=[0.75]) == [
        {
            "id": "851a21819769",
            "from_name": "one",
            "to_name": "t",
            "type": "labels",
            "score": 0.75,
            "value": {"start": 20, "end": 24, "text": "NaCl", "labels": ["A"]},
        }
    ]


def test_regions_of_older_versions_and_of_browsers_are_put_right() -> None:
    text = "😀\r\nsalt and\r\nwater"
    in_utf16 = region(4, 8, "salt")
    with_unix_lines = region(11, 16, "water")
    assert document_from_annotation(TEXT, text, [in_utf16, with_unix_lines]).spans == (
        Span(3, 7, "A"),
        Span(13, 18, "A"),
    )


def test_what_is_no_entity_of_ours_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    result = [
        region(0, 4, "salt"),
        region(0, 4, "other words"),
        region(0, 99, "salt"),
        region(2, 2, ""),
        region(0, 4, "salt", label="Gone"),
        {"id": "x", "from_name": "one", "to_name": "t", "type": "labels", "value": {"start": 0, "end": 4}},
        {"id": "c", "from_name": "ch", "to_name": "t", "type": "choices", "value": {"choices": ["A"]}},
        {**region(0, 4, "salt", label="B"), "to_name": "another text"},
        {**region(0, 4, "salt"), "value": {"start": "/p[1]", "end": None, "labels": ["B"]}},
    ]
    document = document_from_annotation(TEXT, "salt and water", result)
    assert document.spans == (Span(0, 4, "A"),)
    assert "4 regions" in caplog.text
    assert "other words" not in caplog.text


@pytest.mark.parametrize(
    "broken",
    [
        5,
        "labels",
        {**region(0, 4, "salt"), "value": {"start": 0, "end": 4, "text": "salt", "labels": 5}},
        {**region(0, 4, "salt"), "value": {"start": 0, "end": 4, "text": "salt", "labels": [{}]}},
        {**region(0, 4, "salt"), "value": [1]},
        {**region(0, 4, "salt"), "value": {"start": [], "end": {}, "labels": ["A"]}},
        {**region(0, 4, "salt"), "value": {"start": float("inf"), "end": 4, "labels": ["A"]}},
        {**region(0, 4, "salt"), "value": {"start": 0, "end": 4, "text": 7, "labels": ["A"]}},
    ],
)
def test_one_malformed_region_is_left_out_by_reason_and_the_others_stay(broken: Any) -> None:
    document, left_out = read_annotation(TEXT, "salt", [broken, region(0, 4, "salt", id=[])])
    assert document.spans == (Span(0, 4, "A"),)
    assert left_out == {MALFORMED: 1}


@pytest.mark.parametrize("result", [None, 5, "words", {"a": 1}])
def test_an_annotation_that_is_no_list_says_nothing(result: Any) -> None:
    assert read_annotation(TEXT, "salt", result).document.spans == ()


def test_regions_left_out_are_counted_by_reason() -> None:
    result = [region(0, 4, "salt", label="Gone"), region(0, 4, "sand"), region(0, 4, "salt")]
    document, left_out = read_annotation(TEXT, "salt", result)
    assert document.spans == (Span(0, 4, "A"),)
    assert left_out == {UNKNOWN_LABEL.format("Gone"): 1, MISPLACED: 1}


def test_relations_of_any_shape_break_nothing() -> None:
    links = [
        {"type": "relation", "from_id": "0-1", "to_id": "2-3", "labels": 5},
        {"type": "relation", "from_id": [], "to_id": {}, "labels": [[]]},
    ]
    document = document_from_annotation(TEXT, "a b", [region(0, 1, "a"), region(2, 3, "b"), *links])
    assert document.relations == (Relation(0, 1, ""),)


def test_a_region_with_two_labels_is_two_spans_and_shown_names_are_translated() -> None:
    item = region(0, 4, "salt")
    item["value"]["labels"] = ["B", "Sea"]
    assert document_from_annotation(TEXT, "salt", [item]).spans == (Span(0, 4, "B"), Span(0, 4, "C"))


def test_relations_both_ways() -> None:
    text = "5 g of salt"
    spans = [Span(7, 11, "A"), Span(0, 3, "B")]
    result = result_from_spans(TEXT, text, spans, relations=[Relation(1, 0, "of"), Relation(0, 1)])
    document = document_from_annotation(TEXT, text, result)
    assert document.spans == (Span(0, 3, "B"), Span(7, 11, "A"))
    assert document.relations == (Relation(0, 1, "of"), Relation(1, 0, ""))


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ("right", (Relation(0, 1, "of"),)),
        ("left", (Relation(1, 0, "of"),)),
        ("bi", (Relation(0, 1, "of"), Relation(1, 0, "of"))),
    ],
)
def test_direction_of_relations(direction: str, expected: tuple[Relation, ...]) -> None:
    link = {"type": "relation", "from_id": "0-1", "to_id": "2-3", "direction": direction, "labels": ["of"]}
    to_nothing = {**link, "to_id": "gone"}
    result = [region(0, 1, "a"), region(2, 3, "b"), link, to_nothing]
    assert document_from_annotation(TEXT, "a b", result).relations == expected


def paragraph_region(start: str, end: str, offsets: tuple[int, int], **value: Any) -> dict[str, Any]:
    place = {"start": start, "end": end, "startOffset": offsets[0], "endOffset": offsets[1]}
    value = {**place, "paragraphlabels": ["A"], **value}
    return {"id": "r", "from_name": "p", "to_name": "t", "type": "paragraphlabels", "value": value}


@pytest.mark.parametrize(
    ("item", "spans"),
    [
        (paragraph_region("0", "0", (3, 6)), (Span(2, 5, "A"),)),
        (paragraph_region("0", "0", (2, 5), text="Ann"), (Span(2, 5, "A"),)),
        (paragraph_region("1", "1", (0, 3), text="Bob"), (Span(6, 9, "A"),)),
        (paragraph_region("0", "1", (3, 3), text="Ann\n\nBob"), (Span(2, 9, "A"),)),
        (paragraph_region("1", "1", (0, 9)), ()),
        (paragraph_region("1", "2", (0, 1)), ()),
        (paragraph_region("0", "0", (1, 3)), ()),
    ],
)
def test_regions_of_paragraphs(item: dict[str, Any], spans: tuple[Span, ...]) -> None:
    assert document_from_annotation(TALK, "😀 Ann\nBob", [item]).spans == spans


@pytest.mark.parametrize(
    ("line", "offsets", "words", "marked"),
    [
        ("see  Paris zulu", (5, 10), "aris ", "Paris"),
        ("   Bob came", (3, 6), "cam", "Bob"),
        ("   Bob", (3, 6), "", "Bob"),
        ("New  \tYork is", (0, 9), "New York", "New  \tYor"),
        ("New  York is", (0, 9), "New York", "New  York"),
        ("one\r two  Paris", (10, 15), "Paris", "Paris"),
        ("one \u00a0Paris", (5, 10), "Paris", "Paris"),
    ],
)
def test_in_paragraphs_offsets_decide_where_the_page_collapses_white_space(
    line: str, offsets: tuple[int, int], words: str, marked: str
) -> None:
    item = paragraph_region("1", "1", offsets, text=words)
    (span,) = document_from_annotation(TALK, f"before\n{line}\nafter", [item]).spans
    assert line[span.start - 7 : span.end - 7] == marked


def test_words_of_another_paragraph_are_still_left_out() -> None:
    item = paragraph_region("0", "0", (0, 5), text="Paris")
    assert read_annotation(TALK, "Berlin\nParis", [item]).left_out == {MISPLACED: 1}


def test_a_region_of_paragraphs_counts_utf16_units_from_its_paragraph() -> None:
    (item,) = result_from_spans(TALK, "Hi\n😀 Ann", [Span(5, 8, "B")])
    assert item["type"] == "paragraphlabels"
    assert item["value"] == {
        "start": "1",
        "end": "1",
        "startOffset": 3,
        "endOffset": 6,
        "text": "Ann",
        "paragraphlabels": ["B"],
    }


@pytest.mark.parametrize("span", [Span(0, 5, "A"), Span(-1, 2, "A"), Span(2, 2, "A"), Span(0, 2, "Z")])
@pytest.mark.parametrize("interface", [TEXT, TALK])
def test_spans_that_do_not_fit_are_an_error_of_the_caller(interface: LabelingInterface, span: Span) -> None:
    with pytest.raises(ValueError, match="span 0"):
        result_from_spans(interface, "salt", [span])


@pytest.mark.parametrize("interface", [TEXT, TALK])
def test_regions_are_placed_in_linear_time(interface: LabelingInterface) -> None:
    def make(size: int) -> Any:
        text = "😀 salt\r\n" * size
        spans = [Span(i * 8 + 2, i * 8 + 6, "A") for i in range(size)]
        items = result_from_spans(interface, text, spans)

        def work() -> None:
            assert len(document_from_annotation(interface, text, items).spans) == size
            result_from_spans(interface, text, spans)

        return work

    assert grows_linearly(make)
