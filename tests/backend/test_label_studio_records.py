"""What Label Studio answers is checked where it enters: other shapes are a sentence, bad parts left out."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.adapters.label_studio import LabelStudioClient
from backend.errors import LabelStudioRejectedError
from backend.ports import Annotation, Task

SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "tasks", "total", "data", "annotations", "result", "results", "created_at"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


def client(body: Any) -> LabelStudioClient:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=body)

    return LabelStudioClient("http://studio", "key", transport=httpx.MockTransport(answer))


@given(SHAPES)
def test_an_answer_of_any_shape_is_read_or_an_error_of_ours(body: Any) -> None:
    studio = client(body)
    for read in (
        lambda: studio.project(1),
        lambda: list(studio.tasks(1)),
        lambda: studio.annotated_tasks(1),
        lambda: studio.changed_tasks(1, "2026-01-01T00:00:00Z"),
        lambda: studio.made_at(1, 1.0),
        lambda: studio.backends(1),
        lambda: studio.webhooks(),
        lambda: studio.versions(1),
        lambda: studio.predictions(1),
        lambda: studio.task_predictions(1),
        lambda: studio.drafted(1),
        lambda: studio.noted_predictions(1, [1]),
    ):
        with suppress(LabelStudioRejectedError):
            read()


def test_a_wrong_body_says_what_is_wrong_with_it() -> None:
    with pytest.raises(LabelStudioRejectedError, match=r"wrong: id\)"):
        client({"title": "x"}).project(1)


def test_one_annotation_that_is_none_leaves_the_others(caplog: pytest.LogCaptureFixture) -> None:
    made = {"id": 7, "result": [{"a": 1}], "created_at": "a", "updated_at": "b", "was_cancelled": False}
    odd = {"id": 8, "result": 5, "created_at": None, "lead_time": "long", "completed_by": {"id": 1}}
    task = {"id": 1, "data": {"text": "a"}, "updated_at": "c", "annotations": [5, {"result": []}, made, odd]}
    (found,) = client({"tasks": [task], "total": 1}).annotated_tasks(1)
    assert found == Task(
        1,
        {"text": "a"},
        (
            Annotation(7, [{"a": 1}], "a", "b", False, False, None, None),
            Annotation(8, [], "", "", False, False, None, None),
        ),
        "c",
    )
    assert caplog.text.count("of task 1 cannot be read") == 2
