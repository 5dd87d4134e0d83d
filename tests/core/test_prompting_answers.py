"""What models say instead of what they were asked to say."""

from __future__ import annotations

import json
import time

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


@pytest.mark.parametrize(
    ("answer", "mentions", "problem"),
    [
        (" zinc = Metal ; 5 g = Amount", BOTH, None),
        ("\nEntities: zinc = metal;5 g=Amount\nText: more = Metal", BOTH, None),
        (" zinc = Metal ; 5 g = Amount ;", BOTH, None),
        (" none", (), None),
        (" None.\n\nText: x", (), None),
        (" zinc = Metal ; 5 g = Am", BOTH[:1], "truncated"),
        (" zinc = Metal ; 5", BOTH[:1], "truncated"),
        (" there are no entities", (), "wrong_shape"),
        (' "a ; b = c" = Metal', (Mention("a ; b = c", "Metal"),), None),
        (" x = 3 = Amount", (Mention("x = 3", "Amount"),), None),
        (' "quoted" word = Metal', (Mention('"quoted" word', "Metal"),), None),
    ],
)
def test_completions(answer: str, mentions: tuple[Mention, ...], problem: str | None) -> None:
    parsed = parse_answer(answer, LABELS, form="completion")
    assert (parsed.mentions, parsed.problem) == (mentions, problem)
    assert len(parsed.places) == len(parsed.mentions)


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
        ";",
        "=",
        f"{ZINC},",
        "1",
        "\\",
        " ",
    ],
)
def test_megabytes_of_garbage_are_read_in_seconds(unit: str, form: str) -> None:
    for answer in (unit * (2_000_000 // len(unit)), '{"entities":[' + unit * (2_000_000 // len(unit))):
        started = time.perf_counter()
        parse_answer(answer, LABELS, form="chat" if form == "chat" else "completion")
        assert time.perf_counter() - started < 5
