"""What a sync finds out about a project, computed by the worker and stored, so that pages open at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from allabel_core.selection.allabel import stage_quotas
from allabel_core.selection.scarcity import scarce_labels

from ..labeling.label_config import LabelingInterface
from ..ports import QueueEntry, StoredDemonstration
from .calibration import calibration_error
from .estimate import estimate
from .figures import Advice, Confidence, Cost, Quality, StageProgress
from .measure import measure
from .tools import Tools

STAGES = ("diversity", "similarity", "uncertainty")


@dataclass(frozen=True, slots=True)
class Insight:
    """See ``ProjectReport`` for the fields."""

    stages: list[StageProgress] = field(default_factory=list)
    quality: Quality = field(default_factory=Quality)
    advice: Advice = field(default_factory=Advice)
    confidence: Confidence = field(default_factory=Confidence)
    to_finish: list[Cost] = field(default_factory=list)
    scarce_labels: dict[str, int] = field(default_factory=dict)


_JSON = TypeAdapter(Insight)


def look(
    tools: Tools,
    project_id: int,
    interface: LabelingInterface,
    corpus: Sequence[StoredDemonstration],
    queue: Sequence[QueueEntry],
) -> None:
    """Compute and store the project's figures, after its queue has been brought up to date."""
    store = tools.store
    settings = store.settings(project_id)
    gold = {shown.task_id: shown.document for shown in corpus}
    seen = store.shown(project_id, list(gold))
    error, judged = calibration_error(seen, gold)
    found = Insight(
        stages=_stages(len(corpus), queue, settings.strategy, settings.window),
        quality=measure(interface, corpus, seen),
        confidence=Confidence(error, judged),
        to_finish=list(estimate(tools, project_id).costs) if tools.model else [],
        scarce_labels=scarce_labels(gold.values(), interface.labels, max(1, settings.k)),
    )
    store.save_insight(project_id, _JSON.dump_json(found))


def _stages(annotated: int, queue: Sequence[QueueEntry], strategy: str, window: int) -> list[StageProgress]:
    """The strategy's stages in their order; annotated tasks fill the three stages one after the other."""
    ahead = Counter(entry.stage for entry in queue[:window])
    later = Counter(entry.stage for entry in queue[window:])
    names = list(dict.fromkeys(entry.stage for entry in queue)) or [strategy]
    done = {names[0]: annotated}
    if strategy == "allabel":
        left = annotated
        budget = annotated + sum(entry.stage in STAGES for entry in queue)
        for stage, quota in stage_quotas(budget)._asdict().items():
            done[stage] = min(left, quota)
            left -= done[stage]
        names = [*STAGES, *(name for name in names if name not in STAGES)]
    return [StageProgress(name, done.get(name, 0), ahead[name], later[name]) for name in names]
