"""The demo's project in Label Studio: made from the sample or a person's own file, then kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr  # writes XML, reads none  # nosec B406

from allabel_core.types import Document

from ..adapters.label_studio import LabelStudioClient
from ..errors import LabelStudioNotFoundError
from ..importers import ImportedTask, read_tasks
from ..labeling.label_config import LabelingInterface, parse_label_config
from ..labeling.results import result_from_spans
from .processes import Progress
from .sample import INSTRUCTIONS, LABEL_CONFIG, SAMPLE, SEEDS

COLOURS = ("#2ca02c", "#1f77b4", "#8c564b", "#9467bd", "#d62728", "#ff7f0e", "#e377c2", "#17becf", "#bcbd22")
GENERAL_LABELS = ("Person", "Organization", "Location", "Date", "Product")
SAMPLE_NAME = "sample"


@dataclass(slots=True)
class DemoState:
    """What the demo remembers from one run to the next: its projects by data file, and its ports."""

    path: Path
    projects: dict[str, int] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, directory: Path) -> DemoState:
        path = directory / "state.json"
        found = json.loads(path.read_text("utf-8")) if path.exists() else {}
        return cls(path, found.get("projects", {}), found.get("ports", {}))

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        values = {name: value for name, value in asdict(self).items() if name != "path"}
        self.path.write_text(json.dumps(values), "utf-8")


@dataclass(frozen=True, slots=True)
class DemoData:
    """``name`` tells one data file from another; ``tasks`` are those read from it.

    ``seeds``: how many of the first tasks are imported with their annotations.
    """

    name: str
    title: str
    tasks: Sequence[ImportedTask]
    label_config: str
    instructions: str
    seeds: int = 0

    @property
    def gold(self) -> dict[str, Document]:
        """Text -> its document, where the file has gold for it."""
        return {task.gold.text: task.gold for task in self.tasks if task.gold is not None}


def read_data(path: Path | None) -> DemoData:
    """The sample, or a person's own file with the labels of its gold (else a few general ones).

    :raises ImportFileError: the file cannot be read.
    """
    if path is None:
        return DemoData(
            name=SAMPLE_NAME,
            title="ALLabel demo",
            tasks=read_tasks(SAMPLE),
            label_config=LABEL_CONFIG.read_text("utf-8"),
            instructions=INSTRUCTIONS.read_text("utf-8").strip(),
            seeds=SEEDS,
        )
    tasks = read_tasks(path)
    counts = Counter(span.label for task in tasks if task.gold for span in task.gold.spans)
    labels = [label for label, _ in counts.most_common()] or list(GENERAL_LABELS)
    return DemoData(str(path.resolve()), f"ALLabel demo: {path.stem}"[:50], tasks, label_config(labels), "")


def label_config(labels: Sequence[str]) -> str:
    """A labelling interface for these labels over ``$text``."""
    items = "\n".join(
        f"    <Label value={quoteattr(label)} background={quoteattr(COLOURS[i % len(COLOURS)])}/>"
        for i, label in enumerate(labels)
    )
    return (
        f'<View>\n  <Labels name="label" toName="text" showInline="true">\n{items}\n  </Labels>\n'
        '  <Text name="text" value="$text" granularity="word"/>\n</View>\n'
    )


def ensure_project(
    client: LabelStudioClient, state: DemoState, data: DemoData, on_progress: Progress
) -> tuple[int, bool]:
    """The project of this data, and whether it was made now. All gold but that of the seeds stays here."""
    known = state.projects.get(data.name)
    if known is not None:
        try:
            client.project(known)
            return known, False
        except LabelStudioNotFoundError:
            on_progress(f"Project {known} is gone from Label Studio; making a new one")
    project_id = client.create_project(data.title, data.label_config, data.instructions)
    on_progress(f"Importing {len(data.tasks)} texts")
    interface = parse_label_config(data.label_config)
    seeds = [_annotated_task(interface, task) for task in data.tasks[: data.seeds]]
    rest = [{"data": dict(task.data)} for task in data.tasks[data.seeds :]]
    client.import_tasks(project_id, [*seeds, *rest])
    state.projects[data.name] = project_id
    state.save()
    return project_id, True


def _annotated_task(interface: LabelingInterface, task: ImportedTask) -> dict[str, Any]:
    assert task.gold is not None  # noqa: S101 - the sample's own
    result = result_from_spans(interface, task.gold.text, task.gold.spans)
    return {"data": dict(task.data), "annotations": [{"result": result}]}


def gold_by_task(client: LabelStudioClient, project_id: int, data: DemoData) -> dict[int, Document]:
    """Task id -> gold, found by the task's text."""
    gold = data.gold
    return {
        task.id: gold[task.data["text"]] for task in client.tasks(project_id) if task.data.get("text") in gold
    }
