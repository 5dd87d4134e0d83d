"""The figures of a project, as pages, terminal and API show them. Shares and F1 lie in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ports import NotedError


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Score:
    """Entity F1 of suggestions against what people submitted, its 95% interval, over so many tasks."""

    f1: float
    precision: float
    recall: float
    low: float
    high: float
    tasks: int


@dataclass(frozen=True, slots=True)
class LabelScore:
    """``mentions``: how many entities of the label people have marked."""

    label: str
    f1: float
    precision: float
    recall: float
    mentions: int


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """F1, with its 95% interval, of a run of tasks around the one annotated as number ``annotated``."""

    annotated: int
    f1: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Quality:
    """Pre-annotations as they were before a person saw them, against what was submitted.

    ``assisted``: of tasks whose suggestion the annotator saw. ``blind``: of the audit, whose annotators
    saw none. ``difference``: assisted minus blind F1, None below ten tasks of either. ``labels`` and
    ``curve`` are of the assisted tasks.
    ``untouched_share``: of the suggestions that had any span, those submitted without a change.
    ``edits_per_task``: spans added, removed, moved or relabelled. ``seconds_per_task``: the median of
    Label Studio's lead_time, and ``seconds_per_blind_task`` that of the blind tasks.
    """

    assisted: Score | None = None
    blind: Score | None = None
    difference: Estimate | None = None
    labels: list[LabelScore] = field(default_factory=list)
    curve: list[CurvePoint] = field(default_factory=list)
    untouched_share: float | None = None
    edits_per_task: float | None = None
    seconds_per_task: float | None = None
    seconds_per_blind_task: float | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """Whether to go on. ``gain``: F1 that the next ``annotations`` are expected to add; ``minutes`` of
    people and ``tokens`` of the model that they take. ``expected_f1``: of the texts that nobody will
    annotate, known from ``basis``: the "blind audit", or the "assisted" tasks, whose figures flatter.
    ``verdict``: "too_early", "go_on" or "stop". ``next``: what to do now, "annotate", "raise" the budget,
    "finish", "review", "export", or "import" texts."""

    verdict: str = "too_early"
    sentence: str = ""
    annotations: int = 0
    gain: Estimate | None = None
    minutes: float | None = None
    tokens: int | None = None
    expected_f1: Estimate | None = None
    basis: str = ""
    next: str = ""


@dataclass(frozen=True, slots=True)
class Confidence:
    """``error``: expected distance between the confidence shown and the share of spans kept, None without
    any; ``judged``: over how many spans."""

    error: float | None = None
    judged: int = 0


@dataclass(frozen=True, slots=True)
class StageProgress:
    """Tasks of one stage: annotated, in the window that is served now, and to come after it."""

    name: str
    done: int
    in_window: int
    to_come: int


@dataclass(frozen=True, slots=True)
class Cost:
    """``money`` in the price table's currency, None without one; ``seconds`` that all workers take over it,
    None where none has asked the model yet."""

    what: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    money: float | None
    seconds: float | None = None


SOURCES = "sources"
"""The name under which the worker keeps ``SourcesWorth``."""


@dataclass(frozen=True, slots=True)
class SourcesWorth:
    """Entity F1 of each source by itself and of all joined, by cross-validation over ``texts`` texts.

    ``learned``: tagger and lexicon joined. ``model`` and ``joined``: None while too few texts have a model's
    answer. ``shown``: what stands where the model has answered, "model" or "joined".
    """

    texts: int
    tagger: float
    lexicon: float
    learned: float
    model: float | None
    joined: float | None
    shown: str


@dataclass(frozen=True, slots=True)
class AskedShare:
    """What asking the model about a share of the remaining texts brings and takes.

    ``f1``: expected, by cross-validation over annotated texts. ``worth_asking``: the smallest share within
    half a point of the best.
    """

    share: float
    f1: float
    calls: int
    tokens: int
    money: float | None
    worth_asking: bool


@dataclass(frozen=True, slots=True)
class SpendingReport:
    """What the model calls came to, and what is still to come.

    ``cost``, and ``saved`` by tokens that the provider billed as cached, are None without a price table.
    ``unanswered``: calls whose answer never came, in the sums by estimate. ``finish_now``: what labelling
    the rest would take at this moment, None without a model.
    """

    calls: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost: float | None
    saved: float | None = None
    to_finish: list[Cost] = field(default_factory=list)
    finish_now: Cost | None = None
    unanswered: int = 0
    shares: list[AskedShare] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class JobProgress:
    """What the worker is at: ``done`` of ``total``. ``since``: seconds since 1970."""

    doing: str
    done: int
    total: int
    since: float


@dataclass(frozen=True, slots=True)
class ProjectSummary:
    """A connected project, or one whose connection is refused. ``state``: connected, no_tasks, no_texts,
    reading, ranking, suggesting, ready, budget_used, finishing, finished, capped, degraded, disconnected
    or refused; ``problem``: why; ``remedy``: what to do. ``next``: see ``Advice``."""

    id: int
    title: str
    state: str
    problem: str
    remedy: str
    annotated: int
    budget: int
    tasks: int
    label_studio_url: str
    annotate_url: str
    next: str = ""


@dataclass(frozen=True, slots=True)
class ProjectReport:
    """Where a project stands. ``published``: tasks served now, as ``version``. ``answers``: of the model,
    read so far; ``unreadable``: those of them not (wholly) in the form asked for, and ``rejected``:
    mentions not shown, both by reason. ``scarce_labels``: those that fewer annotated tasks bear than
    demonstrations are shown, with the number of such tasks. ``page``: the project's page for people.
    ``unusable_tasks``: left out since they have no text that can be read. ``notices``: what else is left
    out, and why."""

    id: int
    title: str
    state: str
    problem: str
    remedy: str
    label_studio_url: str
    annotate_url: str
    page: str
    tasks: int
    annotated: int
    skipped: int
    budget: int
    queued: int
    published: int
    version: str
    rankings: int
    stages: list[StageProgress]
    quality: Quality
    advice: Advice
    confidence: Confidence
    spending: SpendingReport
    jobs: list[JobProgress]
    errors: list[NotedError]
    answers: int
    unreadable: dict[str, int]
    rejected: dict[str, int]
    unusable_tasks: int
    unusable_reason: str
    scarce_labels: dict[str, int]
    notices: list[str]
    sources: SourcesWorth | None = None

    @property
    def next(self) -> str:
        """What to do now: see ``Advice``."""
        return self.advice.next


@dataclass(frozen=True, slots=True)
class MarkedSpan:
    """An entity at its place in a text, in code points."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A text, or its beginning, with its entities in reading order."""

    text: str
    spans: list[MarkedSpan] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DemonstrationShown:
    """An annotated task that the model is shown. ``similarity``: to the task, None where not known."""

    task_id: int
    excerpt: str
    similarity: float | None
    url: str
    marked: MarkedText = field(default_factory=lambda: MarkedText(""))


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """One of the next tasks. ``place`` counts from 1; ``reason``: why it is there; ``url``: into Label
    Studio. ``similar_to``: the most similar task before it in the order of annotation. ``demonstrations``:
    the most similar first. ``suggested``: the text with what the annotator is shown, None without."""

    task_id: int
    place: int
    stage: str
    reason: str
    excerpt: str
    similar_to: int | None
    demonstrations: list[DemonstrationShown]
    url: str
    suggested: MarkedText | None = None


