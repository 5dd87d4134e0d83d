"""What the use cases ask of the outside: plain records, and protocols that adapters fulfil."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeAlias

from allabel_core.prompting import Form, Prompt
from allabel_core.types import Document, Relation, Span


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
    annotation_count: int = 0
    """Skipped ones included."""
    overlap: int = 1
    """How many people annotate each task."""
    created_at: str = ""
    prediction_count: int = 0


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
    parent_prediction: int | None = None
    """The prediction that its annotator was shown."""


@dataclass(frozen=True, slots=True)
class Task:
    """``updated_at``: when it or its annotations changed, by Label Studio's clock; empty if not asked."""

    id: int
    data: dict[str, Any]
    annotations: tuple[Annotation, ...] = ()
    updated_at: str = ""


@dataclass(frozen=True, slots=True)
class NewPrediction:
    """What Label Studio is to store: ``score`` in [0, 1] is the place in the queue, ascending."""

    task_id: int
    result: list[dict[str, Any]]
    score: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What Label Studio stores. ``updated_at``: by its own clock."""

    id: int
    task_id: int
    result: list[dict[str, Any]]
    score: float
    model_version: str
    updated_at: str = ""


@dataclass(frozen=True, slots=True)
class PredictionChange:
    """What is to become of a stored prediction; None leaves a part as it is."""

    id: int
    result: list[dict[str, Any]] | None = None
    score: float | None = None
    model_version: str | None = None


class PlaceState(StrEnum):
    """What one of our predictions is to the queue."""

    QUEUED = "queued"
    """It makes its task a place of the queue, or did until people annotated it."""
    ANSWERED = "answered"
    """A person opened or asked for the task out of turn; it lies behind the queue."""
    RETIRED = "retired"
    """It left the queue. Label Studio keeps it for a while, since a page may be open that names it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A task's prediction of ours, as Label Studio holds it. It keeps its id for life.

    ``digest`` identifies the regions; ``since``: the time of its retirement, in seconds since 1970.
    """

    prediction_id: int
    score: float
    digest: str
    state: PlaceState = PlaceState.QUEUED
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class ConnectedBackend:
    """A model connected to a project; ``error`` says why Label Studio cannot use it, else empty."""

    url: str
    title: str
    version: str
    error: str
    extra_params: object = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """``project_id``: None where it is for all. ``complete``: it is active and sends everything."""

    project_id: int | None
    url: str
    complete: bool
    headers: dict[str, str] = field(repr=False)

    @property
    def backend_url(self) -> str:
        """The backend that it calls."""
        return self.url.removesuffix("/webhook")


Noted: TypeAlias = dict[int, "list[dict[str, Any]] | None"]
"""By annotation, the regions of the prediction that its task had when it was submitted; None without any."""


class LabelStudio(Protocol):
    """The Label Studio that holds the truth. Every method raises ``LabelStudioError``."""

    def check(self) -> str:
        """Label Studio's version; raises where it is not reachable or the token is refused."""

    def reachable(self, seconds: float) -> None:
        """Raises where it does not answer within so many seconds, or refuses the token."""

    def project(self, project_id: int) -> Project: ...

    def tasks(
        self, project_id: int, *, after: int = 0, on_page: Callable[[int, int], None] | None = None
    ) -> Iterator[Task]:
        """Tasks with an id above ``after`` (id, data), in id order; ``on_page(done, total)`` of these."""

    def task(self, project_id: int, task_id: int) -> Task:
        """One task of this project (id, data); raises where the project has none of this id."""

    def projects(self) -> dict[int, Project]:
        """All projects that there are, by number."""

    def made_at(self, project_id: int, seconds: float) -> str:
        """When the project was created, in ISO 8601; raises if there is no answer within so many seconds."""

    def changed_tasks(self, project_id: int, since: str) -> list[Task]:
        """The tasks (id, data) that were changed after ``since``, a task's ``updated_at``, in id order."""

    def annotated_tasks(self, project_id: int, since: str = "") -> list[Task]:
        """The tasks that have at least one annotation, skipped ones included, with annotations.

        With ``since``, a task's ``updated_at``, at least those of them that were changed after it.
        """

    def set_up_project(self, project_id: int, *, view_title: str) -> int:
        """Sampling mode, suggestions shown, the queue's Data Manager tab, whose id it is. Twice changes
        nothing."""

    def connect_backend(
        self,
        project_id: int,
        *,
        url: str,
        title: str,
        extra_params: dict[str, Any],
        auth: tuple[str, str] | None,
    ) -> None:
        """What 'Connect model' in the settings page does. Twice changes nothing."""

    def change_credentials(self, project_id: int, *, url: str, auth: tuple[str, str]) -> None:
        """What Label Studio sends to the backend connected at this address, if there is one."""

    def backends(self, project_id: int) -> list[ConnectedBackend]:
        """The models connected to the project, after Label Studio has tried to reach each."""

    def webhooks(self, project_id: int | None = None) -> list[Webhook]:
        """Those of one project, or all that there are."""

    def imports_load_all_tasks(self, project_id: int) -> bool:
        """Whether Label Studio loads the whole project for every import of predictions."""

    def queue_settings(self, project_id: int) -> dict[str, Any]:
        """Those settings of a project that ``set_up_project`` and publishing change, as they are."""

    def undo_set_up(
        self, project_id: int, *, view_title: str, backend_url: str, settings: dict[str, Any]
    ) -> None:
        """Take our tab, backend and webhook away; settings that are as we made them get these values."""

    def secure_webhook(self, project_id: int, *, url: str, headers: dict[str, str]) -> bool:
        """Our webhook exists, for all actions, with these headers; True if it had to change."""

    def import_predictions(self, project_id: int, version: str, predictions: Sequence[NewPrediction]) -> None:
        """Raises where Label Studio did not create every one of them."""

    def add_prediction(self, project_id: int, version: str, prediction: NewPrediction) -> Prediction: ...

    def change_prediction(self, change: PredictionChange) -> str:
        """The moment of the change, by Label Studio's clock. Raises where there is no such prediction."""

    def delete_prediction(self, prediction_id: int) -> None:
        """Where there is none, nothing happens."""

    def point_at_version(self, project_id: int, version: str) -> None:
        """The project serves this version, and the connected backend's version is refreshed."""

    def versions(self, project_id: int) -> dict[str, int]:
        """Model versions with their number of predictions."""

    def delete_version(self, project_id: int, version: str) -> None: ...

    def predictions(self, project_id: int) -> list[Prediction]:
        """All predictions of a project, in the order in which they were made."""

    def task_predictions(self, task_id: int) -> list[Prediction]:
        """All predictions of one task, in the order in which they were made."""

    def drafted(self, project_id: int) -> set[int]:
        """The tasks with a draft: somebody has begun to annotate them."""

    def noted_predictions(self, project_id: int, task_ids: Sequence[int]) -> Noted:
        """For the annotations of these tasks, the predictions that Label Studio noted with them."""

    def text_at(self, address: str) -> str:
        """The text behind an address that a task's data hold; only from Label Studio itself."""

    def describe(self, project_id: int, description: str) -> None:
        """Set the project's description."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said. ``logprobs``: (token, natural log probability) in order, where given.

    ``form`` is the form of the prompt that was sent, hence of the answer to parse. ``alternatives``:
    what it said when asked again, where several samples were wanted; the token counts include them.
    ``truncated``: it was cut at the answer's token limit. ``from_cache``: paid for earlier.
    """

    text: str
    form: Form = "chat"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    from_cache: bool = False
    truncated: bool = False
    logprobs: tuple[tuple[str, float], ...] | None = field(default=None, repr=False)
    alternatives: tuple[str, ...] = field(default=(), repr=False)


