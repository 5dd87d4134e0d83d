"""What simulated people send, beside what the page of 1.23.2 was seen to send."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from backend.adapters.label_studio import LabelStudioClient
from backend.errors import LabelStudioRejectedError

ALICE = {
    "id": "a",
    "from_name": "label",
    "to_name": "text",
    "type": "labels",
    "value": {"start": 0, "end": 5, "text": "Alice", "labels": ["Person"]},
}
PARIS = ALICE | {"id": "p", "value": {"start": 9, "end": 14, "text": "Paris", "labels": ["City"]}}
NO_PERSON = ALICE | {"value": ALICE["value"] | {"labels": ["City"]}}
RELATION = {"type": "relation", "from_id": "a", "to_id": "p", "direction": "right", "labels": []}


def prediction(number: int, version: str = "v", *regions: dict[str, Any]) -> dict[str, Any]:
    return {"id": number, "result": list(regions), "model_version": version, "score": 0.1}


def task(*predictions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": 7, "project": 4, "predictions": list(predictions), "drafts": [], "annotations": []} | fields


class Studio:
    """Answers by method and path; refuses to save as long as ``refuses``."""

    def __init__(self, opened: dict[str, Any]) -> None:
        self.opened = opened
        self.saved: list[tuple[str, dict[str, Any]]] = []
        self.refuses = False

    def handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/")
        if path == "projects/4/":
            return httpx.Response(200, json={"model_version": "v"})
        if path in ("dm/actions", "tasks/7"):
            return httpx.Response(200, json=self.opened)
        self.saved.append(
            (f"{request.method} {path}?{request.url.query.decode()}", json.loads(request.content))
        )
        if self.refuses:
            return httpx.Response(400, json={"parent_prediction": ["Invalid pk"]})
        return httpx.Response(201, json={"id": 30 + len(self.saved)})

    def person(self) -> LabelStudioClient:
        return LabelStudioClient("http://studio", "token", transport=httpx.MockTransport(self.handle))


def test_submit_names_the_prediction_that_was_shown_and_the_lock() -> None:
    studio = Studio(task(prediction(11, "v", ALICE), unique_lock_id="lock"))
    person = studio.person()
    assert person.next_task(4) == (7, [prediction(11, "v", ALICE)])
    assert person.submit_annotation(7, [NO_PERSON, PARIS, RELATION], 3.5) == 31
    [(call, body)] = studio.saved
    assert call == "POST tasks/7/annotations?project=4"
    assert body.pop("started_at").endswith("Z")
    assert body == {
        "lead_time": 3.5,
        "result": [
            NO_PERSON | {"origin": "prediction-changed"},
            PARIS | {"origin": "manual"},
            RELATION,
        ],
        "draft_id": 0,
        "parent_prediction": 11,
        "parent_annotation": None,
        "unique_id": "lock",
        "project": "4",
    }


def test_skip_is_a_submission_that_was_cancelled() -> None:
    studio = Studio(task(prediction(11)))
    person = studio.person()
    person.next_task(4)
    person.submit_annotation(7, [], skip=True)
    assert studio.saved[0][1]["was_cancelled"] is True
    assert studio.saved[0][1]["parent_prediction"] == 11


def test_of_several_predictions_a_task_opened_in_the_data_manager_shows_the_projects() -> None:
    studio = Studio(task(prediction(11, "retired"), prediction(12), prediction(13, "retired")))
    person = studio.person()
    assert [each["id"] for each in person.open_task(7)] == [12, 11, 13]
    person.submit_annotation(7, [])
    assert studio.saved[0][1]["parent_prediction"] == 12


def test_drafts_are_saved_under_one_number_and_submitted_with_it() -> None:
    studio = Studio(task(prediction(11, "v", ALICE)))
    person = studio.person()
    person.next_task(4)
    assert person.save_draft(7, [ALICE]) == person.save_draft(7, [PARIS]) == 31
    person.submit_annotation(7, [PARIS])
    assert [call for call, _ in studio.saved] == [
        "POST tasks/7/drafts?project=4",
        "PATCH drafts/31?project=4",
        "POST tasks/7/annotations?project=4",
    ]
    assert [body["draft_id"] for _, body in studio.saved] == [0, 31, 31]
    assert {body["parent_prediction"] for _, body in studio.saved} == {11}


def test_who_returns_to_a_draft_sees_it_in_place_of_the_prediction() -> None:
    drafts = [{"id": 20, "annotation": 5}, {"id": 21, "annotation": None}]
    studio = Studio(task(prediction(11, "v", ALICE), drafts=drafts))
    person = studio.person()
    person.next_task(4)
    person.submit_annotation(7, [ALICE])
    [(_, body)] = studio.saved
    assert (body["draft_id"], body["parent_prediction"]) == (21, None)
    assert body["result"] == [ALICE | {"origin": "manual"}]


def test_update_names_what_the_annotation_began_from() -> None:
    studio = Studio(task(prediction(12), annotations=[{"id": 5, "parent_prediction": 9}]))
    studio.person().update_annotation(7, 5, [PARIS], 8.0)
    [(call, body)] = studio.saved
    assert call == "PATCH annotations/5?taskID=7&project=4"
    assert (body["parent_prediction"], body["lead_time"]) == (9, 8.0)


def test_a_refused_submission_is_an_error_and_the_page_stays_as_it_was() -> None:
    studio = Studio(task(prediction(11)))
    person = studio.person()
    person.next_task(4)
    studio.opened, studio.refuses = task(prediction(12)), True
    for _ in range(2):
        with pytest.raises(LabelStudioRejectedError, match="parent_prediction"):
            person.submit_annotation(7, [])
    assert [body["parent_prediction"] for _, body in studio.saved] == [11, 11]
    person.next_task(4)
    studio.refuses = False
    person.submit_annotation(7, [])
    assert studio.saved[-1][1]["parent_prediction"] == 12
