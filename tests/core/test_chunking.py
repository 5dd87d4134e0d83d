from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.chunking import Chunk, estimate_tokens, split_text, stitch
from allabel_core.errors import InvalidInputError
from allabel_core.grounding import GroundedSpan, Grounding, ground
from allabel_core.textmap import joins
from allabel_core.types import Mention, Relation, Span


def words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("iron", 2),
        ("the cat", 2),
        ("10 mL", 4),
        ("H2O", 3),
        ("a, b", 3),
        ("дом", 3),
        ("北京", 4),
        ("👍", 3),
        ("a\nb", 3),
        ("NaCl", 2),
        ("ABS", 2),
        ("a         b", 4),
    ],
)
def test_token_estimates_by_hand(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


def test_a_short_text_is_one_chunk_and_an_empty_one_none() -> None:
    assert split_text("One. Two.", 10, count_tokens=words) == (Chunk(0, 9, 0, 9),)
    assert split_text("", 10) == ()


def test_chunks_end_at_sentence_bounds() -> None:
    text = "One two. Three four! Five six? Seven."
    chunks = split_text(text, 4, count_tokens=words)
    assert [text[c.start : c.end] for c in chunks] == ["One two. Three four! ", "Five six? Seven."]


def test_overlap_repeats_whole_sentences_and_each_place_has_one_owner() -> None:
    text = "A a. B b. C c. D d. E e."
    chunks = split_text(text, 6, overlap_tokens=4, count_tokens=words)
    assert [text[c.start : c.end] for c in chunks] == ["A a. B b. C c. ", "B b. C c. D d. ", "C c. D d. E e."]
    assert [text[c.own_start : c.own_end] for c in chunks] == ["A a. B b. ", "C c. ", "D d. E e."]


def test_other_scripts_and_abbreviations() -> None:
    text = "他来了。她走了。"
    assert [c.start for c in split_text(text, 8)] == [0, 4]
    text = "See e.g. the left one. Then go."
    assert [text[c.start : c.end] for c in split_text(text, 5, count_tokens=words)] == [
        "See e.g. the left one. ",
        "Then go.",
    ]


def test_a_sentence_that_is_too_long_is_cut_between_words_or_characters() -> None:
    text = "one two three four five six seven eight"
    chunks = split_text(text, 3, count_tokens=words)
    assert all(words(text[c.start : c.end]) <= 3 for c in chunks)
    assert all(text[c.start - 1] == " " for c in chunks[1:])
    emoji = "👨\u200d👩\u200d👧" * 20
    chunks = split_text(emoji, 30)
    assert len(chunks) > 1
    assert not any(joins(emoji, c.start) for c in chunks)


@pytest.mark.parametrize(("maximum", "overlap"), [(0, 0), (5, 5), (5, -1)])
def test_impossible_sizes_are_refused(maximum: int, overlap: int) -> None:
    with pytest.raises(InvalidInputError):
        split_text("text", maximum, overlap_tokens=overlap)


@given(
    st.text(st.sampled_from("ab .!?\n\r京。é\u0301🎉\u200d"), max_size=200),
    st.integers(4, 40),
    st.integers(0, 30),
)
def test_chunks_cover_the_text_and_own_it_once(text: str, maximum: int, overlap: int) -> None:
    chunks = split_text(text, maximum, overlap_tokens=min(overlap, maximum - 1))
    assert "".join(text[c.own_start : c.own_end] for c in chunks) == text
    assert all(c.start <= c.own_start <= c.own_end <= c.end for c in chunks)
    assert all(a.start < b.start <= a.end < b.end for a, b in pairwise(chunks))
    assert all(estimate_tokens(text[c.start : c.end]) <= maximum for c in chunks)


@pytest.mark.parametrize("unit", ["!", " ", "a", "\u0301", '."', "\n", "。"])
def test_hostile_texts_are_split_in_seconds(unit: str) -> None:
    text = unit * (60_000 // len(unit))
    chunks = split_text(text, 1_000, overlap_tokens=100)
    assert chunks[-1].end == len(text)


def test_spans_are_stitched_at_their_places() -> None:
    text = "Iron 🎉 is hot. Zinc is cold. Gold is soft. Lead is grey. " * 20
    metals = ("Iron", "Zinc", "Gold", "Lead")
    chunks = split_text(text, 60, overlap_tokens=25)
    parts = [
        ground(
            text[c.start : c.end], [Mention(metal, "M") for metal in metals if metal in text[c.start : c.end]]
        )
        for c in chunks
    ]
    stitched = stitch(chunks, parts)
    whole = ground(text, [Mention(metal, "M") for metal in metals])
    assert [g.span for g in stitched.grounding.spans] == [g.span for g in whole.spans]
    assert len(chunks) > 3
    for grounded, (i, j) in zip(stitched.grounding.spans, stitched.origins, strict=True):
        assert grounded.quality == parts[i].spans[j].quality


def grounding(*bounds: tuple[int, int], relations: tuple[Relation, ...] = ()) -> Grounding:
    spans = tuple(
        GroundedSpan(Span(start, end, "M"), 1.0, "exact", i) for i, (start, end) in enumerate(bounds)
    )
    return Grounding(spans, relations, {"not_found": 1}, 1)


def test_a_span_across_the_seam_displaces_what_the_next_chunk_found_there() -> None:
    chunks = (Chunk(0, 20, 0, 15), Chunk(10, 30, 15, 30))
    stitched = stitch(chunks, [grounding((12, 18), (16, 19)), grounding((2, 8), (6, 8), (12, 14))]).grounding
    assert [(g.span.start, g.span.end) for g in stitched.spans] == [(12, 18), (22, 24)]
    assert stitched.rejected == {"not_found": 2}
    assert stitched.lost_relations == 2


def test_relations_follow_their_spans() -> None:
    chunks = (Chunk(0, 20, 0, 10), Chunk(10, 30, 10, 30))
    first = grounding((0, 4), (5, 9), (12, 14), relations=(Relation(1, 0, "r"), Relation(0, 2, "r")))
    second = grounding((2, 4), (6, 8), relations=(Relation(0, 1, "r"),))
    assert stitch(chunks, [first, second]).grounding.relations == (Relation(1, 0, "r"), Relation(2, 3, "r"))