FailureKind: TypeAlias = Literal[
    "unreachable",
    "timeout",
    "rate_limited",
    "refused",
    "rejected",
    "too_long",
    "truncated",
    "malformed",
    "budget",
]


@dataclass(frozen=True, slots=True)
class ModelFailure:
    """Why there is no answer; ``message`` says what to do and holds neither keys nor texts.

    May pass by itself: ``unreachable`` (down, or broke off), ``timeout``, ``rate_limited``.
    Concerns this text: ``refused`` (the model or its filter declines), ``too_long`` (for the
    model's context), ``truncated`` (it thinks as long as it may and says nothing), ``malformed`` (it says
    nothing, however often it is asked). Needs a person: ``rejected`` (key, model
    name, settings), ``budget`` (the project's cap is reached).
    """

    kind: FailureKind
    message: str


@dataclass(frozen=True, slots=True)
class Spending:
    """What a project's model calls came to; ``cost`` in the price table's currency, 0 without one.

    ``cached_tokens`` are the part of ``prompt_tokens`` that the provider billed as cached, which
    saved ``saved``. ``unanswered``: of the calls, those whose answer never came; the provider may have
    charged for them, so their tokens are in the sums by estimate.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost: float = 0.0
    unanswered: int = 0
    saved: float = 0.0


class LanguageModel(Protocol):
    """A chat or completion model behind an OpenAI-compatible endpoint."""

    model: str
    context_window: int
    variant: str
    """What of its settings makes its answers others, such as how long it may think; "" for none."""

    def answer(
        self,
        prompts: Sequence[Prompt],
        *,
        project_id: int,
        samples: int = 1,
        on_answer: Callable[[int, Answer | ModelFailure], None] | None = None,
    ) -> list[Answer | ModelFailure]:
        """One outcome per prompt, in order; calls run side by side; one failure spoils no other.

        ``samples``: how often each prompt is asked; the second time on at a higher temperature.
        ``on_answer``: told each outcome, by index, as soon as it is there.
        """

    def form(self) -> Form:
        """The form of prompt it is asked in; raises ``LanguageModelError`` where it cannot be told."""

    def longest_answer(self) -> int | None:
        """The most tokens of an answer that it allows; None while no refusal has told."""

    def spending(self, project_id: int) -> Spending: ...

    def recall_spending(self, project_id: int, noted: Spending) -> None:
        """It was at least this: what was written down elsewhere before the store was lost."""

    def price(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """What so many tokens cost by the price table, None without one."""

    def check(self) -> str:
        """One line on what the endpoint is and can do; raises ``LanguageModelError`` if it fails."""


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What a person may choose per project, in the connection's extra params or by CLI.

    What stands below a setting is its line in docs/reference/settings.md.
    """

    budget: str = "10%"
    """How much people will annotate: a share of the tasks, such as 10%, or a number of tasks."""
    strategy: str = "coverage"
    """How texts are chosen; see [Strategies](../selection.md)."""
    similarity: Literal["bm25", "sbert"] = "bm25"
    """What alike means: `bm25` (shared words), or `sbert` (sentence embeddings)."""
    k: int = 3
    """Demonstrations shown to the model for a text."""
    window: int = 25
    """Tasks pre-annotated and served ahead of the annotators."""
    retrieval: str = "similarity"
    """How demonstrations are found: `bm25`, `sbert`, `fused` (both ranks), or `similarity`, as the
    project's texts are ranked."""
    demonstration_tokens: int = 0
    """Above 0: as many demonstrations as cost this many tokens together, in place of `k`."""
    varied: bool = False
    """No further demonstration that is nearly identical to two nearer ones."""
    cover_labels: bool = False
    """The farthest demonstration makes room for one with a label that is likely in the text and that no
    other bears."""
    occurrences: str = "learned"
    """Other occurrences of a marked word: `learned` from this project's annotators, `all`, or only the
    `first` for each time the model names it."""
    min_confidence: float = 0.0
    """Spans below it are not shown."""
    uncertainty: str = "similarity"
    """What stage 3 takes for a weak point: by `similarity`, by the `model`, or by `both`."""
    tokenizer: str = "words"
    """What is compared: `words`, or runs of characters, `characters-2` to `characters-5`. It holds for
    ranking, reading costs, near-duplicates and the search for demonstrations."""
    near_duplicates: float = 0.0
    """At most one is asked for of texts whose sets of tokens have at least this Jaccard index; 0 asks for
    all, since the method's order has no such exception."""
    budget_unit: Literal["texts", "tokens"] = "texts"
    """With `tokens`, `budget` counts tokens to read, or is a share of all there are."""
    audit: float = 0.1
    """The share of the budget that is drawn at random and annotated without suggestions, to measure how
    good these are; none of a budget below 20 tasks. See [Quality](../quality.md)."""
    labels_renamed: str = ""
    """Labels that have a new name in the label config, as `{"old name": "new name"}`: annotations with the
    old one count as if they had the new one."""
    dictionary: str = ""
    """Terms of your own, suggested before the first annotation: the text of a TSV, a term, a tab and a label
    in each line. `allabel connect PROJECT --dictionary FILE` reads it from a file."""


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """One place in a project's queue; ``nearest`` is the id of the most similar task before it."""

    task_id: int
    stage: str
    words: str
    score: float
    serves: int | None = None
    nearest: int | None = None
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class StoredDemonstration:
    """An annotated task as the prompt shows it."""

    task_id: int
    document: Document

    def to_json(self) -> dict[str, Any]:
        return {"task_id": self.task_id, **asdict(self.document)}


