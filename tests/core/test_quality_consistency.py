"""The same words labelled differently: which pairs are told, and which are not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from allabel_core.quality.consistency import contradictions, left_unmarked
from allabel_core.types import Document, Span


def marked(text: str, *entities: tuple[str, str]) -> Document:
    spans = tuple(Span(text.index(w), text.index(w) + len(w), label) for w, label in entities)
    return Document(text, spans)


def test_another_label_in_the_same_kind_of_context() -> None:
    documents = [
        marked("Stirred the Washington salt for two hours", ("Washington", "Person")),
        marked("A dinner far from everything", ("dinner", "Event")),
        marked("Stirred the Washington salt for three hours", ("Washington", "Place")),
    ]
    [found] = contradictions(documents)
    assert found.words == "washington"
    assert (found.first.document, found.first.label) == (0, "Person")
    assert (found.second.document, found.second.label) == (2, "Place")
    assert 0.5 < found.similarity < 0.9  # "two" and "three" are rare, hence weigh much


def test_two_labels_contradict_each_other_whatever_the_context_the_most_alike_first() -> None:
    documents = [
        marked("Dried over sieves", ("sieves", "Chemical")),
        marked("We met in May near Oslo", ("May", "Date")),
        marked("Theresa May resigned as minister", ("May", "Person")),
        marked("Dried over sieves again", ("sieves", "Equipment")),
    ]
    assert [(c.words, c.similarity > 0.3) for c in contradictions(documents)] == [
        ("sieves", True),
        ("may", False),
    ]


def test_two_labels_within_one_text() -> None:
    text = "Column of silica, the silica from the new column"
    document = Document(text, (Span(10, 16, "Chemical"), Span(22, 28, "Equipment")))
    [found] = contradictions([document])
    assert (found.first.start, found.second.start) == (10, 22)


def test_words_left_out_in_another_kind_of_context_are_no_contradiction() -> None:
    documents = [
        marked("We met in May near Oslo", ("May", "Date")),
        marked("Nobody may enter the laboratory", ("laboratory", "Place")),
    ]
    assert contradictions(documents) == []
    assert len(contradictions(documents, least_similar=0.0)) == 1


def test_words_marked_here_and_left_out_there() -> None:
    documents = [
        marked("heated the autoclave for 2 h", ("autoclave", "Equipment")),
        marked("heated the Autoclave for 2 h"),
    ]
    [found] = contradictions(documents)
    assert (found.second.label, found.second.start, found.second.end) == ("", 11, 20)


def test_what_is_no_contradiction() -> None:
    once = marked("zinc first and zinc again in the flask", ("zinc", "Material"))
    longer = marked("zinc nitrate and zinc in the flask", ("zinc nitrate", "Material"), ("and", "X"))
    part = marked("the zincates in the flask", ("flask", "Equipment"))
    assert contradictions([once]) == []
    assert all(c.words != "zinc" or c.second.document == 1 for c in contradictions([once, longer, part]))
    assert not [c for c in contradictions([once, part], least_similar=0.0) if c.words == "zinc"]


def test_two_people_about_the_same_text() -> None:
    text = "gold coins"
    [found] = contradictions([marked(text, ("gold", "Material")), marked(text, ("gold", "Colour"))])
    assert found.similarity == 1.0


def test_words_of_languages_without_spaces() -> None:
    documents = [
        marked("我们在北京开会", ("北京", "Place")),
        marked("他们在北京开会", ("北京", "Organisation")),
    ]
    assert [c.words for c in contradictions(documents)] == ["北京"]


def test_words_alone_have_the_same_context() -> None:
    [found] = contradictions([marked("iron", ("iron", "Metal")), marked("iron", ("iron", "Tool"))])
    assert found.similarity == 1.0


WORDS = st.lists(st.sampled_from(["iron", "gold", "the", "in", "cat"]), min_size=1, max_size=8)


@given(st.lists(st.tuples(WORDS, st.sampled_from(["A", "B"])), max_size=6))
def test_told_pairs_differ_in_label_and_place(texts: list[tuple[list[str], str]]) -> None:
    documents = [marked(" ".join(words), (words[0], label)) for words, label in texts]
    for found in contradictions(documents):
        assert found.first.label != found.second.label
        assert (found.first.document, found.first.start) < (found.second.document, found.second.start)
        assert 0 <= found.similarity <= 1
        assert found.similarity >= 0.3 or (found.first.label and found.second.label)
        for occurrence in (found.first, found.second):
            text = documents[occurrence.document].text
            assert text[occurrence.start : occurrence.end] == found.words


def test_a_pool_in_agreement_has_none() -> None:
    assert contradictions([marked("iron in the fire", ("iron", "Metal"))] * 5) == []
    assert contradictions([]) == []


def test_words_that_stand_unmarked_in_many_texts() -> None:
    marking = [marked(f"rinsed with THF in step {n}", ("THF", "Chemical")) for n in range(2)]
    leaving = [marked(f"dry thf in step {n}, again THF") for n in range(4)]
    [found] = left_unmarked([*marking, *leaving])
    assert (found.words, found.label, found.marked) == ("thf", "Chemical", 2)
    assert [(o.document, o.start, o.end) for o in found.unmarked] == [(n, 4, 7) for n in range(2, 6)]


def test_words_whose_mark_is_the_exception_are_not_told() -> None:
    marking = [marked(f"met in May {n}", ("May", "Date")) for n in range(2)]
    assert left_unmarked([*marking, *[marked(f"it may rain {n}") for n in range(7)]]) == []
    assert left_unmarked([*marking, *[marked(f"it may rain {n}") for n in range(2)]]) == []
    assert left_unmarked([marking[0], *[marked(f"it may rain {n}") for n in range(3)]]) == []
    assert left_unmarked([]) == []
