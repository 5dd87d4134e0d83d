"""Planted spans: every expectation is an exact offset, checked by eye or by construction."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.grounding import MAX_MENTIONS, Grounding, GroundingPolicy, ground, learn_policy
from allabel_core.types import Document, Mention, Relation, Span

FIRST = GroundingPolicy(occurrences="first")
FLAT = GroundingPolicy(occurrences="first", overlaps=False)


def mentions(*words: str, label: str = "X") -> list[Mention]:
    return [Mention(each, label) for each in words]


def places(grounding: Grounding) -> list[tuple[int, int]]:
    return [(g.span.start, g.span.end) for g in grounding.spans]


FAMILY = "👨\u200d👩\u200d👧"


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        pytest.param("🎉🎉 Berlin", "Berlin", (3, 9), id="after emoji"),
        pytest.param(f"the {FAMILY} met", FAMILY, (4, 9), id="joined emoji"),
        pytest.param(f"{FAMILY} Berlin", "berlin", (6, 12), id="folded, after joined emoji"),
        pytest.param("in 🇩🇪 now", "🇩🇪", (3, 5), id="flag"),
        pytest.param("cafe\u0301 noir", "café noir", (0, 10), id="decomposed text"),
        pytest.param("café noir", "cafe\u0301 noir", (0, 9), id="decomposed mention"),
        pytest.param("q\u0323\u0307 rest", "q\u0307\u0323", (0, 3), id="marks in another order"),
        pytest.param("buy ＡＳＰＩＲＩＮ now", "aspirin", (4, 11), id="full-width"),
        pytest.param("他在北京大学学习", "北京大学", (2, 6), id="CJK without spaces"),
        pytest.param("서울에서 왔다", "서울", (0, 2), id="Hangul before a particle"),
        pytest.param("서울에서", "\u1109\u1165\u110b\u116e\u11af", (0, 2), id="Hangul as letters"),
        pytest.param("היא גרה בירושלים היום", "ירושלים", (9, 16), id="Hebrew after a prefix"),
        pytest.param("زار محمد القاهرة", "القاهرة", (9, 16), id="Arabic"),
        pytest.param("one\r\ntwo\r\nthree four", "three four", (10, 20), id="CRLF before"),
        pytest.param("renal\r\nfailure now", "renal failure", (0, 14), id="CRLF inside"),
        pytest.param("by AT&amp;T today", "AT&T", (3, 11), id="HTML reference in the text"),
        pytest.param("by AT&T today", "AT&amp;T", (3, 7), id="HTML reference in the mention"),
        pytest.param("TNF-&#945; rose", "TNF-α", (0, 10), id="numeric HTML reference"),
        pytest.param("dried CuSO₄·5H₂O slowly", "CuSO4·5H2O", (6, 16), id="subscripts"),
        pytest.param("of H2O2 and H2O here", "H2O", (12, 15), id="a formula within a formula"),
        pytest.param("in İstanbul today", "İSTANBUL", (3, 11), id="dotted capital I, folded"),
        pytest.param("İİİ aspirin", "ASPIRIN", (4, 11), id="after letters that grow in lower case"),
        pytest.param("die Straße hier", "STRASSE", (4, 10), id="sharp s in the text"),
        pytest.param("die STRASSE hier", "Straße", (4, 11), id="sharp s in the mention"),
        pytest.param("the ﬁlter paper", "filter", (4, 9), id="ligature"),
        pytest.param("as\u00adpirin dose", "aspirin", (0, 8), id="soft hyphen"),
        pytest.param("L - NOArg given", "L-NOArg", (0, 9), id="white space within"),
        pytest.param("the patient’s “index”", "patient's", (4, 13), id="typographic apostrophe"),
        pytest.param("add 10mL of it", "mL", (6, 8), id="unit glued to a number"),
        pytest.param("add 10mL of it", "10", (4, 6), id="number glued to a unit"),
        pytest.param("took acetaminophen daily", "acetominophen", (5, 18), id="misspelt"),
        pytest.param("two aspirins daily", "aspirin", (4, 12), id="plural"),
        pytest.param("by antiaspirinic means", "aspirin", (7, 14), id="inside a word, as a last resort"),
    ],
)
def test_a_planted_mention_is_found_at_its_place(text: str, words: str, expected: tuple[int, int]) -> None:
    grounding = ground(text, mentions(words))
    assert places(grounding) == [expected]
    assert not grounding.rejected


@pytest.mark.parametrize(
    ("text", "words", "reason"),
    [
        pytest.param("nothing here", "aspirin", "not_found", id="absent"),
        pytest.param("a category", "cat", "inside_word", id="short and inside a word"),
        pytest.param("C\u0327", "C", "not_found", id="would cut a mark off"),
        pytest.param("Müller, Mûller", "Muller", "ambiguous", id="alike but for different accents"),
        pytest.param(FAMILY, "👩", "not_found", id="would cut a joined emoji"),
        pytest.param("👍🏽", "👍", "not_found", id="would cut a skin tone off"),
        pytest.param("🇩🇪🇫🇷", "🇪🇫", "not_found", id="would pair halves of two flags"),
        pytest.param("ß", "s", "not_found", id="half of a folded letter"),
        pytest.param("AT&amp;T", "amp", "not_found", id="within an HTML reference"),
        pytest.param("given HOE 141 daily", "HOE 140", "not_found", id="another number"),
        pytest.param("hypothyroidism", "hyperthyroidism", "not_found", id="similar but another word"),
        pytest.param("text", " \u200b", "empty", id="blank"),
    ],
)
def test_what_cannot_be_grounded_is_counted_and_not_shown(text: str, words: str, reason: str) -> None:
    grounding = ground(text, mentions(words))
    assert not grounding.spans
    assert dict(grounding.rejected) == {reason: 1}


def test_a_mention_named_twice_is_two_spans_and_a_third_time_is_rejected() -> None:
    grounding = ground("iron and iron", mentions("iron", "iron", "iron"), policy=FIRST)
    assert places(grounding) == [(0, 4), (9, 13)]
    assert dict(grounding.rejected) == {"repeated": 1}


def test_reading_order_decides_between_occurrences() -> None:
    #       0123456789012345678
    text = "zinc , lead , zinc."
    assert places(ground(text, mentions("lead", "zinc"), policy=FIRST)) == [(7, 11), (14, 18)]
    assert places(ground(text, mentions("zinc", "lead"), policy=FIRST)) == [(0, 4), (7, 11)]


def test_one_mention_out_of_order_does_not_displace_the_others() -> None:
    text = "a1 b2 a1 c3"
    grounding = ground(text, mentions("c3", "a1", "b2", "a1"), policy=FIRST)
    assert places(grounding) == [(0, 2), (3, 5), (6, 8), (9, 11)]


def test_a_word_within_a_longer_mention_means_its_own_occurrence() -> None:
    text = "acute renal failure ; renal failure"
    grounding = ground(text, mentions("acute renal failure", "renal failure"), policy=FIRST)
    assert places(grounding) == [(0, 19), (22, 35)]


def test_nested_spans_where_the_project_has_them() -> None:
    text = "Bank of China"
    both = mentions("Bank of China", "China")
    assert places(ground(text, both, policy=FIRST)) == [(0, 13), (8, 13)]
    flat = ground(text, both, policy=FLAT)
    assert places(flat) == [(0, 13)]
    assert dict(flat.rejected) == {"overlapping": 1}


def test_two_labels_on_the_same_words_need_overlaps_allowed() -> None:
    both = [Mention("Washington", "person"), Mention("Washington", "place")]
    assert [g.span.label for g in ground("Washington", both).spans] == ["person", "place"]
    assert [g.span.label for g in ground("Washington", both, policy=FLAT).spans] == ["person"]


def test_all_occurrences_spare_what_another_span_covers() -> None:
    text = "lead in lead acetate , not leadership ; lead"
    grounding = ground(text, mentions("lead", "lead acetate"))
    assert places(grounding) == [(0, 4), (8, 20), (40, 44)]
    assert [g.quality for g in grounding.spans] == [1.0, 1.0, 0.9]


def test_a_repeated_mention_falls_back_on_another_spelling() -> None:
    assert places(ground("Iron , then iron", mentions("Iron", "Iron"), policy=FIRST)) == [(0, 4), (12, 16)]


def test_quality_falls_with_each_concession() -> None:
    ways = {
        words: ground("took acetaminophen", mentions(words)).spans[0].quality
        for words in ("acetaminophen", "ACETAMINOPHEN", "acetominophen", "aminophen")
    }
    assert ways["acetaminophen"] == 1.0
    assert sorted(ways, key=lambda w: -ways[w]) == [
        "acetaminophen",
        "ACETAMINOPHEN",
        "acetominophen",
        "aminophen",
    ]


def test_relations_follow_their_mentions() -> None:
    said = mentions("5 g", "zinc", "gold", "zinc")
    links = [Relation(1, 0, "amount"), Relation(3, 0, "amount"), Relation(2, 0, "amount")]
    #              0123456789012345678
    grounding = ground("zinc 5 g then zinc", said, links, policy=FIRST)
    assert places(grounding) == [(0, 4), (5, 8), (14, 18)]
    assert grounding.relations == (
        Relation(0, 1, "amount"),
        Relation(2, 1, "amount"),
    ) or grounding.relations == (
        Relation(2, 1, "amount"),
        Relation(0, 1, "amount"),
    )
    assert grounding.lost_relations == 1
    assert dict(grounding.rejected) == {"not_found": 1}


def test_the_policy_is_learned_from_what_annotators_marked() -> None:
    text = "iron iron iron iron"
    every = Document(text, tuple(Span(i, i + 4, "X") for i in (0, 5, 10, 15)))
    first = Document(text, (Span(0, 4, "X"),))
    nested = Document("Bank of China", (Span(0, 13, "X"), Span(8, 13, "Y")))
    assert learn_policy([every, every], base=FIRST).occurrences == "all"
    assert learn_policy([first, first]).occurrences == "first"
    assert learn_policy([every], base=FIRST).occurrences == "first"
    assert learn_policy([]) == GroundingPolicy()
    assert not learn_policy([every, every]).overlaps
    assert learn_policy([every, nested]).overlaps


letters = st.sampled_from(list("ab ıİßéé́₂，京&;#x2\r\n-\u200d👨👩🇩🇪é\u0301\u0323sS"))
texts = st.lists(letters, max_size=40).map("".join)


@given(texts, st.lists(texts, max_size=8), st.booleans(), st.sampled_from(["first", "all"]))
def test_any_answer_gives_valid_spans(text: str, words: list[str], overlaps: bool, occurrences: str) -> None:
    policy = GroundingPolicy(occurrences="all" if occurrences == "all" else "first", overlaps=overlaps)
    grounding = ground(text, mentions(*words), policy=policy)
    ordered = places(grounding)
    assert all(0 <= start < end <= len(text) for start, end in ordered)
    assert len({g.span for g in grounding.spans}) == len(ordered)
    assert overlaps or all(a[1] <= b[0] for a, b in itertools.pairwise(ordered))
    named = {g.mention for g in grounding.spans}
    assert len(named) + sum(grounding.rejected.values()) == len(words)


@given(
    st.lists(
        st.sampled_from(["zinc", "İr", "Straße", "京", "👍🏽", "e\u0301", "H₂O", "a&amp;b"]), max_size=12
    )
)
def test_every_word_named_in_order_gets_its_own_place(words: list[str]) -> None:
    text = " , ".join(words)
    expected, start = [], 0
    for word in words:
        expected.append((start, start + len(word)))
        start += len(word) + 3
    assert places(ground(text, mentions(*words))) == expected
    assert places(ground(text, mentions(*words), policy=FLAT)) == expected


def by_label(**lines: str) -> list[Mention]:
    """As a completion names them: a line for each label."""
    return [
        Mention(words, label, line)
        for line, (label, said) in enumerate(lines.items())
        for words in said.split("; ")
    ]


def test_each_line_of_an_answer_begins_at_the_beginning_of_the_text() -> None:
    text = "5 g zinc, 2 g iron, 5 g zinc"
    grounding = ground(text, by_label(Metal="zinc; iron; zinc", Amount="5 g; 2 g; 5 g"), policy=FIRST)
    assert places(grounding) == [(0, 3), (4, 8), (10, 13), (14, 18), (20, 23), (24, 28)]
    assert [g.mention for g in grounding.spans] == [3, 0, 4, 1, 5, 2]
    # In reading order the amounts would all have to follow the last metal.
    once = ground("2 g iron, 2 g salt", by_label(Metal="iron", Amount="2 g"), policy=FIRST)
    assert places(once) == [(0, 3), (4, 8)]


def test_words_of_one_line_leave_those_of_another_their_place() -> None:
    text = "lead acetate and lead"
    for said in ({"Metal": "lead", "Salt": "lead acetate"}, {"Salt": "lead acetate", "Metal": "lead"}):
        assert places(ground(text, by_label(**said), policy=FLAT)) == [(0, 12), (17, 21)]


def test_the_same_words_in_two_lines_share_their_only_place() -> None:
    said = by_label(Person="Washington", Place="Washington")
    assert [g.span.label for g in ground("Washington", said).spans] == ["Person", "Place"]
    assert dict(ground("Washington", said, policy=FLAT).rejected) == {"overlapping": 1}


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_line_repeated_without_end_comes_to_an_end() -> None:
    said = [Mention("a", "X", line) for line in range(MAX_MENTIONS)]
    grounding = ground("a " * 60_000, said, policy=FIRST)
    assert places(grounding) == [(2 * i, 2 * i + 1) for i in range(MAX_MENTIONS)]


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the aspirin İ " * 8_000, [f"aspirin {i}" for i in range(300)]),
        ("a" * 100_000, ["a" * n for n in range(1, 100)]),
        ("a " * 60_000, ["a"] * 100_000),
        ("é\u0301" * 100_000, ["aspirin"] * 50),
        ("&" * 40_000, ["&amp", "&"]),
    ],
)
def test_hostile_texts_and_answers_come_to_an_end(text: str, words: list[str]) -> None:
    grounding = ground(text, mentions(*words))
    assert grounding.rejected["too_many"] == len(words) - MAX_MENTIONS if len(words) > MAX_MENTIONS else True
