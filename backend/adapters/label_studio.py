"""Label Studio through its API: reading a project and publishing a queue."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from ..errors import LabelStudioNotFoundError, LabelStudioRejectedError
from ..labeling.results import noted_prediction
from ..ports import (
    ConnectedBackend,
    NewPrediction,
    Noted,
    Prediction,
    PredictionChange,
    Project,
    Task,
    Webhook,
)
from .label_studio_http import LabelStudioHttp
from .label_studio_person import PersonsCalls
from .label_studio_records import (
    BackendRecord,
    Created,
    CreatedRecord,
    ExportedRecord,
    ProjectPage,
    TaskPage,
    read_as,
    read_counts,
    read_list,
    read_prediction,
    read_predictions,
    read_project,
    read_tasks,
)
from .label_studio_setup import (
    change_credentials,
    connect_backend,
    imports_load_all_tasks,
    secure_webhook,
    set_up_project,
    webhooks,
)
from .label_studio_undo import queue_settings, undo_set_up

# Of the sizes 100 to 10,000 this one is as fast as any, and keeps memory flat.
PAGE_SIZE = 1000
PREDICTIONS_PER_CALL = 500
TASKS_PER_EXPORT = 200
PROJECTS_PER_CALL = 100
# Label Studio prunes annotations by the same list of names as tasks.
_ANNOTATION_FIELDS = (
    "result,created_at,updated_at,was_cancelled,ground_truth,lead_time,completed_by,parent_prediction"
)
_WITH_ANNOTATIONS = f"id,data,annotations,{_ANNOTATION_FIELDS}"
_PROJECT_FIELDS = (
    "id,title,label_config,expert_instruction,description,sampling,model_version,task_number,"
    "total_annotations_number,skipped_annotations_number,total_predictions_number,created_at,"
    "maximum_annotations"
)
OVERLAP = timedelta(seconds=3)
"""Changes are asked for from so long before the last one seen, since they are not stored in their order."""


class LabelStudioClient(PersonsCalls):
    """Fulfils ``ports.LabelStudio``. Safe to share between threads; every method raises ``LabelStudioError``.

    Takes the arguments of ``LabelStudioHttp``: ``base_url``, ``api_key``, ``timeout``, ``retries``.
    """

    def __init__(self, base_url: str, api_key: str, **options: Any) -> None:
        super().__init__(LabelStudioHttp(base_url, api_key, **options))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._http.base_url!r}, api_key='***')"

    def close(self) -> None:
        self._http.close()

    # -- Reading

    def check(self) -> str:
        """Label Studio's version; proves the token too, which the version alone does not ask for."""
        self._http.call("GET", "api/current-user/whoami")
        return str(self._http.call("GET", "api/version")["release"])

    def reachable(self, seconds: float) -> None:
        """One quick call that needs the token."""
        self._http.call("GET", "api/current-user/whoami", timeout=seconds, retries=0)

    def project(self, project_id: int) -> Project:
        # Without naming fields, Label Studio counts all sorts of things: 0.6 s with 100,000 tasks, else 0.1.
        found = self._http.call("GET", f"api/projects/{project_id}/", params={"include": _PROJECT_FIELDS})
        return read_project(found)

    def projects(self) -> dict[int, Project]:
        """All that the token may see, in as few calls as there are hundreds of them."""
        found: dict[int, Project] = {}
        page = 1
        while True:
            parameters = {"include": _PROJECT_FIELDS, "page": page, "page_size": PROJECTS_PER_CALL}
            answer = read_as(ProjectPage, self._http.call("GET", "api/projects/", params=parameters))
            found |= {project.id: project for project in map(read_project, answer.results)}
            if not answer.next or not answer.results:
                return found
            page += 1

    def tasks(
        self, project_id: int, *, after: int = 0, on_page: Callable[[int, int], None] | None = None
    ) -> Iterator[Task]:
        """The tasks (id and data) with an id above ``after``, in id order; ``on_page(done, total)`` of these.

        Each page starts after the last id, so that tasks deleted meanwhile shift none out of sight.
        """
        yield from self._pages(
            project_id, "id,data,updated_at", after=after, on_page=on_page, fields="task_only"
        )

    def made_at(self, project_id: int, seconds: float) -> str:
        """When the project was created, in ISO 8601."""
        parameters = {"include": "id,created_at"}
        found = self._http.call(
            "GET", f"api/projects/{project_id}/", params=parameters, timeout=seconds, retries=0
        )
        return read_as(Created, found).created_at

    def changed_tasks(self, project_id: int, since: str) -> list[Task]:
        """The tasks (id and data) changed after ``since`` or shortly before: Label Studio says it of edited
        data, too, which it calls no webhook for."""
        where = [_above("updated_at", _before(since), kind="Datetime")]
        return list(self._pages(project_id, "id,data,updated_at", where=where, fields="task_only"))

    def task(self, project_id: int, task_id: int) -> Task:
        """Id and data; Label Studio's own route knows the task by its id alone, whosesoever it is."""
        found = self._http.call("GET", f"api/tasks/{task_id}/")
        if found["project"] != project_id:
            raise LabelStudioNotFoundError(f"Project {project_id} has no task {task_id}")
        return Task(found["id"], found["data"])

    def annotated_tasks(self, project_id: int, since: str = "") -> list[Task]:
        """The tasks with at least one annotation, skipped ones included, in id order.

        With ``since``, those changed after it or shortly before: Label Studio takes 5 ms for each task
        with annotations, hence a minute for ten thousand. Where its clock was set back behind ``since``, what
        changes now lies before it as well, so that all are read until the clock is past it.
        """
        if since and self._is_ahead(since):
            since = ""
        changed = [_above("updated_at", _before(since), kind="Datetime")] if since else []
        where = [_IS_ANNOTATED, *changed]
        return list(self._pages(project_id, _WITH_ANNOTATIONS, where=where))

    def _is_ahead(self, moment: str) -> bool:
        clock = self._http.clock
        return clock is not None and clock + OVERLAP < datetime.fromisoformat(moment)

    def text_at(self, address: str) -> str:
        """A text that a task only refers to; for ``label_config.task_text(fetch=...)``."""
        return self._http.text(address)

    def _pages(
        self,
        project_id: int,
        include: str,
        *,
        where: Sequence[Mapping[str, Any]] = (),
        after: int = 0,
        on_page: Callable[[int, int], None] | None = None,
        fields: str = "all",
    ) -> Iterator[Task]:
        last, done = after, 0
        while True:
            filters = [_above("id", last), *where]
            query = {"filters": {"conjunction": "and", "items": filters}, "ordering": ["tasks:id"]}
            parameters = {
                "project": project_id,
                "page_size": PAGE_SIZE,
                "fields": fields,
                "include": include,
                "query": json.dumps(query),
            }
            page = read_as(TaskPage, self._http.call("GET", "api/tasks/", params=parameters))
            tasks = read_tasks(page)
            yield from tasks
            done += len(page.tasks)
            if on_page is not None:
                on_page(done, done - len(page.tasks) + page.total)
            if len(page.tasks) >= page.total or not tasks:
                return
            last = tasks[-1].id

    # -- Setting up

    def set_up_project(self, project_id: int, *, view_title: str) -> int:
        """Sampling mode, suggestions shown, the queue's Data Manager tab."""
        return set_up_project(self._http, project_id, view_title)

    def connect_backend(
        self,
        project_id: int,
        *,
        url: str,
        title: str,
        extra_params: dict[str, Any],
        auth: tuple[str, str] | None,
    ) -> None:
        """What 'Connect model' does. Label Studio calls our /health and /setup before it answers."""
        connect_backend(self._http, project_id, url, title, extra_params, auth)

    def change_credentials(self, project_id: int, *, url: str, auth: tuple[str, str]) -> None:
        """What Label Studio sends to the backend connected at ``url``; it calls /setup with them at once."""
        change_credentials(self._http, project_id, url, auth)

    def secure_webhook(self, project_id: int, *, url: str, headers: dict[str, str]) -> bool:
        """The project's webhook to ``url`` exists, is active, complete and bears ``headers``."""
        return secure_webhook(self._http, project_id, url, headers)

    def backends(self, project_id: int) -> list[ConnectedBackend]:
        """The connected models; asking makes Label Studio call /health and /setup of each."""
        found = self._http.call("GET", "api/ml/", params={"project": project_id})
        return [
            ConnectedBackend(
                url=backend.url,
                title=backend.title,
                version=backend.model_version,
                error=backend.trouble,
                extra_params=backend.extra_params,
            )
            for backend in read_list(BackendRecord, found)
        ]

    def webhooks(self, project_id: int | None = None) -> list[Webhook]:
        """Those of one project, or all of the organisation."""
        return webhooks(self._http, project_id)

    def queue_settings(self, project_id: int) -> dict[str, Any]:
        """Those settings of a project that set-up and publishing change, as they are."""
        return queue_settings(self._http, project_id)

    def undo_set_up(
        self, project_id: int, *, view_title: str, backend_url: str, settings: dict[str, Any]
    ) -> None:
        """Take our tab, backend and webhook away; settings that are as we made them get these values."""
        undo_set_up(self._http, project_id, view_title, backend_url, settings)

    def imports_load_all_tasks(self, project_id: int) -> bool:
        """Whether every import of predictions costs as much as reading the project, however few they are."""
        return imports_load_all_tasks(self._http, project_id)

    def describe(self, project_id: int, description: str) -> None:
        self._http.call("PATCH", f"api/projects/{project_id}/", json={"description": description})

    # -- Publishing

    def import_predictions(self, project_id: int, version: str, predictions: Sequence[NewPrediction]) -> None:
        """:raises LabelStudioRejectedError: not every one was created."""
        for start in range(0, len(predictions), PREDICTIONS_PER_CALL):
            batch = [_body(each, version) for each in predictions[start : start + PREDICTIONS_PER_CALL]]
            answer = self._http.call("POST", f"api/projects/{project_id}/import/predictions", json=batch)
            created = read_as(CreatedRecord, answer).created
            if created != len(batch):
                raise LabelStudioRejectedError(
                    f"Label Studio created {created} of {len(batch)} predictions of {version}"
                )

    def add_prediction(self, project_id: int, version: str, prediction: NewPrediction) -> Prediction:
        return read_prediction(self._http.call("POST", "api/predictions/", json=_body(prediction, version)))

    def change_prediction(self, change: PredictionChange) -> str:
        body = {
            name: value
            for name, value in asdict(change).items()
            if name in ("result", "score", "model_version") and value is not None
        }
        found = self._http.call("PATCH", f"api/predictions/{change.id}/", json=body)
        return str(found["updated_at"])

    def delete_prediction(self, prediction_id: int) -> None:
        with suppress(LabelStudioNotFoundError):
            self._http.call("DELETE", f"api/predictions/{prediction_id}/")

    def point_at_version(self, project_id: int, version: str) -> None:
        """The labelling stream and the Data Manager serve this version from now on.

        Label Studio asks the connected backend's /setup for its version, which must be this one.
        """
        self._http.call("PATCH", f"api/projects/{project_id}/", json={"model_version": version})
        self._http.call("GET", "api/ml/", params={"project": project_id})

    def versions(self, project_id: int) -> dict[str, int]:
        return read_counts(self._http.call("GET", f"api/projects/{project_id}/model-versions/"))

    def delete_version(self, project_id: int, version: str) -> None:
        self._http.call(
            "DELETE", f"api/projects/{project_id}/model-versions/", json={"model_version": version}
        )

    def predictions(self, project_id: int) -> list[Prediction]:
        found = self._http.call("GET", "api/predictions/", params={"project": project_id})
        return read_predictions(found)

    def task_predictions(self, task_id: int) -> list[Prediction]:
        return read_predictions(self._http.call("GET", "api/predictions/", params={"task": task_id}))

    def drafted(self, project_id: int) -> set[int]:
        return {task.id for task in self._pages(project_id, "id,data,updated_at", where=[_HAS_DRAFT])}

    def noted_predictions(self, project_id: int, task_ids: Sequence[int]) -> Noted:
        """From the export, which alone tells them; Label Studio keeps a file of every export."""
        found: Noted = {}
        for start in range(0, len(task_ids), TASKS_PER_EXPORT):
            parameters = {"exportType": "JSON", "ids[]": list(task_ids[start : start + TASKS_PER_EXPORT])}
            tasks = self._http.call("GET", f"api/projects/{project_id}/export", params=parameters)
            found |= {
                annotation["id"]: noted_prediction(annotation)
                for task in read_list(ExportedRecord, tasks)
                for annotation in task.annotations
                if isinstance(annotation, dict) and isinstance(annotation.get("id"), int)
            }
        return found


# Not by `total_annotations`: while somebody deletes a project, and for ever if two are deleted at once,
# Label Studio counts no annotation of any project (it disconnects its own signals meanwhile).
# Nor by `annotations_ids`, for which PostgreSQL compares all annotations with one another.
_IS_ANNOTATED = {
    "filter": "filter:tasks:annotators",
    "operator": "empty",
    "type": "List",
    "value": "false",
}


_HAS_DRAFT = {"filter": "filter:tasks:draft_exists", "operator": "equal", "type": "Boolean", "value": "true"}


def _body(prediction: NewPrediction, version: str) -> dict[str, Any]:
    return {
        "task": prediction.task_id,
        "result": prediction.result,
        "score": prediction.score,
        "model_version": version,
    }


def _above(column: str, value: object, *, kind: str = "Number") -> dict[str, Any]:
    return {"filter": f"filter:tasks:{column}", "operator": "greater", "type": kind, "value": value}


def _before(moment: str) -> str:
    return (datetime.fromisoformat(moment) - OVERLAP).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
