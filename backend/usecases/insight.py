"""What a sync finds out about a project, computed by the worker and stored, so that pages open at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from allabel_core.selection.allabel import stage_quotas
from allabel_core.selection.scarcity import scarce_labels

from ..labeling.label_config import LabelingInterface
from ..ports import QueueEntry
from .advice import Standing, advise
from .audit import STAGE as AUDIT
from .calibration import calibration_error
from .consistency import look_for_contradictions, look_for_unmarked
from .corpus import Corpus
from .corpus_map import draw_map
from .estimate import estimate
from .figures import Advice, AskedShare, Confidence, Cost, Quality, StageProgress
from .finish import tokens_for_annotating
from .measure import Compared, compare, quality
from .review import look_for_errors
from .tools import Tools

STAGES = ("diversity", "similarity", "uncertainty")
LOOKED_AT = ("annotated_version", "rankings", "publications")
"""Facts of which one changes with whatever the figures are of."""
STAGE_OF = {"coreset-warm": "coreset", "fast-votek": "votek"}
"""Of strategies whose only stage bears another name."""


@dataclass(frozen=True, slots=True)
class Insight:
    """See ``ProjectReport`` for the fields."""

    stages: list[StageProgress] = field(default_factory=list)
    quality: Quality = field(default_factory=Quality)
    advice: Advice = field(default_factory=Advice)
    confidence: Confidence = field(default_factory=Confidence)
    to_finish: list[Cost] = field(default_factory=list)
    finish_now: Cost | None = None
    shares: list[AskedShare] = field(default_factory=list)
    scarce_labels: dict[str, int] = field(default_factory=dict)


INSIGHT_JSON = TypeAdapter(Insight)


def look(
    tools: Tools,
    project_id: int,
    interface: LabelingInterface,
    corpus: Corpus,
    queue: Sequence[QueueEntry],
) -> None:
    """Compute and store the project's figures, after its queue has been brought up to date.

    Nothing is done where neither annotations nor queue nor publication are others than the last time.
    """
    store = tools.store
    facts = store.facts(project_id)
    now = " ".join(facts.get(name, "") for name in LOOKED_AT)
    if facts.get("looked_at") == now:
        return
    settings = store.settings(project_id)
    gold = {shown.task_id: shown.document for shown in corpus.demonstrations}
    compared = compare(interface, corpus, store.witnesses(project_id))
    measured = quality(compared)
    error, judged = calibration_error(store.shown(project_id, list(gold)), gold)
    costs = estimate(tools, project_id) if tools.model else None
    found = Insight(
        stages=_stages(list(gold), set(store.audit(project_id)), queue, settings.strategy, settings.window),
        quality=measured,
        advice=_advice(tools, project_id, compared, measured, len(gold)),
        confidence=Confidence(error, judged),
        to_finish=list(costs.costs) if costs else [],
        finish_now=costs.finish_now if costs else None,
        shares=list(costs.shares) if costs else [],
        scarce_labels=scarce_labels(gold.values(), interface.labels, max(1, settings.k)),
    )
    store.save_computed(project_id, "insight", INSIGHT_JSON.dump_json(found))
    look_for_contradictions(tools, project_id, corpus)
    look_for_unmarked(tools, project_id, corpus)
    look_for_errors(tools, project_id, compared)
    draw_map(tools, project_id, corpus, queue, compared)
    store.set_facts(project_id, looked_at=now)


def _advice(
    tools: Tools, project_id: int, compared: Sequence[Compared], measured: Quality, annotated: int
) -> Advice:
    facts = tools.store.facts(project_id)
    tasks = int(facts.get("tasks", 0))
    standing = Standing(
        tasks=tasks,
        annotated=annotated,
        left=tasks - len(tools.store.done(project_id)),
        budget=int(facts.get("budget", 0)),
        finishing=bool(facts.get("finishing")),
    )
    tokens = tokens_for_annotating(tools, project_id) if tools.model else 0
    return advise(
        compared,
        standing,
        seconds_per_task=measured.seconds_per_task,
        tokens_per_task=tokens / annotated if annotated else None,
    )


def _stages(
    annotated: Sequence[int], audit: set[int], queue: Sequence[QueueEntry], strategy: str, window: int
) -> list[StageProgress]:
    """The strategy's stages in their order, then the audit.

    Annotated tasks fill the method's three stages one after the other, wherever they came from.
    """
    ahead = Counter(entry.stage for entry in queue[:window])
    later = Counter(entry.stage for entry in queue[window:])
    audited = sum(task_id in audit for task_id in annotated)
    left = len(annotated) - audited
    done = {AUDIT: audited}
    if strategy == "allabel":
        quotas = stage_quotas(left + sum(entry.stage in STAGES for entry in queue))._asdict()
        for stage in STAGES:
            done[stage] = min(left, quotas[stage])
            left -= done[stage]
        names = list(STAGES)
    else:
        names = [STAGE_OF.get(strategy, strategy)]
    done[names[-1]] = done.get(names[-1], 0) + left
    names += [name for name in dict.fromkeys(entry.stage for entry in queue) if name not in (*names, AUDIT)]
    if audit:
        names.append(AUDIT)
    return [StageProgress(name, done.get(name, 0), ahead[name], later[name]) for name in names]
