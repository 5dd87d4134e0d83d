"""What the use cases ask of the outside: plain records, and protocols that adapters fulfil."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from allabel_core.prompting import Prompt


@dataclass(frozen=True, slots=True)
class Project:
    """A Label Studio project as far as we care."""

    id: int
    title: str
    label_config: str
    instructions: str
    description: str
    sampling: str
    model_version: str
    task_count: int


@dataclass(frozen=True, slots=True)
class Annotation:
    """One submitted annotation; ``result`` is Label Studio's own list of regions."""

    id: int
    result: list[dict[str, Any]]
    created_at: str
    updated_at: str
    cancelled: bool
    ground_truth: bool
    lead_time: float | None
    completed_by: int | None


@dataclass(frozen=True, slots=True)
class Task:
    id: int
    data: dict[str, Any]
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedPrediction:
    """What Label Studio stores: ``score`` in [0, 1] is the place in the queue, ascending."""

    task_id: int
    result: list[dict[str, Any]]
    score: float


class LabelStudio(Protocol):
    """The Label Studio that holds the truth. Every method raises ``LabelStudioError``."""

    def check(self) -> str:
        """Label Studio's version; raises where it is not reachable or the token is refused."""

    def project(self, project_id: int) -> Project: ...

    def tasks(self, project_id: int, *, on_page: Callable[[int, int], None] | None = None) -> Iterator[Task]:
        """Every task (id and data; no annotations), in id order, page by page (done, total)."""

    def annotated_tasks(self, project_id: int) -> list[Task]:
        """The tasks that have at least one annotation, skipped ones included, with annotations."""

    def set_up_project(self, project_id: int, *, view_title: str, version: str | None) -> None:
        """Sampling mode, suggestions shown, the queue's Data Manager tab. Twice changes nothing."""

    def connect_backend(
        self, project_id: int, *, url: str, title: str, extra_params: dict[str, Any], auth: tuple[str, str] | None
    ) -> None:
        """What 'Connect model' in the settings page does. Twice changes nothing."""

    def secure_webhook(self, project_id: int, *, url: str, headers: dict[str, str]) -> bool:
        """Our webhook exists, for all actions, with these headers; True if it had to change."""

    def import_predictions(self, project_id: int, version: str, predictions: Sequence[PublishedPrediction]) -> None:
        """Raises where Label Studio did not create every one of them."""

    def point_at_version(self, project_id: int, version: str) -> None:
        """The project serves this version, and the connected backend's version is refreshed."""

    def versions(self, project_id: int) -> dict[str, int]:
        """Model versions with their number of predictions."""

    def delete_version(self, project_id: int, version: str) -> None: ...

    def describe(self, project_id: int, description: str) -> None:
        """Set the project's description."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said. ``logprobs``: (token, natural log probability) in order, where given."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    from_cache: bool = False
    truncated: bool = False
    logprobs: tuple[tuple[str, float], ...] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ModelFailure:
    """Why there is no answer. ``kind``: unreachable, timeout, rate_limited, refused, rejected, too_long."""

    kind: str
    message: str


class LanguageModel(Protocol):
    """A chat or completion model behind an OpenAI-compatible endpoint."""

    model: str

    def answer(
        self, prompts: Sequence[Prompt], *, on_answer: Callable[[int, Answer | ModelFailure], None] | None = None
    ) -> list[Answer | ModelFailure]:
        """One outcome per prompt, in order; calls run side by side; one failure spoils no other."""

    def check(self) -> str:
        """One line on what the endpoint is and can do; raises ``LanguageModelError`` if it fails."""
