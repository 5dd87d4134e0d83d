"""Tags and spans, and a tagger that learns what can be learnt."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.metrics import score_entities
from allabel_core.simulation.extractors import Question
from allabel_core.simulation.perceptron import Perceptron
from allabel_core.simulation.tagging import bio_tags, shape, spans_of_tags, token_bounds, token_features
from allabel_core.types import Document, Span


def test_tokens_are_words_and_single_marks() -> None:
    text = "Fe2O3 (5 g)."
    assert [text[a:b] for a, b in token_bounds(text)] == ["Fe2O3", "(", "5", "g", ")", "."]


def test_tags_of_overlapping_and_adjacent_spans() -> None:
    text = "iron oxide iron"
    document = Document(text, (Span(0, 10, "A"), Span(5, 10, "B"), Span(11, 15, "A")))
    assert bio_tags(document, token_bounds(text)) == ["B-A", "I-A", "B-A"]


def test_a_span_that_cuts_a_word_takes_the_whole_word() -> None:
    text = "oxides here"
    assert bio_tags(Document(text, (Span(0, 5, "A"),)), token_bounds(text)) == ["B-A", "O"]


def test_an_inside_tag_without_a_beginning_begins() -> None:
    bounds = [(0, 1), (2, 3), (4, 5)]
    assert spans_of_tags(["I-A", "I-B", "O"], bounds) == (Span(0, 1, "A"), Span(2, 3, "B"))
    assert spans_of_tags(["O", "B-A", "I-A"], bounds) == (Span(2, 5, "A"),)


@given(st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B"]), max_size=12))
def test_spans_survive_tagging_and_back(tags: list[str]) -> None:
    text = " ".join("w" for _ in tags)
    bounds = token_bounds(text)
    spans = spans_of_tags(tags, bounds)
    assert spans_of_tags(bio_tags(Document(text, spans), bounds), bounds) == spans


def test_shapes_and_features() -> None:
    assert [shape(word) for word in ("Mg2", "NaCl", "2024", "ab-c")] == ["Aa0", "AaAa", "0", "a-a"]
    first, last = token_features(["Zinc", "melts"])
    assert {"w zinc", "s Aa", "w- <>", "w+ melts", "2. zi", ".3 inc"} <= set(first)
    assert {"w melts", "w- zinc", "w-- <>", "s- Aa"} <= set(last)


METALS = ["zinc", "iron", "tin", "lead", "gold", "nickel"]


def sentences(words: list[str]) -> list[Document]:
    return [Document(f"heat the {w} powder", (Span(9, 9 + len(w), "Metal"),)) for w in words]


def answered(learner: Perceptron, corpus: list[Document], texts: list[str]) -> list[Document]:
    questions = [Question(text, ()) for text in texts]
    return [found.document for found in learner.extract(corpus, questions, lambda _: None)]


def test_it_learns_a_context_and_marks_words_it_never_saw() -> None:
    gold = sentences(["cobalt", "copper"])
    found = answered(Perceptron(), sentences(METALS), [document.text for document in gold])
    assert score_entities(found, gold).f1 == 1


def test_without_annotated_texts_or_entities_it_finds_nothing() -> None:
    assert answered(Perceptron(), [], ["heat the zinc powder"])[0].spans == ()
    plain = [Document("heat the zinc powder")]
    assert answered(Perceptron(), plain, ["heat the zinc powder"])[0].spans == ()


def test_the_same_corpus_gives_the_same_answers_whatever_was_asked_before() -> None:
    corpus, texts = sentences(METALS), ["heat the cobalt powder", "cool the tin", "zinc"]
    used = Perceptron()
    answered(used, sentences(["silver"]), ["wash the silver", *reversed(texts)])
    assert answered(used, corpus, texts) == answered(Perceptron(), corpus, texts)


def test_weights_are_the_average_over_all_steps() -> None:
    """One feature set, two tags: the average can be followed by hand."""
    learner = Perceptron(epochs=1)
    corpus = [Document("a", (Span(0, 1, "X"),))]
    weights = learner._trained(corpus, ["O", "B-X", "I-X"])
    # The only step guesses O (all weights are 0), is corrected, and comes first of one: w - 1 * w / 2.
    row = learner._table.rows("a")[1][0]
    assert np.allclose(weights[row, 1], 0.5)
    assert np.allclose(weights[row, 0], -0.5)
    assert np.allclose(weights[row, 2], 0)
