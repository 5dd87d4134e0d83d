"""Damaged answers: what can be read is read, and nothing is lost without being counted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.prompting import LabelSet, parse_answer
from allabel_core.types import Mention

LABELS = LabelSet(("Metal", "Amount"))
SAID = (
    Mention("zinc", "Metal"),
    Mention("5 g", "Amount"),
    Mention("iron (III)", "Metal"),
    Mention("2.5 %", "Amount"),
)
ENTITIES = [{"text": mention.text, "label": mention.label} for mention in SAID]
FORMS = {
    "as asked": json.dumps({"entities": ENTITIES}),
    "on lines": json.dumps({"entities": ENTITIES}, indent=1),
    "rows": json.dumps([[mention.text, mention.label] for mention in SAID]),
    "JSON lines": "\n".join(map(json.dumps, ENTITIES)),
    "by label": json.dumps({"Metal": ["zinc", "iron (III)"], "Amount": ["5 g", "2.5 %"]}),
}
# An apostrophe for a quotation mark makes two strings one, which nobody can tell from what was meant.
SIGNS = '"\\{}[],:x \n'
FIVE = '{"text": "5 g", "label": "Amount"}'


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_one_damaged_character_loses_nothing_silently(form: str, data: st.DataObject) -> None:
    whole = FORMS[form]
    place = data.draw(st.integers(0, len(whole) - 1))
    sign = data.draw(st.sampled_from(["", *SIGNS]))
    keeps = data.draw(st.booleans()) if sign else False
    damaged = whole[:place] + sign + whole[place + (not keeps) :]
    parsed = parse_answer(damaged, LABELS, form="chat")
    counted = len(parsed.mentions) + parsed.malformed + parsed.unknown_labels
    assert counted >= len(SAID) or parsed.problem is not None
    if form in ("as asked", "on lines") and parsed.problem is None:
        # Damage between two items concerns both of them, not the others.
        assert sum(mention in SAID for mention in parsed.mentions) >= len(SAID) - 2


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (r'{"text": "\alpha-iron", "label": "Metal"}', r"\alpha-iron"),
        (r'{"text": "5\% Cr", "label": "Metal"}', r"5\% Cr"),
        (r'{"text": "sample\_1", "label": "Metal"}', r"sample\_1"),
        (r"""{"text": "Muntz\'s metal", "label": "Metal"}""", "Muntz's metal"),
        ('{"text": "5" pipe", "label": "Metal"}', '5" pipe'),
        ('{"text": "3/4" x 5"", "label": "Metal"}', '3/4" x 5"'),
        ('{"text": "iron" "label": "Metal"}', "iron"),
        ('{"text": "iron", "label": "Metal",}', "iron"),
        ('{"text": "iron", "label": "Metal", "sure": True}', "iron"),
        ("{'text': 'iron', 'label': 'Metal', 'id': None}", "iron"),
        ("{text: iron, label: Metal}", "iron"),
        ('{"text": "iron", "label": "Metal"', "iron"),
        ('{{"text": "iron", "label": "Metal"}}', "iron"),
        ('("iron", "Metal")', "iron"),
        ('// a metal\n{"text": "iron", "label": "Metal"}', "iron"),
        ('{"text": 300, "label": "Metal"}', "300"),
        ('{"text": 2.50, "label": "Metal"}', "2.50"),
    ],
)
def test_a_slip_in_one_item_is_mended(item: str, words: str) -> None:
    parsed = parse_answer(f'{{"entities": [{item}, {FIVE}]}}', LABELS, form="chat")
    assert parsed.mentions == (Mention(words, "Metal"), SAID[1])
    assert (parsed.malformed, parsed.problem) == (0, None)


ZINC = '{"text": "zinc", "label": "Metal"}'


@pytest.mark.parametrize(
    "answer",
    [
        f"{ZINC}\n{FIVE}",
        f'{{"entities": [{ZINC}]}}\n{{"entities": [{FIVE}]}}',
        f'```json\n{{"entities": [{ZINC}]}}\n```\n```json\n{{"entities": [{FIVE}]}}\n```',
        f'Metal:\n{{"entities": [{ZINC}]}}\nAmount:\n{{"entities": [{FIVE}]}}',
        f'[{{"entities": [{ZINC}]}}, {{"entities": [{FIVE}]}}]',
        f'{{"spans": [], "entities": [{ZINC}, {FIVE}]}}',
        f'At first {{"entities": []}} but then:\n{{"entities": [{ZINC}, {FIVE}]}}',
        f'{{"entities": [{ZINC}, {FIVE}]}}\nWithout any I would say {{"entities": []}}.',
        f'{{"result": {{"entities": {{"1": {ZINC}, "2": {FIVE}}}}}}}',
        '{"Metal": "zinc", "Amount": ["5 g"], "Gas": null}',
        '{"Metal": [{"text": "zinc"}], "Amount": [{"text": "5 g"}], "total": 2}',
        '[{"Metal": "zinc"}, {"Amount": "5 g"}]',
        '[{"label": "Metal", "mentions": ["zinc"]}, {"label": "Amount", "mentions": ["5 g"]}]',
        '[["zinc", "Metal", 0.9], ["Amount", "5 g"]]',
        '[{"entity": "zinc", "entity_type": "Metal"}, {"Word": "5 g", "Tag": "amount"}]',
        '[{"text": "zinc", "entity": "Metal"}, {"value": "5 g", "labels": ["Amount"]}]',
        '[{"value": {"start": 0, "text": "zinc", "labels": ["Metal"]}, "type": "labels"}, ["5 g", "Amount"]]',
        json.dumps(f'{{"entities": [{ZINC}, {FIVE}]}}'),
        "{“entities”: [{“text”: “zinc”, “label”: “Metal”}, {“text”: “5 g”, “label”: “Amount”}]}",
    ],
)
def test_other_shapes_are_understood(answer: str) -> None:
    parsed = parse_answer(answer, LABELS, form="chat")
    assert parsed.mentions == SAID[:2]
    assert (parsed.malformed, parsed.unknown_labels, parsed.problem) == (0, 0, None)


DRAFT, FINAL = f'{{"entities": [{FIVE}]}}', f'{{"entities": [{ZINC}]}}'


@pytest.mark.parametrize(
    "answer",
    [
        f"{DRAFT}\nWait, that is wrong:\n{FINAL}",
        f"For example, {DRAFT}. The answer is {FINAL}",
    ],
)
def test_an_example_and_a_draft_are_no_answer_but_counted(answer: str) -> None:
    parsed = parse_answer(answer, LABELS, form="chat")
    assert (parsed.mentions, parsed.superseded) == (SAID[:1], 1)


THOUGHTS = {
    "think": f"<think>{DRAFT}</think>{FINAL}",
    "opened by the template": f"hm {DRAFT}</think>{FINAL}",
    "thinking": f"<thinking>\n{DRAFT}\n</thinking>\n{FINAL}",
    "with attributes": f'<think type="deep">{DRAFT}</think>{FINAL}',
    "a process": f"<reasoning_process>{DRAFT}</reasoning_process>{FINAL}",
    "Claude": f"<antThinking>{DRAFT}</antThinking>{FINAL}",
    "thought": f"<thought>{DRAFT}</thought>{FINAL}",
    "reasoning": f"<reasoning>{DRAFT}</reasoning>{FINAL}",
    "nested": f"<think> a <think>{DRAFT}</think> c </think>{FINAL}",
    "twice": f"<think>{DRAFT}</think> <think>{DRAFT}</think>{FINAL}",
    "Mistral": f"[THINK]{DRAFT}[/THINK]{FINAL}",
    "Kimi": f"◁think▷{DRAFT}◁/think▷{FINAL}",
    "Seed": f"<seed:think>{DRAFT}</seed:think>{FINAL}",
    "bars": f"<|think|>{DRAFT}<|/think|>{FINAL}",
    "Cohere": f"<|START_THINKING|>{DRAFT}<|END_THINKING|>{FINAL}",
    "begin and end": f"<|begin_of_thought|>{DRAFT}<|end_of_thought|>{FINAL}",
    "gpt-oss": "<|channel|>analysis<|message|>" + DRAFT + "<|end|><|start|>assistant<|channel|>final"
    f"<|constrain|>json<|message|>{FINAL}<|return|>",
    "gpt-oss without its signs": f"analysisWe need {DRAFT}assistantfinal{FINAL}",
    "Gemma": f"<|channel>thought\n{DRAFT}<channel|>{FINAL}",
    "MedGemma": f"<unused94>thought {DRAFT}<unused95>{FINAL}",
}


@pytest.mark.parametrize("name", THOUGHTS)
def test_thoughts_of_any_spelling_are_no_answer(name: str) -> None:
    answer = THOUGHTS[name]
    parsed = parse_answer(answer, LABELS, form="chat")
    assert (parsed.mentions, parsed.superseded, parsed.problem) == (SAID[:1], 0, None)
    assert "zinc" in answer[slice(*parsed.places[0])]


@pytest.mark.parametrize(
    "answer",
    [f"<think>perhaps {DRAFT} but no,", f"[THINK]{DRAFT}", f"<|channel|>analysis<|message|>{DRAFT}"],
)
def test_a_thought_without_end_is_no_answer(answer: str) -> None:
    parsed = parse_answer(answer, LABELS, form="chat")
    assert (parsed.mentions, parsed.problem) == ((), "truncated")


def test_other_tags_are_no_thoughts() -> None:
    answer = f"<analysis_result>{FINAL}</analysis_result>"
    assert parse_answer(answer, LABELS, form="chat").mentions == SAID[:1]


def test_tags_that_are_quoted_are_words() -> None:
    answer = (
        '{"entities": [{"text": "<think>", "label": "Metal"}, {"text": "a <thought> b", "label": "Metal"}]}'
    )
    assert [m.text for m in parse_answer(answer, LABELS, form="chat").mentions] == [
        "<think>",
        "a <thought> b",
    ]


def test_links_may_stand_before_their_entities() -> None:
    labels = LabelSet(("Metal", "Amount"), relation_labels=("of",))
    links = '"relations": [{"from": 2, "to": 1, "label": "of"}]'
    items = ({"id": n, **entity} for n, entity in enumerate(ENTITIES[:2], 1))
    entities = f'"entities": {json.dumps(list(items))}'
    for answer in (f"{{{links}, {entities}}}", f"{{{entities}, {links}}}"):
        [link] = parse_answer(answer, labels, form="chat").relations
        assert (link.source, link.target) == (1, 0)
