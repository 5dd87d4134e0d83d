"""Hand-written doubles, for what the real parts will not do on demand."""

from __future__ import annotations

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
    Noted,
    Project,
    ProjectSettings,
    PublishedPrediction,
    Spending,
    Task,
    Webhook,
)
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
        self.predictions: dict[str, dict[int, PublishedPrediction]] = {}
        self.known = Project(project_id, "Fakes", LABEL_CONFIG, "", "", "Sequential sampling", "", len(texts))
        self.hooks: dict[str, Webhook] = {}
        self.connected: list[ConnectedBackend] = []
        self.credentials = ("", "")
        self.calls: list[str] = []
        self.fail_at: str | None = None
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
        number = sum(map(len, self.annotations.values())) + 1
        stamp = f"2026-01-01T00:00:{number:02d}Z"
        made = Annotation(number, result, stamp, stamp, cancelled, False, 1.0, by)
        shown = self.predictions.get(self.known.model_version, {}).get(task_id)
        self.noted[number] = shown.result if shown else None
        self.annotations.setdefault(task_id, []).append(made)

    def served(self) -> list[int]:
        """The tasks in the order in which the labelling stream would serve them now."""
        current = self.predictions.get(self.known.model_version, {})
        return sorted(
            (task for task in current if task not in self.annotations), key=lambda t: current[t].score
        )

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

    def queue_settings(self, project_id: int) -> dict[str, Any]:
        self._called("queue_settings")
        return {"sampling": self.known.sampling, "model_version": self.known.model_version}

    def set_up_project(self, project_id: int, *, view_title: str) -> None:
        self._called("set_up_project")
        self.known = replace(self.known, sampling="Uncertainty sampling")

    def connect_backend(self, project_id: int, **options: Any) -> None:
        self._called("connect_backend")

    def change_credentials(self, project_id: int, *, url: str, auth: tuple[str, str]) -> None:
        self._called("change_credentials")
        self.credentials = auth

    def secure_webhook(self, project_id: int, *, url: str, headers: dict[str, str]) -> bool:
        self._called("secure_webhook")
        self.hooks[url] = Webhook(project_id, url, True, headers)
        return True

    def import_predictions(
        self, project_id: int, version: str, predictions: Sequence[PublishedPrediction]
    ) -> None:
        self._called("import_predictions")
        if any(item.task_id not in self.texts or not 0 <= item.score <= 1 for item in predictions):
            raise LabelStudioRejectedError("Not every prediction was created.")
        stored = self.predictions.setdefault(version, {})
        assert not stored.keys() & {item.task_id for item in predictions}, "predictions would be doubled"
        stored |= {item.task_id: item for item in predictions}

    def point_at_version(self, project_id: int, version: str) -> None:
        self._called("point_at_version")
        if not self.predictions.get(version):
            raise LabelStudioRejectedError("This version has no prediction.")
        self.known = replace(self.known, model_version=version)

    def versions(self, project_id: int) -> dict[str, int]:
        self._called("versions")
        return {version: len(items) for version, items in self.predictions.items()}

    def delete_version(self, project_id: int, version: str) -> None:
        self._called("delete_version")
        del self.predictions[version]

    def noted_predictions(self, project_id: int, task_ids: Sequence[int]) -> Noted:
        self._called("noted_predictions")
        return {each.id: self.noted[each.id] for task_id in task_ids for each in self.annotations[task_id]}

    def text_at(self, address: str) -> str:
        raise LabelStudioNotFoundError("There is no such file.")

    def predictions_of(self, project_id: int, version: str) -> list[PublishedPrediction]:
        self._called("predictions_of")
        return list(self.predictions.get(version, {}).values())

    def describe(self, project_id: int, description: str) -> None:
        self._called("describe")
        self.known = replace(self.known, description=description)


class ScriptedModel:
    """A model that answers by a function of the prompt; a ``ModelFailure`` is passed on as it is."""

    model = "scripted"
    context_window = 8192

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