@dataclass(frozen=True, slots=True)
class SpanChange:
    """A span of the suggestion or the annotation. ``change``: kept, removed, added, relabelled or moved;
    ``words`` and ``label`` as submitted, ``words_before`` and ``label_before`` as suggested. ``start`` and
    ``end``: the place of ``words`` in the text; where there are none, that of ``words_before``."""

    change: str
    start: int
    end: int
    words: str = ""
    label: str = ""
    words_before: str = ""
    label_before: str = ""


@dataclass(frozen=True, slots=True)
class SuggestedSpan:
    """A span of the suggestion. ``sources``: who proposes it, in words; empty where that is not known."""

    words: str
    label: str
    confidence: float | None
    sources: str


@dataclass(frozen=True, slots=True)
class TaskReport:
    """One task. ``state``: annotated, skipped, queued, auto (labelled by the model) or rest. ``blind``:
    of the audit, hence annotated without a suggestion; ``changes`` are then what it would have needed.
    ``demonstrations``: the most similar first. ``suggested``: the text with its suggestion, None where there
    is none to be seen. ``stage`` and ``reason``: why it stands in the queue, empty where it does not.
    ``proposed``: the suggestion's spans and who proposes them; of an audited text told afterwards only."""

    task_id: int
    state: str
    text: str
    excerpt: str
    url: str
    blind: bool
    demonstrations: list[DemonstrationShown]
    changes: list[SpanChange]
    suggested: MarkedText | None = None
    stage: str = ""
    reason: str = ""
    proposed: list[SuggestedSpan] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CorpusMap:
    """Texts that stand near each other share rare words. ``computed``: whether the worker has drawn it yet.

    ``points``: (x, y, task id, state), x and y in [-1, 1]; state: annotated, skipped, queued, auto or rest.
    ``regions``: (x, y, its characteristic words). ``quality``: how good a task's suggestion was, as F1, or
    how probably it is all right, in [0, 1], by task id; only of tasks that have one.
    """

    computed: bool
    points: list[tuple[float, float, int, str]] = field(default_factory=list)
    regions: list[tuple[float, float, str]] = field(default_factory=list)
    quality: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Labelled:
    """One of the places where words are marked; ``label`` is empty where they were left unmarked.

    ``context[start:end]`` are the words.
    """

    task_id: int
    label: str
    context: str
    annotator: int | None
    url: str
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """The same words, labelled differently. ``kind``: "over time", or
    "between annotators"; ``similarity`` of both contexts in [0, 1]."""

    words: str
    kind: str
    similarity: float
    first: Labelled
    second: Labelled


@dataclass(frozen=True, slots=True)
class Unmarked:
    """Words that are marked with ``label`` in ``marked`` texts and stand unmarked in ``texts`` others, of
    which ``places`` are the first."""

    words: str
    label: str
    marked: int
    texts: int
    places: list[Labelled]


@dataclass(frozen=True, slots=True)
class ReviewedTask:
    """A task labelled by the model. ``expected_errors``: spans expected to be wrong or missing in it;
    ``chance_right``: that the whole answer is right."""

    task_id: int
    place: int
    expected_errors: float
    chance_right: float
    spans: int
    excerpt: str
    url: str
    marked: MarkedText = field(default_factory=lambda: MarkedText(""))
