"""The advice on the real thing: a model that learns is worth going on with, one that knows all is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx
import pytest

from backend.labeling.label_config import parse_label_config
from backend.labeling.results import result_from_spans
from scripted_llm import Request
from stack import LABEL_CONFIG, SAMPLES, Stack, beside

GOLD = {document.text: document for document in SAMPLES}
WITH_SPANS = [document for document in SAMPLES if document.spans]
WINDOW, LEAD_TIME = 9, 30.0
SETTINGS: dict[str, Any] = {"window": WINDOW, "k": 1, "strategy": "random"}


@dataclass
class Pupil:
    """Finds so much of a text's entities, the first ones."""

    share: float = 0.0

    def __call__(self, request: Request) -> str:
        content: str = request.body["messages"][-1]["content"]
        text = max((text for text in GOLD if text in content), key=len, default="")
        spans = GOLD[text].spans if text else ()
        found = [(text[s.start : s.end], s.label) for s in spans[: round(len(spans) * self.share)]]
        return json.dumps({"entities": [{"text": words, "label": label} for words, label in found]})


@pytest.fixture
def pupil() -> Pupil:
    return Pupil()


@pytest.fixture
def school(stack: Stack, pupil: Pupil) -> Iterator[Stack]:
    """The session's Label Studio with a Redis, a backend and a worker of its own, which ask the pupil."""
    with beside(stack, stack.directory / "school", pupil) as running:
        yield running


def annotate(school: Stack, project_id: int, count: int, before_each: Callable[[int], None]) -> None:
    """As Label Studio serves them, with a correction that takes half a minute."""
    interface = parse_label_config(LABEL_CONFIG.read_text())
    for number in range(count):
        if number % WINDOW == 0:
            school.settle(project_id)
        before_each(number)
        served = school.client.next_task(project_id)
        assert served is not None
        gold = school.golds[served[0]]
        school.client.submit_annotation(
            served[0], result_from_spans(interface, gold.text, gold.spans), LEAD_TIME
        )
    school.wait_for(lambda: school.tools.store.fact(project_id, "annotated") == str(count))
    school.settle(project_id)


def advice(school: Stack, project_id: int) -> tuple[dict[str, Any], str]:
    """As the API has it, and all words of the page."""
    base = school.backend.base_url
    found = httpx.get(f"{base}/api/projects/{project_id}").raise_for_status().json()["advice"]
    page = httpx.get(f"{base}/projects/{project_id}").raise_for_status().text
    words = " ".join(unescape(re.sub("<[^>]+>", " ", page)).split())
    assert found["sentence"] in words
    return found, words


def test_a_model_that_learns_is_worth_going_on(school: Stack, pupil: Pupil) -> None:
    project_id = school.project("It learns", WITH_SPANS[:60])
    school.connect(project_id, budget="50", audit=0, **SETTINGS)

    def learn(number: int) -> None:
        pupil.share = number / 24

    annotate(school, project_id, 24, learn)
    found, words = advice(school, project_id)
    assert found["verdict"] == "go_on"
    assert found["gain"]["value"] > 0.02
    assert found["sentence"].startswith("Go on, because the next 20 annotations promise about +")
    assert " for 10 minutes and " in found["sentence"]
    assert "Time per text 30 s" in words
    assert "by texts whose annotators saw the suggestion, which flatters" in words


def test_a_model_that_is_right_from_the_start_needs_nobody(school: Stack, pupil: Pupil) -> None:
    pupil.share = 1.0
    project_id = school.project("It knows", WITH_SPANS[:60])
    school.connect(project_id, budget="30", audit=0.34, **SETTINGS)
    annotate(school, project_id, 30, lambda _: None)
    found, words = advice(school, project_id)
    assert found["verdict"] == "stop"
    assert found["sentence"].startswith(
        "You can stop, because the next 20 annotations promise hardly anything: "
    )
    assert " for 10 minutes and " in found["sentence"]
    expected = found["expected_f1"]
    assert 0.9 < expected["value"] <= 1
    assert expected["low"] < 0.95
    shown = f"{100 * expected['value']:.1f} , between {100 * expected['low']:.1f} and"
    assert shown in words
    assert "by the blind audit" in words
