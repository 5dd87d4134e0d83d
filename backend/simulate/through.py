"""One run through the product itself: a real Label Studio serves, gold answers, the worker pre-annotates.

What comes of it is put beside the simulation of the same run, which must choose and score the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from allabel_core.errors import AllabelError
from allabel_core.metrics import score_entities
from allabel_core.simulation.runs import Replay, RunSpec

from ..adapters.label_studio import LabelStudioClient
from ..demo.autopilot import Autopilot
from ..demo.waiting import wait_for_queue
from ..errors import SettingsError
from ..labeling.config_writing import label_config
from ..labeling.label_config import parse_label_config
from ..labeling.results import document_from_annotation
from ..usecases.finish import finish
from ..usecases.memory import TITLE
from ..usecases.tools import Tools
from .llm import ModelExtractor
from .reading import Dataset

LONGEST_TITLE = 50
SETTLE_EVERY = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """``served`` and ``simulated``: the texts annotated, in order; F1 of entities on all other texts."""

    project_id: int
    served: tuple[int, ...]
    simulated: tuple[int, ...]
    served_f1: float
    simulated_f1: float

    @property
    def same(self) -> bool:
        return self.served == self.simulated and self.served_f1 == self.simulated_f1


def through_label_studio(
    dataset: Dataset,
    spec: RunSpec,
    tools: Tools,
    client: LabelStudioClient,
    *,
    auth: tuple[str, str] | None,
    say: Callable[[str], None],
) -> Comparison:
    """Import, connect, annotate from gold in the served order, let the model label the rest, compare.

    The project stays in Label Studio, to be looked at.

    :raises SettingsError: no model is configured.
    :raises AllabelError: Label Studio, the backend or its worker did not do its part.
    """
    if tools.model is None:
        raise SettingsError("No model is configured: set OPENAI_API_KEY or OPENAI_BASE_URL.")
    replay = Replay(dataset.documents, encode=tools.encoder)
    config = label_config(replay.labels)
    title = f"ALLabel simulation: {dataset.name}"[:LONGEST_TITLE]
    project_id = client.create_project(title, config)
    tasks = client.import_tasks(project_id, [{"data": {"text": text}} for text in replay.texts])
    place = {task_id: index for index, task_id in enumerate(tasks)}
    # The simulation has no audit.
    params = {
        "budget": spec.budget,
        "strategy": spec.strategy,
        "similarity": spec.similarity,
        "k": spec.k,
        "audit": 0,
    }
    client.connect_backend(project_id, url=tools.backend_url, title=TITLE, extra_params=params, auth=auth)

    def settle(annotated: int) -> None:
        wait_for_queue(
            tools,
            project_id,
            lambda: None,
            lambda news, _=None, /: say(news),
            whole=True,
            annotated=annotated,
        )

    settle(0)
    interface = parse_label_config(config)
    pilot = Autopilot(
        annotator=client,
        project_id=project_id,
        interface=interface,
        gold=dict(zip(tasks, dataset.documents, strict=True)),
        settle=lambda: settle(len(pilot.served)),
        settle_every=SETTLE_EVERY,
    )
    pilot.annotate(spec.budget, lambda _: say(f"annotated {len(pilot.served)} of {spec.budget}"))
    finish(tools, project_id)
    settle(len(pilot.served))

    served = tuple(place[task_id] for task_id in pilot.served)
    left = [task_id for task_id in tasks if place[task_id] not in served]
    found = tools.store.suggestions(project_id, left)
    if missing := len(left) - len(found):
        raise AllabelError(f"{missing} tasks have no answer; see what `allabel status {project_id}` says.")
    answers = [
        document_from_annotation(interface, replay.texts[place[task_id]], found[task_id].result)
        for task_id in left
    ]
    served_f1 = score_entities(answers, [dataset.documents[place[task_id]] for task_id in left]).f1
    run = replay.run(spec)
    extractor = ModelExtractor(tools.model, replay.labels, tools.templates)
    scores = replay.score(run, replay.extract(run, extractor))
    return Comparison(project_id, served, run.corpus, served_f1, scores.total.f1)
