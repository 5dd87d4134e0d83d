"""What people do in Label Studio, sent as its page (of 1.23.2) sends it: for demo, simulation and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..errors import LabelStudioNotFoundError
from .label_studio_http import LabelStudioHttp

TASKS_PER_CALL = 1000
Region = Mapping[str, Any]


class PersonsCalls:
    """Calls in the name of the token's user; every method raises ``LabelStudioError``.

    What a task was opened with is remembered until it is submitted, as a page does, and sent with it.
    """

    def __init__(self, http: LabelStudioHttp) -> None:
        self._http = http
        self._open: dict[int, OpenPage] = {}

    def create_project(self, title: str, label_config: str, instructions: str = "") -> int:
        body = {
            "title": title,
            "label_config": label_config,
            "expert_instruction": instructions,
            "show_instruction": bool(instructions),
        }
        return int(self._http.call("POST", "api/projects/", json=body)["id"])

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        """Import tasks (their data, or Label Studio's own form with ``data``); their ids, in order."""
        ids: list[int] = []
        for start in range(0, len(tasks), TASKS_PER_CALL):
            answer = self._http.call(
                "POST",
                f"api/projects/{project_id}/import",
                params={"return_task_ids": "true"},
                json=list(tasks[start : start + TASKS_PER_CALL]),
            )
            ids.extend(answer["task_ids"])
        return ids

    def next_task(self, project_id: int) -> tuple[int, list[dict[str, Any]]] | None:
        """Open what 'Label All Tasks' serves next: the task, and its predictions, the first of them shown.

        It is locked for this user until annotated, so it is served again until then; None when all is
        labelled.
        """
        query = {"id": "next_task", "project": project_id}
        try:
            task = self._http.call("POST", "api/dm/actions", params=query, json={"project": str(project_id)})
        except LabelStudioNotFoundError:
            return None
        page = self._remember(task, task["predictions"])
        return page.task_id, list(page.predictions)

    def open_task(self, task_id: int) -> list[dict[str, Any]]:
        """Open a task in the Data Manager; its predictions, the one that is shown first.

        Label Studio asks the connected model about a task that has none, and answers when that is done.
        """
        task = self._http.call("GET", f"api/tasks/{task_id}")
        project = self._http.call(
            "GET", f"api/projects/{task['project']}/", params={"include": "model_version"}
        )
        version = project["model_version"]
        # Of several predictions the page shows the one of the project's version.
        shown_first = sorted(task["predictions"], key=lambda each: each["model_version"] != version)
        return list(self._remember(task, shown_first).predictions)

    def submit_annotation(
        self, task_id: int, result: Sequence[Region], lead_time: float = 0.0, *, skip: bool = False
    ) -> int:
        """Press Submit, or Skip, in the page that has the task open; the annotation's id.

        A task that was not opened yet is opened in the Data Manager first.

        :raises LabelStudioRejectedError: it was not saved. The page stays open, as it was.
        """
        page = self._page(task_id)
        body = page.submission(result, lead_time, skip=skip)
        path = f"api/tasks/{task_id}/annotations"
        made = int(self._http.call("POST", path, params={"project": page.project_id}, json=body)["id"])
        self._open.pop(task_id, None)
        return made

    def save_draft(self, task_id: int, result: Sequence[Region], lead_time: float = 0.0) -> int:
        """What the page does some seconds after a change; the draft's id, the same one while it is open."""
        page = self._page(task_id)
        body, query = page.saved(result, lead_time), {"project": page.project_id}
        if page.draft_id:
            self._http.call("PATCH", f"api/drafts/{page.draft_id}", params=query, json=body)
        else:
            made = self._http.call("POST", f"api/tasks/{task_id}/drafts", params=query, json=body)
            page.draft_id = int(made["id"])
        return page.draft_id

    def update_annotation(
        self, task_id: int, annotation_id: int, result: Sequence[Region], lead_time: float = 0.0
    ) -> None:
        """Press Update in the Data Manager's page of an annotated task, opened first unless it is open."""
        page = self._page(task_id)
        if annotation_id not in page.begun_from:
            self.open_task(task_id)
            page = self._open[task_id]
        body = page.saved(result, lead_time)
        body |= {"draft_id": 0, "parent_prediction": page.begun_from[annotation_id]}
        query = {"taskID": task_id, "project": page.project_id}
        self._http.call("PATCH", f"api/annotations/{annotation_id}", params=query, json=body)

    def _page(self, task_id: int) -> OpenPage:
        if task_id not in self._open:
            self.open_task(task_id)
        return self._open[task_id]

    def _remember(self, task: Mapping[str, Any], predictions: Sequence[dict[str, Any]]) -> OpenPage:
        page = OpenPage.showing(task, predictions)
        self._open[page.task_id] = page
        return page


@dataclass(slots=True)
class OpenPage:
    """A task as a page holds it; ``begun_from``: of each annotation, the prediction that it began from.

    ``is_draft``: the page was opened with a draft of before, so it shows that in place of a prediction.
    """

    task_id: int
    project_id: int
    predictions: tuple[dict[str, Any], ...]
    begun_from: dict[int, int | None]
    lock: str | None
    draft_id: int
    is_draft: bool
    started_at: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")

    @classmethod
    def showing(cls, task: Mapping[str, Any], predictions: Sequence[dict[str, Any]]) -> OpenPage:
        """``task``: as Label Studio answered when it was opened; ``predictions``: the one shown first."""
        drafts = [draft["id"] for draft in task["drafts"] if not draft["annotation"]]
        return cls(
            task_id=int(task["id"]),
            project_id=int(task["project"]),
            predictions=tuple(predictions),
            begun_from={each["id"]: each.get("parent_prediction") for each in task["annotations"]},
            lock=task.get("unique_lock_id"),
            draft_id=drafts[0] if drafts else 0,
            is_draft=bool(drafts),
        )

    def submission(self, result: Sequence[Region], lead_time: float, *, skip: bool = False) -> dict[str, Any]:
        """The body of Submit and Skip."""
        body = self.saved(result, lead_time)
        if self.lock:
            body["unique_id"] = self.lock
        if skip:
            body["was_cancelled"] = True
        return body

    def saved(self, result: Sequence[Region], lead_time: float) -> dict[str, Any]:
        """The body of Update and of a draft."""
        shown = None if self.is_draft or not self.predictions else self.predictions[0]
        return {
            "lead_time": lead_time,
            "result": _with_origin(result, shown["result"] if shown else ()),
            "draft_id": self.draft_id,
            "parent_prediction": shown["id"] if shown else None,
            "parent_annotation": None,
            "started_at": self.started_at,
            "project": str(self.project_id),
        }


def _with_origin(result: Sequence[Region], shown: Sequence[Region]) -> list[Region]:
    """Regions tell where they come from; relations do not."""
    before = {region["id"]: region["value"] for region in shown if "value" in region}

    def origin(region: Region) -> str:
        if region.get("id") not in before:
            return "manual"
        return "prediction" if region["value"] == before[region["id"]] else "prediction-changed"

    return [{**region, "origin": origin(region)} if "value" in region else region for region in result]
