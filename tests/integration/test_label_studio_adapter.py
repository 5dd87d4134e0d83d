"""The adapter against a real Label Studio: what we rely on is what it does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from allabel_core.types import Relation, Span
from backend.adapters import label_studio as adapter
from backend.adapters.label_studio import LabelStudioClient
from backend.demo.services import LabelStudioServer
from backend.errors import LabelStudioNotFoundError, LabelStudioRejectedError, LabelStudioUnauthorisedError
from backend.labeling.label_config import parse_label_config, task_text
from backend.labeling.results import document_from_annotation, result_from_spans
from backend.ports import NewPrediction, Prediction, PredictionChange
from stack import Stack

CONFIG = """<View><Relations><Relation value="of"/></Relations>
<Labels name="label" toName="text"><Label value="Fruit"/><Label value="Animal"/></Labels>
<Text name="text" value="$text"/></View>"""
TAB = "ALLabel queue"


class RecordingBackend:
    """The least that Label Studio takes for a model; remembers what it was asked."""

    def __init__(self) -> None:
        self.version = "v1"
        self.calls: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
                outer.calls.append((self.path, body, dict(self.headers)))
                one = {"result": [], "score": 1.0, "model_version": outer.version}
                answers = {"/predict": {"results": [one] * len(body.get("tasks", ()))}}
                content = json.dumps(answers.get(self.path, {"model_version": outer.version})).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer  # noqa: N815 - names of the base class

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def asked(self, path: str) -> int:
        return sum(called == path for called, _, _ in self.calls)

    def events(self) -> list[str]:
        return [body["action"] for path, body, _ in self.calls if path == "/webhook"]


@pytest.fixture(scope="module")
def server(stack: Stack) -> LabelStudioServer:
    """The session's Label Studio; the stack's own worker knows nothing of the projects made here."""
    return stack.label_studio


@pytest.fixture(scope="module")
def client(server: LabelStudioServer) -> Iterator[LabelStudioClient]:
    made = LabelStudioClient(server.base_url, server.token)
    yield made
    made.close()


@pytest.fixture(scope="module")
def raw(server: LabelStudioServer) -> Iterator[httpx.Client]:
    """Label Studio without the adapter, for what only a page or another user does."""
    headers = {"Authorization": f"Token {server.token}"}
    with httpx.Client(base_url=server.base_url, headers=headers, timeout=60) as made:
        yield made


@pytest.fixture
def backend() -> Iterator[RecordingBackend]:
    made = RecordingBackend()
    yield made
    made.close()


@pytest.fixture
def project(client: LabelStudioClient) -> tuple[int, list[int]]:
    """A project of 20 tasks that nobody has touched, and its task ids."""
    project_id = client.create_project("Adapter", CONFIG, "Mark every fruit.")
    return project_id, client.import_tasks(project_id, [{"text": f"task {number}"} for number in range(20)])


def connect(client: LabelStudioClient, project_id: int, backend: RecordingBackend) -> None:
    client.connect_backend(
        project_id, url=backend.url, title="ALLabel", extra_params={"budget": "10%"}, auth=("u", "p")
    )


def publish(client: LabelStudioClient, project_id: int, version: str, order: list[int]) -> None:
    places = (place / len(order) for place in range(len(order)))
    predictions = [NewPrediction(task, [], place) for task, place in zip(order, places, strict=True)]
    client.import_predictions(project_id, version, predictions)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come about within 10 seconds"
        time.sleep(0.05)


def test_a_project_and_its_tasks_are_read(client: LabelStudioClient, project: tuple[int, list[int]]) -> None:
    project_id, ids = project
    assert client.check().startswith("1.")
    found = client.project(project_id)
    assert (found.title, found.instructions, found.task_count) == ("Adapter", "Mark every fruit.", 20)
    assert found.label_config == CONFIG
    tasks = list(client.tasks(project_id))
    assert [task.id for task in tasks] == ids
    assert tasks[3].data == {"text": "task 3"}
    assert client.annotated_tasks(project_id) == []


def test_reading_goes_on_after_an_id(client: LabelStudioClient, project: tuple[int, list[int]]) -> None:
    project_id, ids = project
    seen: list[tuple[int, int]] = []
    tasks = client.tasks(project_id, after=ids[4], on_page=lambda done, total: seen.append((done, total)))
    assert [task.id for task in tasks] == ids[5:]
    assert seen == [(15, 15)]


def test_annotations_changed_since_a_moment_are_read_alone(
    client: LabelStudioClient,
    project: tuple[int, list[int]],
    raw: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adapter, "OVERLAP", timedelta(0))
    project_id, ids = project
    for task_id in ids[:3]:
        client.submit_annotation(task_id, [])
    assert client.project(project_id).annotation_count == 3
    moment = max(task.updated_at for task in client.annotated_tasks(project_id))
    assert client.annotated_tasks(project_id, moment) == []

    client.submit_annotation(ids[7], [], skip=True)
    [corrected] = client.annotated_tasks(project_id)[1].annotations
    raw.patch(f"/api/annotations/{corrected.id}/", json={"result": []}).raise_for_status()
    assert [task.id for task in client.annotated_tasks(project_id, moment)] == [ids[1], ids[7]]
    assert client.project(project_id).annotation_count == 4


def test_tasks_deleted_while_we_read_hide_no_other(
    client: LabelStudioClient,
    project: tuple[int, list[int]],
    raw: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project_id, ids = project
    monkeypatch.setattr(adapter, "PAGE_SIZE", 7)
    reading = client.tasks(project_id)
    seen = [next(reading).id for _ in range(7)]
    for task_id in ids[:3]:
        raw.delete(f"/api/tasks/{task_id}/").raise_for_status()
    seen += [task.id for task in reading]
    assert seen == ids


def test_a_personal_access_token_serves_and_a_refused_one_is_explained(
    server: LabelStudioServer, raw: httpx.Client
) -> None:
    token = raw.post("/api/token/", json={}).raise_for_status().json()["token"]
    personal = LabelStudioClient(server.base_url, token)
    wrong = LabelStudioClient(server.base_url, "0" * 40)
    try:
        assert personal.check().startswith("1.")
        with pytest.raises(LabelStudioUnauthorisedError, match="personal access token"):
            wrong.check()
    finally:
        personal.close()
        wrong.close()


def test_connecting_twice_leaves_one_model_and_one_webhook(
    client: LabelStudioClient, project: tuple[int, list[int]], backend: RecordingBackend
) -> None:
    project_id, _ = project
    for _ in range(2):
        connect(client, project_id, backend)
    (connected,) = client.backends(project_id)
    assert (connected.url, connected.version, connected.error) == (backend.url, "v1", "")
    setup = next(body for path, body, _ in backend.calls if path == "/setup")
    assert setup["extra_params"] == {"budget": "10%"}

    hook = f"{backend.url}/webhook"
    assert client.secure_webhook(project_id, url=hook, headers={"X-Secret": "s"})
    assert not client.secure_webhook(project_id, url=hook, headers={"X-Secret": "s"})
    assert [found.url for found in client.webhooks(project_id)] == [hook]
    client.describe(project_id, "described")
    wait_for(lambda: "PROJECT_UPDATED" in backend.events())
    assert all(headers["X-Secret"] == "s" for path, _, headers in backend.calls if path == "/webhook")
    assert client.project(project_id).description == "described"


def test_a_lost_webhook_is_made_anew(client: LabelStudioClient, project: tuple[int, list[int]]) -> None:
    project_id, _ = project
    hook = "http://127.0.0.1:9/webhook"
    assert client.secure_webhook(project_id, url=hook, headers={"X-Secret": "s"})
    assert not client.secure_webhook(project_id, url=hook, headers={"X-Secret": "s"})


def test_a_model_that_cannot_be_reached_is_refused_with_the_reason(
    client: LabelStudioClient, project: tuple[int, list[int]]
) -> None:
    with pytest.raises(LabelStudioRejectedError, match="health check failed"):
        client.connect_backend(
            project[0], url="http://127.0.0.1:9", title="ALLabel", extra_params={}, auth=None
        )


def test_setting_up_twice_changes_nothing_more(
    client: LabelStudioClient, project: tuple[int, list[int]], backend: RecordingBackend, raw: httpx.Client
) -> None:
    project_id, _ = project
    connect(client, project_id, backend)
    client.set_up_project(project_id, view_title=TAB)
    assert client.project(project_id).sampling == "Uncertainty sampling"
    wait_for(lambda: backend.events() == ["PROJECT_UPDATED"])
    client.set_up_project(project_id, view_title=TAB)
    tabs = raw.get("/api/dm/views/", params={"project": project_id}).json()
    assert [tab["data"]["title"] for tab in tabs] == [TAB]
    time.sleep(1)
    assert backend.events() == ["PROJECT_UPDATED"]


def test_the_next_ten_tasks_are_the_first_ten_of_the_queue(
    client: LabelStudioClient, project: tuple[int, list[int]], backend: RecordingBackend
) -> None:
    project_id, ids = project
    connect(client, project_id, backend)
    client.set_up_project(project_id, view_title=TAB)
    order = ids[5:0:-1] + ids[10:18]
    publish(client, project_id, "v1", order)
    client.point_at_version(project_id, "v1")
    served = []
    for number in range(10):
        found = client.next_task(project_id)
        assert found is not None
        task_id, predictions = found
        assert [prediction["model_version"] for prediction in predictions] == ["v1"]
        again = client.next_task(project_id)
        assert again is not None
        assert again[0] == task_id, "an opened task is locked for its annotator"
        client.submit_annotation(task_id, [], 1.5, skip=number == 4)
        served.append(task_id)
    assert served == order[:10]
    annotated = client.annotated_tasks(project_id)
    assert [task.id for task in annotated] == sorted(served)
    cancelled = [task.id for task in annotated if task.annotations[0].cancelled]
    assert cancelled == [served[4]]
    assert annotated[0].annotations[0].lead_time == 1.5
    assert backend.asked("/predict") == 0


def test_a_new_queue_replaces_the_old_one_in_one_step(
    client: LabelStudioClient, project: tuple[int, list[int]], backend: RecordingBackend, raw: httpx.Client
) -> None:
    project_id, ids = project
    connect(client, project_id, backend)
    client.set_up_project(project_id, view_title=TAB)
    publish(client, project_id, "v1", ids[:3])
    client.point_at_version(project_id, "v1")
    publish(client, project_id, "v2", ids[9:2:-1])
    opened = client.next_task(project_id)
    assert opened is not None
    assert opened[0] == ids[0], "the old queue is served until the project points at the new one"

    backend.version = "v2"
    client.point_at_version(project_id, "v2")
    assert client.backends(project_id)[0].version == "v2"
    kept = client.next_task(project_id)
    assert kept == (ids[0], []), "an opened task stays locked; the old version's prediction is not shown"
    client.submit_annotation(ids[0], [])
    following = client.next_task(project_id)
    assert following is not None
    assert following[0] == ids[9]

    client.delete_version(project_id, "v1")
    client.delete_version(project_id, "v1")
    assert client.versions(project_id) == {"v2": 7}
    assert client.project(project_id).model_version == "v2"
    (tab,) = raw.get("/api/dm/views/", params={"project": project_id}).json()
    shown = raw.get("/api/tasks/", params={"view": tab["id"], "page_size": 100}).json()["tasks"]
    assert [task["id"] for task in shown][:7] == ids[9:2:-1]
    assert ids[0] not in [task["id"] for task in shown]


def test_a_task_opened_without_prediction_takes_the_place_of_its_score(
    client: LabelStudioClient, project: tuple[int, list[int]], backend: RecordingBackend, raw: httpx.Client
) -> None:
    project_id, ids = project
    connect(client, project_id, backend)
    client.set_up_project(project_id, view_title=TAB)
    publish(client, project_id, "v1", ids[1:3])
    client.point_at_version(project_id, "v1")
    opened = raw.get(f"/api/tasks/{ids[15]}/").json()
    assert [(found["model_version"], found["score"]) for found in opened["predictions"]] == [("v1", 1.0)]
    assert client.versions(project_id) == {"v1": 3}
    served = []
    for _ in range(3):
        found = client.next_task(project_id)
        assert found is not None
        served.append(found[0])
        client.submit_annotation(found[0], [])
    assert served == [ids[1], ids[2], ids[15]]


def test_what_label_studio_does_not_take_is_an_error(
    client: LabelStudioClient, project: tuple[int, list[int]]
) -> None:
    project_id, _ = project
    assert not client.imports_load_all_tasks(project_id), "as the demo starts it"
    with pytest.raises(LabelStudioRejectedError):
        client.import_predictions(project_id, "v", [NewPrediction(10**9, [], 0.5)])
    with pytest.raises(LabelStudioRejectedError, match="model_version"):
        client.point_at_version(project_id, "no such version")
    with pytest.raises(LabelStudioNotFoundError):
        client.project(10**9)


def test_spans_and_relations_come_back_from_an_annotation(client: LabelStudioClient) -> None:
    interface = parse_label_config(CONFIG)
    project_id = client.create_project("Emoji", CONFIG)
    text = "👩\u200d🔬 ate 2 cafe\u0301 apples 😀 with her cat"
    (task_id,) = client.import_tasks(project_id, [{"text": text}])
    spans = [
        Span(text.index("apples"), text.index("apples") + 6, "Fruit"),
        Span(len(text) - 3, len(text), "Animal"),
    ]
    result = result_from_spans(interface, text, spans, scores=[0.9, 0.4], relations=[Relation(0, 1, "of")])
    client.import_predictions(project_id, "v1", [NewPrediction(task_id, result, 0.0)])
    client.point_at_version(project_id, "v1")
    found = client.next_task(project_id)
    assert found is not None
    assert found[1][0]["result"] == result
    client.submit_annotation(task_id, found[1][0]["result"])
    (task,) = client.annotated_tasks(project_id)
    document = document_from_annotation(
        interface, task_text(interface, task.data), task.annotations[0].result
    )
    assert document.spans == tuple(spans)
    assert document.relations == (Relation(0, 1, "of"),)


def test_an_uploaded_text_is_read_through_label_studio(client: LabelStudioClient, raw: httpx.Client) -> None:
    config = CONFIG.replace('value="$text"', 'value="$text" valueType="url"')
    project_id = client.create_project("Uploads", config)
    upload = {"file": ("note.txt", "Äpfel 😀".encode(), "text/plain")}
    raw.post(f"/api/projects/{project_id}/import", params={"commit_to_project": "false"}, files=upload)
    (stored,) = raw.get(f"/api/projects/{project_id}/file-uploads", params={"all": "true"}).json()
    client.import_tasks(project_id, [{"text": f"/data/{stored['file']}"}])
    (task,) = client.tasks(project_id)
    assert task_text(parse_label_config(config), task.data, fetch=client.text_at) == "Äpfel 😀"


def test_a_prediction_is_changed_in_place_retired_and_deleted(
    client: LabelStudioClient, project: tuple[int, list[int]]
) -> None:
    project_id, ids = project
    region = result_from_spans(parse_label_config(CONFIG), "task 0", [Span(0, 4, "Fruit")])
    made = client.add_prediction(project_id, "allabel-1", NewPrediction(ids[0], [], 0.75))
    client.import_predictions(project_id, "allabel-1", [NewPrediction(ids[1], [], 0.5)])
    client.point_at_version(project_id, "allabel-1")

    at = client.change_prediction(PredictionChange(made.id, result=region, score=0.25))
    assert datetime.fromisoformat(at) >= datetime.fromisoformat(made.updated_at)
    assert client.task_predictions(ids[0]) == [
        Prediction(made.id, ids[0], region, 0.25, "allabel-1", at),
    ]
    assert [each.task_id for each in client.predictions(project_id)] == [ids[0], ids[1]]
    served = client.next_task(project_id)
    assert served is not None
    assert (served[0], served[1][0]["result"]) == (ids[0], region)

    client.change_prediction(PredictionChange(made.id, model_version="allabel-retired"))
    assert client.versions(project_id) == {"allabel-1": 1, "allabel-retired": 1}
    # The page is open, and names the retired prediction.
    client.submit_annotation(ids[0], region, 3.0)
    (task,) = client.annotated_tasks(project_id)
    assert task.annotations[0].parent_prediction == made.id

    client.delete_prediction(made.id)
    client.delete_prediction(made.id)
    with pytest.raises(LabelStudioNotFoundError):
        client.change_prediction(PredictionChange(made.id, score=0.5))
    (task,) = client.annotated_tasks(project_id)
    assert task.annotations[0].parent_prediction is None


def test_tasks_with_drafts_skips_and_several_annotations_are_found(
    client: LabelStudioClient, project: tuple[int, list[int]]
) -> None:
    project_id, ids = project
    client.open_task(ids[3])
    client.save_draft(ids[3], [], 1.0)
    assert client.drafted(project_id) == {ids[3]}
    client.submit_annotation(ids[5], [], 1.0, skip=True)
    client.submit_annotation(ids[6], [], 1.0)
    client.submit_annotation(ids[6], [], 1.0)
    found = client.annotated_tasks(project_id)
    assert [(task.id, len(task.annotations)) for task in found] == [(ids[5], 1), (ids[6], 2)]
    assert client.project(project_id).annotation_count == 3
    assert client.project(project_id).overlap == 1
