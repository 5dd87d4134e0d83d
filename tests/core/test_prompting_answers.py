"""What models say instead of what they were asked to say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.prompting import LabelSet, parse_answer
from allabel_core.types import Mention, Relation

LABELS = LabelSet(("Metal", "Amount"), relation_labels=("amount of", "made from"))
ZINC = '{"text": "zinc", "label": "Metal"}'
FIVE = '{"text": "5 g", "label": "Amount"}'
BOTH = (Mention("zinc", "Metal"), Mention("5 g", "Amount"))


@pytest.mark.parametrize(
    "answer",
    [
        f'{{"entities": [{ZINC}, {FIVE}]}}',
        f'```json\n{{"entities": [{ZINC}, {FIVE}]}}\n```',
        f'Sure [1]! Here: {{"entities":[{ZINC},{FIVE}]}} I hope that {{helps}}.',
        f'<think>{{"entities": [{ZINC}]}} no...</think>{{"entities": [{ZINC}, {FIVE}]}}',
        f"[{ZINC}, {FIVE}]",
        f'{{"mentions": [{ZINC}, {FIVE},]}}',
        '{"entities": [["zinc", "Metal"], ["5 g", "Amount"]]}',
        '{"entities": [{"entity": "zinc", "type": "METAL"}, {"words": "5 g", "label": " amount "}]}',
        '{"Metal": ["zinc"], "Amount": ["5 g"]}',
        f'{{"comment": "none", "entities": [{ZINC}, {FIVE}], "more": 1}}',
    ],
)
def test_shapes_that_are_understood(answer: str) -> None:
    parsed = parse_answer(answer, LABELS, form="chat")
    assert parsed.mentions == BOTH
    assert parsed.problem is None
    assert (parsed.unknown_labels, parsed.malformed) == (0, 0)
    assert all(words.text in answer[slice(*place)] for words, place in zip(BOTH, parsed.places, strict=True))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("I cannot do that.", "not_json"),
        ("{entities}", "not_json"),
        ("null", "wrong_shape"),
        ("[1, 2]", "wrong_shape"),
        ('{"answer": 42}', "wrong_shape"),
        ('{"entities": [1, "x", null]}', "wrong_shape"),
        ('{"entities": [', "truncated"),
        ('{"entities": []}', None),
        ("[]", None),
    ],
)
def test_answers_without_mentions(answer: str, problem: str | None) -> None:
    parsed = parse_answer(answer, LABELS, form="chat")
    assert (parsed.mentions, parsed.problem) == ((), problem)


def test_of_a_truncated_answer_the_complete_items_are_kept() -> None:
    whole = f'{{"entities": [{ZINC}, {FIVE}]}}'
    for length in range(len(whole)):
        parsed = parse_answer(whole[:length], LABELS, form="chat")
        complete = (length >= whole.index("}") + 1) + (length >= whole.rindex("}]") + 1)
        assert parsed.mentions == BOTH[:complete]
        assert (parsed.problem is None) == (length >= whole.index("]") + 1)


def test_a_damaged_item_costs_only_itself() -> None:
    parsed = parse_answer(f'{{"entities": [{ZINC}, {{"text": "a"b"}}, {FIVE}]}}', LABELS, form="chat")
    assert parsed.mentions == BOTH


def test_unknown_labels_and_items_without_sense_are_counted_apart() -> None:
    items = [
        {"text": "a", "label": "Gas"},
        {"text": "b"},
        {"text": " ", "label": "Metal"},
        7,
        {"text": 1, "label": 2},
    ]
    parsed = parse_answer(json.dumps({"entities": [*items, json.loads(ZINC)]}), LABELS, form="chat")
    assert parsed.mentions == (Mention("zinc", "Metal"),)
    assert (parsed.unknown_labels, parsed.malformed) == (1, 4)


def test_labels_that_differ_in_case_alone_stay_apart() -> None:
    labels = LabelSet(("gene", "Gene"))
    answer = '[["a", "Gene"], ["b", "gene"], ["c", "GENE"]]'
    assert [m.label for m in parse_answer(answer, labels, form="chat").mentions] == ["Gene", "gene", "gene"]


def linked(entities: list[object], relations: list[object]) -> str:
    return json.dumps({"entities": entities, "relations": relations})


def test_relations_follow_the_ids_that_entities_give_themselves() -> None:
    entities = [
        {"id": 7, "text": "gas", "label": "Gas"},
        {"id": "a", "text": "5 g", "label": "Amount"},
        {"id": 3, "text": "zinc", "label": "Metal"},
    ]
    links = [
        {"from": "a", "to": 3, "label": "Amount of"},
        {"from": 3, "to": "3", "label": "made from"},
        {"from": 7, "to": 3, "label": "made from"},
        {"from": 3, "to": "a", "label": "unknown"},
        "nonsense",
    ]
    parsed = parse_answer(linked(entities, links), LABELS, form="chat")
    assert parsed.relations == (Relation(0, 1, "amount of"),)
    assert (parsed.unknown_labels, parsed.malformed) == (1, 4)


def test_entities_without_ids_are_numbered_from_one() -> None:
    answer = linked([["5 g", "Amount"], ["zinc", "Metal"]], [{"from": 1, "to": 2, "label": "amount of"}])
    assert parse_answer(answer, LABELS, form="chat").relations == (Relation(0, 1, "amount of"),)


def test_relations_are_ignored_where_the_project_has_none() -> None:
    answer = linked([["5 g", "Amount"], ["zinc", "Metal"]], [{"from": 1, "to": 2, "label": "amount of"}])
    parsed = parse_answer(answer, LabelSet(("Metal", "Amount")), form="chat")
    assert (parsed.relations, parsed.malformed) == ((), 0)


ZINC_ONLY = BOTH[:1]


@pytest.mark.parametrize(
    ("answer", "mentions", "problem"),
    [
        pytest.param(" zinc\nAmount: 5 g", BOTH, None, id="as asked"),
        pytest.param("Metal: zinc\nAmount: 5 g\n\nText: iron\nMetal: iron", BOTH, None, id="goes on"),
        pytest.param("\n metal :zinc;\r\nAMOUNT:5 g ;", BOTH, None, id="spaces and case"),
        pytest.param(" -\nAmount: -", (), None, id="nothing"),
        pytest.param(" None.\nAmount:", (), None, id="nothing, in words"),
        pytest.param(" zinc", ZINC_ONLY, None, id="a label without a line"),
        pytest.param("\nAmount: 5 g", BOTH[1:], None, id="the first label without a line"),
        pytest.param(" zinc\nAmount: 5 g\nMetal: zinc", (*BOTH, BOTH[0]), None, id="a label twice"),
        pytest.param(" zinc; zinc\nAmount: -", ZINC_ONLY * 2, None, id="words twice"),
        pytest.param(" zinc\nAmo", ZINC_ONLY, "truncated", id="cut in a label"),
        pytest.param(' -\nAmount: "5', (Mention('"5', "Amount"),), None, id="cut in quotes"),
        pytest.param(" -\nI see no amount", (), "wrong_shape", id="prose"),
        pytest.param(
            ' "a; b"; "c\\nd"', (Mention("a; b", "Metal"), Mention("c\nd", "Metal")), None, id="quoted"
        ),
        pytest.param(' "-"', (Mention("-", "Metal"),), None, id="a quoted sign"),
        pytest.param(' "big" word', (Mention('"big" word', "Metal"),), None, id="quotes inside"),
        pytest.param(
            ' "a\nAmount: b"', (Mention('"a', "Metal"), Mention('b"', "Amount")), None, id="quotes across"
        ),
        pytest.param(" zinc = Metal ; 5 g = amount", BOTH, None, id="pairs"),
        pytest.param(" x = 3 = Amount", (Mention("x = 3", "Amount"),), None, id="a pair with two signs"),
        pytest.param(" x = 3", (Mention("x = 3", "Metal"),), None, id="no pair"),
        pytest.param(" Gas: argon", (Mention("Gas: argon", "Metal"),), None, id="a colon in the first line"),
    ],
)
def test_completions(answer: str, mentions: tuple[Mention, ...], problem: str | None) -> None:
    parsed = parse_answer(answer, LABELS, form="completion")
    assert (parsed.mentions, parsed.problem) == (mentions, problem)
    assert len(parsed.places) == len(parsed.mentions)
    for mention, place in zip(parsed.mentions, parsed.places, strict=True):
        assert (
            json.dumps(mention.text)[1:-1] in answer[slice(*place)] or mention.text in answer[slice(*place)]
        )


def test_labels_that_a_completion_makes_up_are_counted() -> None:
    parsed = parse_answer(" zinc\nGas: argon; neon\nwhat else\nAmount: 5 g", LABELS, form="completion")
    assert parsed.mentions == BOTH
    assert (parsed.unknown_labels, parsed.malformed, parsed.problem) == (2, 1, None)


def test_the_longest_label_opens_a_line() -> None:
    labels = LabelSet(("Metal", "Metal: pure", "metal"))
    parsed = parse_answer(" a\nMetal: pure: b\nmetal: c\nMetal: d", labels, form="completion")
    assert [(m.text, m.label) for m in parsed.mentions] == [
        ("a", "Metal"),
        ("b", "Metal: pure"),
        ("c", "metal"),
        ("d", "Metal"),
    ]
    assert [m.line for m in parsed.mentions] == [0, 1, 2, 3]


def test_the_place_of_a_mention_is_its_words() -> None:
    answer = ' zinc ;iron\nAmount: "5; g"'
    parsed = parse_answer(answer, LABELS, form="completion")
    assert [answer[slice(*place)] for place in parsed.places] == ["zinc", "iron", '"5; g"']


def test_a_project_without_labels_gets_no_mentions() -> None:
    parsed = parse_answer(" zinc\nMetal: iron", LabelSet(()), form="completion")
    assert (parsed.mentions, parsed.unknown_labels, parsed.malformed) == ((), 1, 1)


def test_what_cannot_be_stored_is_replaced() -> None:
    parsed = parse_answer('[["a\\ud800b", "Metal"]]', LABELS, form="chat")
    assert parsed.mentions == (Mention("a?b", "Metal"),)


pieces = [
    '{"entities": [',
    '{"text": "',
    '"label": "Metal"',
    "}",
    "]",
    "[",
    ",",
    '"',
    "\\",
    "zinc",
    " = ",
    "Metal",
    "Amount:",
    " ; ",
]
noise = st.lists(
    st.sampled_from([*pieces, "\n", "none", "1e999", "NaN", "\\ud800", "京", '"relations": ['])
).map("".join)


@given(noise | st.text(), st.sampled_from(["chat", "completion"]))
def test_no_answer_raises(answer: str, form: str) -> None:
    parsed = parse_answer(answer, LABELS, form="chat" if form == "chat" else "completion")
    assert all(0 <= start < end <= len(answer) for start, end in parsed.places)
    assert all(mention.label in LABELS.labels and mention.text.strip() for mention in parsed.mentions)


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("form", ["chat", "completion"])
@pytest.mark.parametrize(
    "unit",
    [
        "[",
        '{"entities":[',
        '{"a":',
        '"',
        '{"text":"',
        "zinc = Metal ; ",
        "Metal: zinc\n",
        '"; ',
        "x:\n",
        ";",
        "=",
        f"{ZINC},",
        "1",
        "\\",
        " ",
    ],
)
def test_megabytes_of_garbage_are_read_to_the_end(unit: str, form: str) -> None:
    for answer in (unit * (2_000_000 // len(unit)), '{"entities":[' + unit * (2_000_000 // len(unit))):
        parse_answer(answer, LABELS, form="chat" if form == "chat" else "completion")
