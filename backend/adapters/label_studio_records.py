"""What Label Studio answers, checked where it enters. It stores whatever it is sent, and so may any of it be:
an answer of another shape is an error that says so; a part that cannot be read is left out, alone.
"""

from __future__ import annotations

import logging
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from ..errors import LabelStudioRejectedError
from ..ports import Annotation, Prediction, Project, Task

logger = logging.getLogger(__name__)

Model = TypeVar("Model", bound=BaseModel)


def _or(default: Any, kind: type | tuple[type, ...]) -> BeforeValidator:
    """What is of another type counts as not told."""
    return BeforeValidator(lambda value: value if isinstance(value, kind) else default)


Text = Annotated[str, _or("", str)]
Number = Annotated[int, _or(0, int)]
Flag = Annotated[bool, _or(False, bool)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class Created(_Record):
    created_at: Text = ""


class _Project(_Record):
    id: int
    title: Text = ""
    label_config: Text = ""
    expert_instruction: Text = ""
    description: Text = ""
    sampling: Text = ""
    model_version: Text = ""
    task_number: Number = 0
    total_annotations_number: Number = 0
    skipped_annotations_number: Number = 0
    total_predictions_number: Number = 0
    maximum_annotations: Number = 1
    created_at: Text = ""


class ProjectPage(_Record):
    results: list[Any]
    next: str | None = None


class TaskPage(_Record):
    tasks: list[Any]
    total: int


class _Task(_Record):
    id: int
    data: Annotated[dict[str, Any], _or({}, dict)]
    updated_at: Text = ""
    annotations: Annotated[list[Any], _or([], list)] = []


class _Annotation(_Record):
    id: int
    result: Annotated[list[Any], _or([], list)] = []
    created_at: Text = ""
    updated_at: Text = ""
    was_cancelled: Flag = False
    ground_truth: Flag = False
    lead_time: Annotated[float | None, _or(None, (int, float))] = None
    completed_by: Annotated[int | None, _or(None, int)] = None
    parent_prediction: Annotated[int | None, _or(None, int)] = None


class BackendRecord(_Record):
    id: int
    url: Text = ""
    title: Text = ""
    model_version: Text = ""
    state: Text = ""
    error_message: Text = ""
    readable_state: Text = ""
    extra_params: Any = None

    @property
    def trouble(self) -> str:
        """Why Label Studio cannot use it, empty where it can."""
        return "" if self.state == "CO" else self.error_message or self.readable_state


class WebhookRecord(_Record):
    id: int
    project: int | None = None
    url: Text = ""
    headers: Annotated[dict[str, str], _or({}, dict)] = {}
    send_payload: Flag = False
    send_for_all_actions: Flag = False
    is_active: Flag = False


class _Prediction(_Record):
    id: int
    task: int
    result: Annotated[list[Any], _or([], list)] = []
    score: Annotated[float, _or(0.0, (int, float))] = 0.0
    model_version: Text = ""
    updated_at: Text = ""


class ExportedRecord(_Record):
    annotations: Annotated[list[Any], _or([], list)] = []


class CreatedRecord(_Record):
    created: int


class _All(BaseModel):
    """A list of anything, or of numbers by name."""

    items: list[Any]


class _Counts(BaseModel):
    items: dict[str, int]


def read_list(kind: type[Model], answer: object) -> list[Model]:
    """:raises LabelStudioRejectedError: it is no list of these."""
    return [read_as(kind, each) for each in read_as(_All, {"items": answer}).items]


def read_counts(answer: object) -> dict[str, int]:
    """:raises LabelStudioRejectedError: it is no object of numbers."""
    return read_as(_Counts, {"items": answer}).items


def read_as(kind: type[Model], answer: object) -> Model:
    """:raises LabelStudioRejectedError: the answer is none of this kind."""
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        where = ", ".join(".".join(map(str, each["loc"])) or "all of it" for each in error.errors()[:3])
        raise LabelStudioRejectedError(
            f"Label Studio answered something else than was asked for (wrong: {where}). Check that "
            "LABEL_STUDIO_URL is the address of Label Studio itself and nothing in between changes answers"
        ) from error


def read_project(answer: object) -> Project:
    """:raises LabelStudioRejectedError: it is no project."""
    found = read_as(_Project, answer)
    return Project(
        id=found.id,
        title=found.title,
        label_config=found.label_config,
        instructions=found.expert_instruction,
        description=found.description,
        sampling=found.sampling,
        model_version=found.model_version,
        task_count=found.task_number,
        annotation_count=found.total_annotations_number + found.skipped_annotations_number,
        created_at=found.created_at,
        prediction_count=found.total_predictions_number,
        overlap=found.maximum_annotations or 1,
    )


def read_predictions(answer: object) -> list[Prediction]:
    """By their ids.

    :raises LabelStudioRejectedError: it is no list of predictions.
    """
    found = [_prediction(each) for each in read_list(_Prediction, answer)]
    return sorted(found, key=lambda each: each.id)


def read_prediction(answer: object) -> Prediction:
    """:raises LabelStudioRejectedError: it is no prediction."""
    return _prediction(read_as(_Prediction, answer))


def _prediction(found: _Prediction) -> Prediction:
    return Prediction(
        id=found.id,
        task_id=found.task,
        result=found.result,
        score=found.score,
        model_version=found.model_version,
        updated_at=found.updated_at,
    )


def read_tasks(page: TaskPage) -> list[Task]:
    """:raises LabelStudioRejectedError: one of them has no number."""
    return [_task(read_as(_Task, each)) for each in page.tasks]


def _task(found: _Task) -> Task:
    made = []
    for each in found.annotations:
        try:
            made.append(_annotation(_Annotation.model_validate(each)))
        except ValidationError:
            logger.warning("an annotation of task %d cannot be read and is left out", found.id)
    return Task(found.id, found.data, tuple(made), found.updated_at)


def _annotation(found: _Annotation) -> Annotation:
    return Annotation(
        id=found.id,
        # The others are told apart where regions are read, and counted there.
        result=found.result,
        created_at=found.created_at,
        updated_at=found.updated_at,
        cancelled=found.was_cancelled,
        ground_truth=found.ground_truth,
        lead_time=found.lead_time,
        completed_by=found.completed_by,
        parent_prediction=found.parent_prediction,
    )