def document_from_json(value: Mapping[str, Any]) -> Document:
    """The inverse of ``asdict``."""
    return Document(
        value["text"],
        tuple(Span(**span) for span in value["spans"]),
        tuple(Relation(**relation) for relation in value["relations"]),
    )


@dataclass(frozen=True, slots=True)
class Submission:
    """One submitted annotation, read. ``lead_time`` in seconds; ``counts``: it is a demonstration.

    ``left_out``: its regions that are not in the document, by reason.
    """

    task_id: int
    annotation_id: int
    created_at: str
    annotator: int | None
    lead_time: float | None
    document: Document
    counts: bool
    parent_prediction: int | None = None
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnnotatedTask:
    """What people have done with a task.

    ``submitted_at``: first submission, empty where all have skipped it. ``annotations``: how many, skipped
    ones included. ``submissions``: those not skipped; none for a task without a usable text.
    """

    task_id: int
    submitted_at: str
    annotations: int
    submissions: tuple[Submission, ...] = ()

    @property
    def counting(self) -> Submission | None:
        """The submission that is the task's demonstration."""
        return next((each for each in self.submissions if each.counts), None)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(raw: bytes | str) -> AnnotatedTask:
        value = json.loads(raw)
        submissions = tuple(
            Submission(**{**each, "document": document_from_json(each["document"])})
            for each in value.pop("submissions")
        )
        return AnnotatedTask(**value, submissions=submissions)


