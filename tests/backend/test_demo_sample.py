import json
import re
import unicodedata
from collections import defaultdict

import pytest

from allabel_core.errors import InvalidInputError
from allabel_core.types import Span
from backend.demo.sample import (
    INSTRUCTIONS,
    LABEL_CONFIG,
    LABELS,
    SAMPLE,
    SEEDS,
    compiled,
    parse_line,
    source_documents,
)
from backend.labeling.label_config import parse_label_config

DOCUMENTS = list(source_documents())


def test_markup_becomes_offsets_in_code_points():
    document = parse_line("👩‍🔬 [Mixed|O] the [TiO₂|C]!")
    assert document.text == "👩‍🔬 Mixed the TiO₂!"
    assert document.spans == (Span(4, 9, "Operation"), Span(14, 18, "Chemical"))


@pytest.mark.parametrize("line", ["[Mixed|X] it", "[Mixed|O it", "a | b", "a ] b"])
def test_broken_markup_is_refused(line):
    with pytest.raises(InvalidInputError):
        parse_line(line)


def test_the_import_file_is_the_compiled_source():
    assert SAMPLE.read_text("utf-8") == compiled()


def test_every_span_of_the_import_file_covers_its_words():
    tasks = json.loads(SAMPLE.read_text("utf-8"))
    assert len(tasks) >= 250
    count = 0
    for task in tasks:
        text = task["data"]["text"]
        assert text == text.strip()
        end_before = 0
        for item in task["annotations"][0]["result"]:
            value = item["value"]
            assert value["start"] >= end_before
            end_before = value["end"]
            words = text[value["start"] : value["end"]]
            assert words == value["text"]
            assert words == words.strip()
            assert not unicodedata.combining(text[value["end"] : value["end"] + 1] or "x")
            count += 1
    assert count > 2000


def test_the_label_config_has_exactly_the_sample_labels_each_with_a_hint():
    interface = parse_label_config(LABEL_CONFIG.read_text("utf-8"))
    assert interface.labels == tuple(LABELS.values())
    assert set(interface.hints) == set(interface.labels)
    assert interface.key == "text"
    assert INSTRUCTIONS.read_text("utf-8").strip()


def test_the_sample_is_varied():
    texts = [document.text for document in DOCUMENTS]
    words = [re.findall(r"\w+", text.lower()) for text in texts]
    assert len(set(texts)) == len(texts)
    assert min(map(len, words)) <= 5
    assert max(map(len, words)) >= 60
    assert len({word for line in words for word in line}) > 1400
    assert sum(document.text.count(". ") >= 4 for document in DOCUMENTS) >= 20, "long entries"
    assert 20 <= sum(not document.spans for document in DOCUMENTS) <= 60
    assert any("\u0301" in text for text in texts), "combining characters"
    assert any("₄" in text for text in texts), "subscripts"
    assert any("λ" in text for text in texts), "Greek letters"
    for label in LABELS.values():
        assert sum(span.label == label for document in DOCUMENTS for span in document.spans) > 100


def test_the_seeds_show_every_label_and_what_comes_next():
    seeds = [span for document in DOCUMENTS[:SEEDS] for span in document.spans]
    assert all(sum(span.label == label for span in seeds) >= 5 for label in LABELS.values())
    known = {words_of(document, span) for document in DOCUMENTS[:SEEDS] for span in document.spans}
    later = [document for document in DOCUMENTS[SEEDS:] if document.spans]
    meeting = [any(words_of(document, span) in known for span in document.spans) for document in later]
    assert sum(meeting) > 0.7 * len(later)


def test_the_same_words_have_one_label_but_for_a_few():
    labels = defaultdict(set)
    for document in DOCUMENTS:
        for span in document.spans:
            labels[words_of(document, span)].add(span.label)
    assert {words: found for words, found in labels.items() if len(found) > 1} == {}


def words_of(document, span):
    return document.text[span.start : span.end].lower()


def test_some_texts_nearly_repeat_another_and_most_do_not():
    words = [frozenset(re.findall(r"\w+", document.text.lower())) for document in DOCUMENTS]
    nearest = [
        max(len(mine & other) / len(mine | other) for j, other in enumerate(words) if j != i)
        for i, mine in enumerate(words)
    ]
    assert sum(value > 0.5 for value in nearest) >= 4
    assert sum(value < 0.3 for value in nearest) > 200
