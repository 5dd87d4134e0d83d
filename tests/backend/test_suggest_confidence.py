"""How sure each span is, from evidence to what an annotator sees, and whether it is true."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from projects import (
    PROJECT,
    AnyLabelStudio,
    FullModel,
    asked_text,
    connected,
    entities,
    gold,
    make_tools,
    settle,
)

from allabel_core.confidence import Calibration
from allabel_core.prompting import Prompt
from allabel_core.types import Document, Span
from backend.adapters.store import Store
from backend.dashboard import model_lines
from backend.labeling.results import region_id
from backend.ports import Answer, ShownSuggestion, StoredDemonstration, Suggestion
from backend.usecases.calibration import calibration_error, learn_calibrations, present, stored_calibrations
from backend.usecases.connect import register
from backend.usecases.events import Event, receive
from backend.usecases.report import report

TASKS = {n: {"text": f"pear {n} and plum {n}"} for n in range(1, 7)}
BOTH = entities(("pear", "Fruit"), ("plum", "Fruit"))


def scores(label_studio: AnyLabelStudio, task_id: int = 1) -> dict[str, float]:
    return {region["value"]["text"]: region["score"] for region in label_studio.shown(task_id)}


def with_logprobs(prompt: Prompt) -> Answer:
    """The words of the second entity are half as likely as certain ones."""
    at = BOTH.index("plum")
    pieces = [(BOTH[:at], 0.0), ("plum", math.log(0.5)), (BOTH[at + 4 :], 0.0)]
    return Answer(BOTH, logprobs=tuple(pieces))


def test_from_token_probabilities(store: Store) -> None:
    label_studio = AnyLabelStudio(TASKS)
    connected(make_tools(store, label_studio, FullModel(with_logprobs)))
    # One token holds the whole beginning of the answer, hence pear's words too.
    assert scores(label_studio) == {"pear": 1.0, "plum": 0.5}
    made = store.suggestions(PROJECT, [1])[1]
    assert made.evidence == "logprobs"
    assert made.confidence == 0.5
    assert made.certainty == pytest.approx(0.5 ** (1 / 3))


def test_from_agreement_of_samples(store: Store) -> None:
    label_studio = AnyLabelStudio(TASKS)
    only_pear = entities(("pear", "Fruit"))
    model = FullModel(lambda prompt: Answer(BOTH, alternatives=(only_pear, BOTH, only_pear)))
    connected(make_tools(store, label_studio, model))
    assert scores(label_studio) == {"pear": 1.0, "plum": 0.5}
    assert store.suggestions(PROJECT, [1])[1].evidence == "agreement"


def test_from_support_by_the_demonstrations(store: Store) -> None:
    label_studio = AnyLabelStudio(TASKS)
    label_studio.annotate(6, gold(label_studio, TASKS[6]["text"], ("pear", "Fruit")))
    connected(make_tools(store, label_studio, FullModel(lambda prompt: BOTH)))
    # (agree + 0.7) / (agree + differ + 1): pear is marked once, plum left unmarked once.
    assert scores(label_studio) == {"pear": 0.85, "plum": 0.35}
    made = store.suggestions(PROJECT, [1])[1]
    assert (made.evidence, made.confidence) == ("support", 0.35)
    assert made.certainty == pytest.approx((0.85 + 0.35) / 2)


def test_unsure_spans_are_hidden_by_the_projects_threshold_and_come_back_without_a_call(
    store: Store,
) -> None:
    label_studio = AnyLabelStudio(TASKS)
    model = FullModel(with_logprobs)
    tools = connected(make_tools(store, label_studio, model, min_confidence=0.6))
    assert scores(label_studio) == {"pear": 1.0}
    assert len(store.suggestions(PROJECT, [1])[1].regions) == 2
    asked = len(model.prompts)

    register(tools, PROJECT, backend_url="http://backend:9090", extra_params={"min_confidence": "0.4"})
    settle(tools)
    assert scores(label_studio) == {"pear": 1.0, "plum": 0.5}
    assert len(model.prompts) == asked


def region(words: str, score: float) -> dict[str, Any]:
    return {"id": words, "type": "labels", "score": score}


LINK = {"type": "relation", "from_id": "a", "to_id": "b", "labels": []}


@pytest.mark.parametrize("link", [LINK, {**LINK, "from_id": "b", "to_id": "a"}])
def test_a_link_to_a_hidden_span_is_hidden_too(link: dict[str, Any]) -> None:
    made = Suggestion(1, [], "", [], regions=[region("a", 0.9), region("b", 0.3), link], evidence="support")
    assert present(made, {}, 0.0).result == made.regions
    hidden = present(made, {}, 0.5)
    assert hidden.result == [region("a", 0.9)]
    assert hidden.confidence == 0.9
    assert hidden.regions == made.regions
    assert present(made, {}, 1.0).confidence is None


def test_calibration_concerns_its_own_kind_of_evidence() -> None:
    halved = {"logprobs": Calibration(((0.0, 0.0), (1.0, 0.5)), 100)}
    made = Suggestion(1, [], "", [], regions=[region("a", 0.8)], evidence="logprobs")
    assert present(made, halved, 0.0).result == [region("a", 0.4)]
    assert present(replace(made, evidence="support"), halved, 0.0).result == [region("a", 0.8)]


def test_the_projects_own_history_calibrates(store: Store) -> None:
    """A model that always says 0.9 and is right half of the time."""
    tasks = {n: {"text": f"pear {n} and plum {n}"} for n in range(1, 71)}
    label_studio = AnyLabelStudio(tasks)

    def reply(prompt: Prompt) -> Answer:
        return Answer(
            BOTH, logprobs=tuple((letter, math.log(0.9) if letter == "F" else 0.0) for letter in BOTH)
        )

    tools = connected(make_tools(store, label_studio, FullModel(reply), budget="70", window=70))
    assert scores(label_studio, label_studio.served()[0]) == {"pear": 0.9, "plum": 0.9}
    while len(label_studio.annotations) < 60:
        for task_id in label_studio.served()[: 60 - len(label_studio.annotations)]:
            label_studio.annotate(task_id, gold(label_studio, tasks[task_id]["text"], ("pear", "Fruit")))
        receive(tools, Event("ANNOTATIONS_CREATED", PROJECT))
        settle(tools)

    assert stored_calibrations(tools, PROJECT)["logprobs"].history == 120
    assert scores(label_studio, label_studio.served()[0]) == {"pear": 0.5, "plum": 0.5}
    found = report(tools, PROJECT)
    assert found.confidence.judged == 120
    assert found.confidence.error == pytest.approx(0.4)
    assert ("Confidence", "off by 0.40 on average, over 120 spans") in model_lines(found)


def test_a_calibration_is_refitted_when_the_history_has_grown_by_a_tenth(store: Store) -> None:
    tools = make_tools(store, AnyLabelStudio({}), None)

    def history(number: int, kept: int) -> None:
        spans = [Span(n, n + 1, "Fruit") for n in range(number)]
        regions = [{"id": region_id(span), "type": "labels", "score": 0.9} for span in spans]
        made = Suggestion(1, [], "", [], regions=regions, evidence="support")
        store.save_shown(PROJECT, [ShownSuggestion("2026-01-01", made)])
        corpus = [StoredDemonstration(1, Document("x" * number, tuple(spans[:kept])))]
        learn_calibrations(tools, PROJECT, corpus)

    history(90, 45)
    assert stored_calibrations(tools, PROJECT) == {}
    history(100, 50)
    history(109, 99)
    assert stored_calibrations(tools, PROJECT)["support"](0.9) == 0.5
    history(110, 99)
    assert stored_calibrations(tools, PROJECT)["support"](0.9) == pytest.approx(0.9)


def test_calibration_error_counts_what_was_shown() -> None:
    span, other = Span(0, 1, "Fruit"), Span(2, 3, "Fruit")
    shown = [
        {"id": region_id(s), "type": "labels", "score": score} for s, score in ((span, 0.8), (other, 0.6))
    ]
    made = Suggestion(1, [*shown, LINK], "", [])
    error, judged = calibration_error({1: made}, {1: Document("a b", (span,))})
    assert (error, judged) == (pytest.approx((0.2 + 0.6) / 2), 2)
    assert calibration_error({}, {}) == (None, 0)


def test_answers_and_rejections_are_counted_by_reason(store: Store) -> None:
    replies = {
        1: entities(("pear", "Fruit"), ("fig", "Fruit"), ("plum", "Metal")),
        2: '{"entities": [{"text": "pear", "label": "Fruit"}, {"text": 7}',
        3: "I would rather not.",
        4: json.dumps({"entities": [{"text": "pear", "label": "Fruit"}, {"text": "pear", "label": "Fruit"}]}),
        5: "[]",
        6: "",
    }
    label_studio = AnyLabelStudio(TASKS)
    model = FullModel(lambda prompt: replies[int(asked_text(prompt).split()[1])])
    tools = connected(make_tools(store, label_studio, model))

    found = report(tools, PROJECT)
    assert found.answers == 6
    assert found.unreadable == {"truncated": 1, "not_json": 1, "empty": 1}
    assert found.rejected == {"not_found": 1, "unknown_label": 1, "malformed": 1, "repeated": 1}
    assert store.suggestions(PROJECT, [1])[1].rejected == {"not_found": 1, "unknown_label": 1}
    shown = dict(model_lines(found))
    assert shown["Answers"] == "6 read; unreadable: 1 empty, 1 not json, 1 truncated"
    assert shown["Not shown"] == "1 malformed, 1 not found, 1 repeated, 1 unknown label"


def test_an_answer_from_the_cache_is_not_counted_again(store: Store) -> None:
    model = FullModel(lambda prompt: Answer("[]", from_cache=True))
    tools = connected(make_tools(store, AnyLabelStudio(TASKS), model))
    assert report(tools, PROJECT).answers == 0