def demonstrations_of(annotated: Iterable[AnnotatedTask]) -> list[StoredDemonstration]:
    """By first submission, so that a later correction does not reshuffle the corpus."""
    ordered = sorted(annotated, key=lambda task: (task.submitted_at, task.task_id))
    return [StoredDemonstration(task.task_id, made.document) for task in ordered if (made := task.counting)]


@dataclass(frozen=True, slots=True)
class ProgressNote:
    """What the worker is at for a project; ``since``: seconds since 1970 at which it said so."""

    doing: str
    done: int
    total: int
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class NotedError:
    """Something that went wrong, last at ``at`` (seconds since 1970), and what a person can do."""

    at: float
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What the language model says of a text, as regions with its own confidences; see ``Suggestion``."""

    regions: list[dict[str, Any]]
    evidence: str
    certainty: float | None = None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A pre-annotation as Label Studio regions: the model's answer joined with what annotations have taught.

    ``recipe`` identifies all that shaped it (demonstrations, labels, model): where today's recipe
    differs, the suggestion is stale. ``problem`` says why ``result`` is empty though the model was
    to be asked. ``confidence`` is the lowest of the regions' scores, None without regions.
    ``regions`` are all that were found, their scores not calibrated; ``result`` are those shown, with
    calibrated ones. ``evidence``: what the scores rest on: "logprobs", "agreement" or "support" of the
    model, "tagger" without one, "joined" or "learned" where an arbiter has judged with or without it.
    ``certainty`` in [0, 1]: how sure all sources are of the whole, None where nothing can be told.
    ``basis`` identifies the demonstrations as they were annotated then; ``corpus``: how many
    demonstrations there were to choose from; ``similarities``: of each demonstration to the text.
    ``answer``: the model's, None while there is none. ``learned``: the version of what annotations had
    taught, empty where nothing was joined. ``sources``: by region, who proposes it, in words.
    ``expected_errors``: regions expected to be wrong or missing, None where no arbiter has judged.
    """

    task_id: int
    result: list[dict[str, Any]]
    recipe: str
    demonstrations: list[int]
    problem: str | None = None
    confidence: float | None = None
    rejected: dict[str, int] = field(default_factory=dict)
    regions: list[dict[str, Any]] = field(default_factory=list)
    evidence: str = ""
    certainty: float | None = None
    basis: str = ""
    corpus: int = 0
    similarities: list[float] = field(default_factory=list)
    answer: ModelAnswer | None = None
    learned: str = ""
    sources: dict[str, str] = field(default_factory=dict)
    expected_errors: float | None = None

    @property
    def is_made(self) -> bool:
        """Whether any source had its say; otherwise it holds a place that has no suggestion yet."""
        return self.answer is not None or bool(self.learned)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Suggestion:
        """The inverse of ``asdict``; of an earlier release, all regions were the model's."""
        given = dict(value)
        answer = given.get("answer")
        if answer is not None:
            given["answer"] = ModelAnswer(**answer)
        elif "answer" not in given and given["recipe"]:
            given["answer"] = ModelAnswer(given["regions"], given["evidence"], given["certainty"])
        return Suggestion(**given)


@dataclass(frozen=True, slots=True)
class ShownSuggestion:
    """A suggestion as it stood before annotators from ``at`` on, by Label Studio's clock."""

    at: str
    suggestion: Suggestion


@dataclass(frozen=True, slots=True)
class Witness:
    """The suggestion of a task as it was before the annotation ``annotation_id`` was submitted.

    ``blind``: the annotator did not see it. ``result``: its regions, None where there was none.
    ``demonstrations``: those that led to it, and ``similarities`` and ``sources``, as in ``Suggestion``.
    ``answered``: the model's regions of that moment, None where it had not answered.
    """

    task_id: int
    annotation_id: int
    blind: bool = False
    result: list[dict[str, Any]] | None = None
    demonstrations: list[int] = field(default_factory=list)
    similarities: list[float] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    answered: list[dict[str, Any]] | None = None
