"""Hand-written doubles, for what the real parts will not do on demand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from allabel_core.prompting import DEFAULT_TEMPLATES, Form, Prompt
from backend.adapters.store import Store
from backend.errors import LabelStudioNotFoundError, LabelStudioRejectedError, LabelStudioUnreachableError
from backend.ports import (
    Annotation,
    Answer,
    ConnectedBackend,
    ModelFailure,
    NewPrediction,
    Noted,
    Prediction,
    PredictionChange,
    Project,
    ProjectSettings,
    Spending,
    Task,
    Webhook,
)
from backend.usecases.places import FRONT_ENDS
from backend.usecases.ranking import Ranker
from backend.usecases.tools import Secrets, Tools

LABEL_CONFIG = (
    '<View><Labels name="label" toName="text"><Label value="Fruit"/><Label value="Animal"/></Labels>'
    '<Text name="text" value="$text"/></View>'
)


class FakeLabelStudio:
    """One project in memory. ``fail_at`` names a method that raises once it is called."""

    def __init__(self, texts: dict[int, str], project_id: int = 1) -> None:
        self.texts = dict(texts)
        self.annotations: dict[int, list[Annotation]] = {}
        self.noted: Noted = {}
        self.stored: dict[int, Prediction] = {}
        self.drafts: set[int] = set()
        self.known = Project(project_id, "Fakes", LABEL_CONFIG, "", "", "Sequential sampling", "", len(texts))
        self.hooks: dict[str, Webhook] = {}
        self.connected: list[ConnectedBackend] = []
        self.credentials = ("", "")
        self.calls: list[str] = []
        self.fail_at: str | None = None
        self.without_import_flag = False
        self.day = "2026-01-01"
        self.clock = 0
        self.gone = False

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.gone and name != "check":
            raise LabelStudioNotFoundError("There is no such project.")
        if self.fail_at == name:
            raise LabelStudioUnreachableError("Label Studio does not answer.")

    def annotate(
        self, task_id: int, result: list[dict[str, Any]], *, cancelled: bool = False, by: int = 1
    ) -> None:
        """Open the task, and submit at once what the page would."""
        number = sum(map(len, self.annotations.values())) + 1
        stamp = self._stamp()
        shown = self.versions_of_tasks().get(self.known.model_version, {}).get(task_id)
        parent = shown.id if shown else None
        made = Annotation(number, result, stamp, stamp, cancelled, False, 1.0, by, parent)
        self.noted[number] = shown.result if shown else None
        self.annotations.setdefault(task_id, []).append(made)

    def submit_opened(self, task_id: int, parent: int, result: list[dict[str, Any]], seconds: float) -> None:
        """Submit a page that was opened ``seconds`` ago; refused where its prediction is gone."""
        if parent not in self.stored:
            raise LabelStudioRejectedError('parent_prediction: Invalid pk "1" - object does not exist.')
        self.annotate(task_id, result)
        last = self.annotations[task_id][-1]
        self.annotations[task_id][-1] = replace(last, lead_time=seconds, parent_prediction=parent)

    def _there(self) -> list[Prediction]:
        """Predictions go with their tasks."""
        return [each for each in list(self.stored.values()) if each.task_id in self.texts]

    def versions_of_tasks(self) -> dict[str, dict[int, Prediction]]:
        """By version and task, the prediction made first."""
        found: dict[str, dict[int, Prediction]] = {}
        for each in self._there():
            found.setdefault(each.model_version, {}).setdefault(each.task_id, each)
        return found

    def current(self) -> dict[int, Prediction]:
        """The predictions that are served, by task."""
        return self.versions_of_tasks().get(self.known.model_version, {})

    def shown(self, task_id: int) -> list[dict[str, Any]]:
        """What an annotator who opens the task sees."""
        return self.current()[task_id].result

    def served(self) -> list[int]:
        """The tasks in the order in which the labelling stream would serve them now."""
        current = self.current()
        return sorted(
            (task for task in current if task not in self.annotations), key=lambda t: current[t].score
        )

    def front(self) -> list[int]:
        """Those of them that lie in the front."""
        return [task_id for task_id in self.served() if self.current()[task_id].score < FRONT_ENDS]

    def _stamp(self) -> str:
        self.clock += 1
        return f"{self.day}T{self.clock // 3600:02d}:{self.clock // 60 % 60:02d}:{self.clock % 60:02d}Z"

    def check(self) -> str:
        self._called("check")
        return "1.0"

    def reachable(self, seconds: float) -> None:
        self._called("reachable")

    def project(self, project_id: int) -> Project:
        self._called("project")
        annotations = sum(len(made) for task_id, made in self.annotations.items() if task_id in self.texts)
        return replace(self.known, task_count=len(self.texts), annotation_count=annotations)

    def tasks(
        self, project_id: int, *, after: int = 0, on_page: Callable[[int, int], None] | None = None
    ) -> Iterator[Task]:
        self._called("tasks")
        for task_id in sorted(task_id for task_id in self.texts if task_id > after):
            yield Task(task_id, {"text": self.texts[task_id]})

    def task(self, project_id: int, task_id: int) -> Task:
        self._called("task")
        for found in self.tasks(project_id, after=task_id - 1):
            if found.id == task_id and project_id == self.known.id:
                return found
        raise LabelStudioNotFoundError("There is no such task.")

    def made_at(self, project_id: int, seconds: float) -> str:
        self._called("made_at")
        return self.known.created_at

    def changed_tasks(self, project_id: int, since: str) -> list[Task]:
        self._called("changed_tasks")
        return [task for task in self.tasks(project_id) if task.updated_at > since]

    def projects(self) -> dict[int, Project]:
        self._called("projects")
        return {self.known.id: self.project(self.known.id)}

    def annotated_tasks(self, project_id: int, since: str = "") -> list[Task]:
        self._called("annotated_tasks")
        return [
            Task(task_id, {"text": self.texts[task_id]}, tuple(self.annotations[task_id]))
            for task_id in sorted(self.annotations)
            if task_id in self.texts
        ]

    def webhooks(self, project_id: int | None = None) -> list[Webhook]:
        self._called("webhooks")
        return list(self.hooks.values())

    def backends(self, project_id: int) -> list[ConnectedBackend]:
        self._called("backends")
        return self.connected

    def undo_set_up(
        self, project_id: int, *, view_title: str, backend_url: str, settings: dict[str, Any]
    ) -> None:
        self._called("undo_set_up")
        self.known = replace(self.known, sampling=settings["sampling"])
        self.hooks.pop(f"{backend_url}/webhook", None)

    def imports_load_all_tasks(self, project_id: int) -> bool:
        return self.without_import_flag

    def queue_settings(self, project_id: int) -> dict[str, Any]:
        self._called("queue_settings")
        return {"sampling": self.known.sampling, "model_version": self.known.model_version}

    def set_up_project(self, project_id: int, *, view_title: str) -> int:
        self._called("set_up_project")
        self.known = replace(self.known, sampling="Uncertainty sampling")
        return 5

    def connect_backend(self, project_id: int, **options: Any) -> None:
        self._called("connect_backend")
        self.extra_params = options["extra_params"]

    def change_credentials(self, project_id: int, *, url: str, auth: tuple[str, str]) -> None:
        self._called("change_credentials")
        self.credentials = auth

    def secure_webhook(self, project_id: int, *, url: str, headers: dict[str, str]) -> bool:
        self._called("secure_webhook")
        self.hooks[url] = Webhook(project_id, url, True, headers)
        return True

    def import_predictions(self, project_id: int, version: str, predictions: Sequence[NewPrediction]) -> None:
        self._called("import_predictions")
        if any(item.task_id not in self.texts or not 0 <= item.score <= 1 for item in predictions):
            raise LabelStudioRejectedError("Not every prediction was created.")
        for item in predictions:
            self._store(version, item)

    def add_prediction(self, project_id: int, version: str, prediction: NewPrediction) -> Prediction:
        self._called("add_prediction")
        if prediction.task_id not in self.texts:
            raise LabelStudioRejectedError("There is no such task.")
        return self._store(version, prediction)

    def _store(self, version: str, new: NewPrediction) -> Prediction:
        assert 0 <= new.score <= 1
        doubled = new.task_id in self.versions_of_tasks().get(version, {}) and version != "allabel-audit"
        assert not doubled, "predictions would be doubled"
        number = max(self.stored, default=0) + 1
        self.stored[number] = Prediction(number, new.task_id, new.result, new.score, version, self._stamp())
        return self.stored[number]

    def change_prediction(self, change: PredictionChange) -> str:
        self._called("change_prediction")
        if change.id not in self.stored:
            raise LabelStudioNotFoundError("There is no such prediction.")
        old = self.stored[change.id]
        stamp = self._stamp()
        self.stored[change.id] = Prediction(
            old.id,
            old.task_id,
            old.result if change.result is None else change.result,
            old.score if change.score is None else change.score,
            change.model_version or old.model_version,
            stamp,
        )
        return stamp

    def delete_prediction(self, prediction_id: int) -> None:
        self._called("delete_prediction")
        self.stored.pop(prediction_id, None)

    def predictions(self, project_id: int) -> list[Prediction]:
        self._called("predictions")
        return self._there()

    def task_predictions(self, task_id: int) -> list[Prediction]:
        self._called("task_predictions")
        return [each for each in self.stored.values() if each.task_id == task_id]

    def drafted(self, project_id: int) -> set[int]:
        self._called("drafted")
        return set(self.drafts)

    def point_at_version(self, project_id: int, version: str) -> None:
        self._called("point_at_version")
        if not self.versions_of_tasks().get(version):
            raise LabelStudioRejectedError("This version has no prediction.")
        self.known = replace(self.known, model_version=version)

    def versions(self, project_id: int) -> dict[str, int]:
        self._called("versions")
        return dict(Counter(each.model_version for each in self._there()))

    def delete_version(self, project_id: int, version: str) -> None:
        self._called("delete_version")
        self.stored = {n: each for n, each in self.stored.items() if each.model_version != version}

    def noted_predictions(self, project_id: int, task_ids: Sequence[int]) -> Noted:
        self._called("noted_predictions")
        return {each.id: self.noted[each.id] for task_id in task_ids for each in self.annotations[task_id]}

    def text_at(self, address: str) -> str:
        raise LabelStudioNotFoundError("There is no such file.")

    def describe(self, project_id: int, description: str) -> None:
        self._called("describe")
        self.known = replace(self.known, description=description)


class ScriptedModel:
    """A model that answers by a function of the prompt; a ``ModelFailure`` is passed on as it is."""

    model = "scripted"
    context_window = 8192
    variant = ""

    def __init__(self, reply: Callable[[Prompt], str | ModelFailure]) -> None:
        self.reply = reply
        self.prompts: list[Prompt] = []
        self.recalled = Spending()

    def answer(
        self,
        prompts: Sequence[Prompt],
        *,
        project_id: int,
        samples: int = 1,
        on_answer: Callable[[int, Answer | ModelFailure], None] | None = None,
    ) -> list[Answer | ModelFailure]:
        self.prompts += prompts
        replies = [self.reply(prompt) for prompt in prompts]
        return [reply if isinstance(reply, ModelFailure) else Answer(reply) for reply in replies]

    def form(self) -> Form:
        return "chat"

    def spending(self, project_id: int) -> Spending:
        return Spending(calls=len(self.prompts))

    def recall_spending(self, project_id: int, noted: Spending) -> None:
        self.recalled = noted

    def longest_answer(self) -> int | None:
        return None

    def price(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        return (prompt_tokens + completion_tokens) / 1e6

    def check(self) -> str:
        return "scripted"


def make_tools(
    store: Store,
    label_studio: FakeLabelStudio,
    model: ScriptedModel | None = None,
    guarded: bool = False,
    **settings: Any,
) -> Tools:
    """The tools of the use cases around a real Redis and these doubles."""
    return Tools(
        store=store,
        label_studio=label_studio,
        model=model,
        ranker=Ranker(),
        templates=DEFAULT_TEMPLATES,
        defaults=ProjectSettings(**settings),
        backend_url="http://localhost:9090",
        secrets=Secrets(lambda: "secret", lambda: "key"),
        guarded=guarded,
        chunk=4,
        samples=1,
        public_url="http://localhost:9090",
        label_studio_url="http://localhost:8080",
    )
