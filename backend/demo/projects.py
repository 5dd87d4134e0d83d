"""The demo's project in Label Studio: made from the sample or a person's own file, then kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from allabel_core.types import Document

from ..adapters.label_studio import LabelStudioClient
from ..errors import LabelStudioNotFoundError
from ..importers import read_file
from ..importing.project import Prepared, import_tasks, prepare
from ..importing.records import ImportedFile, ImportedTask
from .processes import Progress
from .sample import INSTRUCTIONS, LABEL_CONFIG, SAMPLE, SEEDS

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
    """``name`` tells one project from another; ``prepared`` is what is imported of ``found``."""

    name: str
    title: str
    found: ImportedFile
    prepared: Prepared
    instructions: str = ""

    @property
    def label_config(self) -> str:
        return self.prepared.label_config

    @property
    def tasks(self) -> Sequence[ImportedTask]:
        return self.found.tasks

    @property
    def gold(self) -> dict[str, Document]:
        """Text -> its document, where the file has gold for it."""
        return {document.text: document for document in self.found.documents}


def read_data(
    path: Path | None,
    *,
    labels: Sequence[str] = (),
    text_field: str | None = None,
    keep_annotations: bool = True,
) -> DemoData:
    """The sample, or a person's own file with these labels, or those that it has, or a few general ones.

    ``keep_annotations``: those of the file are imported too; the sample's of its first few tasks only.

    :raises ImportFileError: the file cannot be read.
    """
    if path is None:
        sample = read_file(SAMPLE)
        return DemoData(
            name=SAMPLE_NAME,
            title="ALLabel demo",
            found=sample,
            prepared=prepare(_seeded(sample), config=LABEL_CONFIG.read_text("utf-8")),
            instructions=INSTRUCTIONS.read_text("utf-8").strip(),
        )
    found = read_file(path, text_field=text_field)
    prepared = prepare(found, labels=labels, keep_annotations=keep_annotations)
    name = str(path.resolve())
    if labels or text_field or (prepared.annotations and keep_annotations):
        # Another project than that of the same file imported otherwise.
        name = json.dumps([name, list(labels), text_field, bool(prepared.annotations)])
    return DemoData(name, f"ALLabel demo: {path.stem}"[:50], found, prepared)


def _seeded(sample: ImportedFile) -> ImportedFile:
    """With the annotations of the first few tasks only: people make the others."""
    others = (replace(task, annotations=()) for task in sample.tasks[SEEDS:])
    return replace(sample, tasks=(*sample.tasks[:SEEDS], *others))


def ensure_project(
    client: LabelStudioClient, state: DemoState, data: DemoData, on_progress: Progress
) -> tuple[int, bool]:
    """The project of this data, and whether it was made now."""
    known = state.projects.get(data.name)
    if known is not None:
        try:
            client.project(known)
            return known, False
        except LabelStudioNotFoundError:
            on_progress(f"Project {known} is gone from Label Studio; making a new one")
    project_id = client.create_project(data.title, data.label_config, data.instructions)
    on_progress(f"Importing {len(data.prepared.tasks)} texts")
    import_tasks(client, project_id, data.prepared.tasks)
    state.projects[data.name] = project_id
    state.save()
    return project_id, True


def gold_by_task(client: LabelStudioClient, project_id: int, data: DemoData) -> dict[int, Document]:
    """Task id -> gold, found by the task's text."""
    gold = data.gold
    return {
        task.id: gold[task.data["text"]] for task in client.tasks(project_id) if task.data.get("text") in gold
    }
