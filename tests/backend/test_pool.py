"""Reading a project: nothing is read twice that need not be, nothing that has changed is missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from projects import PROJECT

from backend.adapters.store import Store
from backend.errors import LabelStudioUnreachableError
from backend.ports import Annotation, Task
from backend.usecases import pool
from backend.usecases.connect import register
from backend.usecases.events import Event, receive
from backend.usecases.sync import sync
from backend.usecases.tools import Tools
from fakes import FakeLabelStudio, make_tools

TEXTS = {task_id: f"text {task_id}" for task_id in range(1, 36)}


class PagedLabelStudio(FakeLabelStudio):
    """Notes which tasks were read, breaks off after ``patience`` of them, knows when tasks changed."""

    def __init__(self, texts: dict[int, str]) -> None:
        super().__init__(texts)
        self.read: list[int] = []
        self.read_annotated: list[int] = []
        self.patience = 1000
        self.changed_at = dict.fromkeys(texts, "")
        self.clock = 0

    def tasks(
        self, project_id: int, *, after: int = 0, on_page: Callable[[int, int], None] | None = None
    ) -> Iterator[Task]:
        total = sum(task_id > after for task_id in self.texts)
        for done, task in enumerate(super().tasks(project_id, after=after)):
            if len(self.read) >= self.patience:
                raise LabelStudioUnreachableError("Label Studio does not answer.")
            self.read.append(task.id)
            if on_page:
                on_page(done + 1, total)
            yield task

    def annotated_tasks(self, project_id: int, since: str = "") -> list[Task]:
        found = [
            replace(task, updated_at=self.changed_at[task.id])
            for task in super().annotated_tasks(project_id)
            if task.annotations and self.changed_at[task.id] > since
        ]
        self.read_annotated += [task.id for task in found]
        return found

    def changed(self, task_id: int) -> None:
        self.clock += 1
        self.changed_at[task_id] = f"2026-01-01T00:00:{self.clock:02d}Z"

    def submit(self, task_id: int) -> None:
        self.annotate(task_id, [])
        self.changed(task_id)


@pytest.fixture
def label_studio(monkeypatch: pytest.MonkeyPatch) -> PagedLabelStudio:
    monkeypatch.setattr(pool, "TASKS_AT_ONCE", 10)
    return PagedLabelStudio(TEXTS)


@pytest.fixture
def tools(store: Store, label_studio: PagedLabelStudio) -> Tools:
    return make_tools(store, label_studio, budget="20")


def connect(tools: Tools) -> None:
    register(tools, PROJECT, backend_url="http://b", extra_params={})
    sync(tools, PROJECT)


def synced(tools: Tools, kind: str = "reconcile") -> None:
    tools.store.mark_dirty(PROJECT, kind)
    sync(tools, PROJECT)
    assert tools.store.fact(PROJECT, "problem") == ""


def demonstrations(tools: Tools) -> list[int]:
    return [shown.task_id for shown in tools.store.demonstrations(PROJECT)]


def test_a_reading_that_breaks_off_goes_on_where_it_stopped(
    tools: Tools, label_studio: PagedLabelStudio
) -> None:
    label_studio.patience = 25
    connect(tools)
    assert tools.store.fact(PROJECT, "problem") == "Label Studio does not answer."
    assert sorted(tools.store.texts(PROJECT)) == list(range(1, 21))
    assert tools.store.queue(PROJECT) == []

    label_studio.patience = 1000
    label_studio.read.clear()
    synced(tools)
    assert label_studio.read == list(range(21, 36))
    assert tools.store.texts(PROJECT) == TEXTS
    assert tools.store.queue_length(PROJECT) == 20


def test_progress_counts_what_was_read_before(tools: Tools, label_studio: PagedLabelStudio) -> None:
    seen: list[tuple[int, int]] = []
    watching = replace(tools, on_progress=lambda _, done, total: seen.append((done, total)))
    label_studio.patience = 20
    connect(watching)
    label_studio.patience = 1000
    seen.clear()
    synced(watching)
    assert seen[0] == (21, 35)
    assert (35, 35) in seen


def test_what_was_deleted_or_made_between_two_readings_is_noticed(
    tools: Tools, label_studio: PagedLabelStudio
) -> None:
    label_studio.patience = 25
    connect(tools)
    label_studio.patience = 1000
    del label_studio.texts[3], label_studio.texts[30]
    label_studio.texts[36] = "text 36"
    # The first two may still try to make a place for a task that is no more, which has all tasks read.
    for _ in range(2):
        tools.store.mark_dirty(PROJECT, "reconcile")
        sync(tools, PROJECT)
    synced(tools)
    assert tools.store.texts(PROJECT) == label_studio.texts


def test_a_new_request_starts_from_the_beginning(tools: Tools, label_studio: PagedLabelStudio) -> None:
    label_studio.patience = 25
    connect(tools)
    label_studio.patience = 1000
    label_studio.texts[1] = "another text"
    synced(tools, "tasks")
    assert tools.store.texts(PROJECT)[1] == "another text"


def test_a_new_label_config_reads_all_texts_anew(tools: Tools, label_studio: PagedLabelStudio) -> None:
    connect(tools)
    label_studio.read.clear()
    label_studio.known = replace(label_studio.known, label_config=label_studio.known.label_config + " ")
    synced(tools, "project")
    assert label_studio.read == list(TEXTS)


def test_new_tasks_alone_are_read(tools: Tools, label_studio: PagedLabelStudio) -> None:
    connect(tools)
    label_studio.read.clear()
    label_studio.texts |= {40: "forty", 41: "forty-one"}
    receive(tools, Event("TASKS_CREATED", PROJECT))
    sync(tools, PROJECT)
    assert label_studio.read == [40, 41]
    assert tools.store.texts(PROJECT) == label_studio.texts


def test_deleted_tasks_are_forgotten_without_reading_the_others(
    tools: Tools, label_studio: PagedLabelStudio
) -> None:
    connect(tools)
    label_studio.read.clear()
    del label_studio.texts[7]
    receive(tools, Event("TASKS_DELETED", PROJECT, (7,)))
    sync(tools, PROJECT)
    assert label_studio.read == []
    assert tools.store.texts(PROJECT) == label_studio.texts
    assert 7 not in [entry.task_id for entry in tools.store.queue(PROJECT)]


def test_deletions_that_we_were_not_told_of_are_found(tools: Tools, label_studio: PagedLabelStudio) -> None:
    connect(tools)
    del label_studio.texts[7]
    label_studio.texts[50] = "fifty"
    label_studio.texts[51] = "fifty-one"
    synced(tools)
    assert tools.store.texts(PROJECT) == label_studio.texts


def test_only_changed_annotations_are_read(tools: Tools, label_studio: PagedLabelStudio) -> None:
    for task_id in (4, 2, 9):
        label_studio.submit(task_id)
    connect(tools)
    label_studio.changed_at[5] = "2026"
    label_studio.read_annotated.clear()
    label_studio.submit(8)
    synced(tools)
    assert label_studio.read_annotated == [8]
    assert demonstrations(tools) == [4, 2, 9, 8]


def test_a_corrected_annotation_takes_the_place_of_the_old_one(
    tools: Tools, label_studio: PagedLabelStudio
) -> None:
    label_studio.submit(4)
    label_studio.submit(2)
    connect(tools)
    [before] = label_studio.annotations[4]
    region = {"value": {"start": 0, "end": 4, "text": "text", "labels": ["Fruit"]}, "type": "labels"}
    result = [{**region, "id": "a", "from_name": "label", "to_name": "text"}]
    label_studio.annotations[4] = [replace(before, result=result, updated_at="2026-02-01T00:00:00Z")]
    label_studio.changed(4)
    synced(tools)
    first, _ = tools.store.demonstrations(PROJECT)
    assert (first.task_id, [span.label for span in first.document.spans]) == (4, ["Fruit"])


@pytest.mark.parametrize("left", [[], [Annotation(99, [], "2026", "2026", True, False, 1.0, 1)]])
def test_a_deleted_annotation_is_noticed_by_the_number_of_them(
    tools: Tools, label_studio: PagedLabelStudio, left: list[Annotation]
) -> None:
    for task_id in (4, 2, 9):
        label_studio.submit(task_id)
    label_studio.submit(2)
    connect(tools)
    label_studio.annotations[2] = left
    synced(tools)
    assert demonstrations(tools) == [4, 9]
    assert tools.store.done(PROJECT) == ({2, 4, 9} if left else {4, 9})


def test_a_task_annotated_before_we_heard_of_it_counts(tools: Tools, label_studio: PagedLabelStudio) -> None:
    connect(tools)
    label_studio.texts[60] = "sixty"
    label_studio.submit(60)
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    sync(tools, PROJECT)
    assert demonstrations(tools) == [60]
