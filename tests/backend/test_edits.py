"""Texts that are edited or gone after the import: nothing made of another text is shown or learnt from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event as Signal
from threading import Thread

import pytest
from projects import PROJECT, AnyLabelStudio, FullModel, connected, gold, make_tools, settle, spot_fruits

from allabel_core.types import Document, Span
from backend.adapters.store import Store
from backend.errors import LabelStudioFailingError, LabelStudioUnreachableError
from backend.ports import Task
from backend.usecases import predict as predict_module
from backend.usecases.predict import predict
from backend.usecases.reconcile import reconcile
from backend.usecases.report import report
from backend.usecases.suggest import suggest
from backend.usecases.sync import sync
from backend.usecases.tools import Tools
from fakes import LABEL_CONFIG

BY_ADDRESS = LABEL_CONFIG.replace('value="$text"', 'value="$text" valueType="url"')
TASKS = {n: {"text": f"an apple no {n}"} for n in range(1, 7)}
NEW = {"text": "yesterday, in the garden, a pear fell"}


class EditedLabelStudio(AnyLabelStudio):
    """Knows when a task was changed, as the real one does; ``failing``: addresses it answers with 500 for."""

    def __init__(self, tasks: dict[int, dict[str, object]], label_config: str = LABEL_CONFIG) -> None:
        super().__init__({task_id: dict(data) for task_id, data in tasks.items()}, label_config)
        self.changed_at = dict.fromkeys(tasks, "2026-01-01T00:00:00.000001Z")
        self.failing: set[str] = set()
        self.away = False

    def edit(self, task_id: int, data: dict[str, object]) -> None:
        self.data[task_id] = data
        self.changed_at[task_id] = "2026-01-02T00:00:00.000001Z"

    def tasks(
        self, project_id: int, *, after: int = 0, on_page: Callable[[int, int], None] | None = None
    ) -> Iterator[Task]:
        for task in super().tasks(project_id, after=after):
            yield replace(task, updated_at=self.changed_at[task.id])

    def text_at(self, address: str) -> str:
        if self.away:
            raise LabelStudioUnreachableError("Label Studio does not answer.")
        if address in self.failing:
            raise LabelStudioFailingError("Label Studio is failing (500)")
        return super().text_at(address)

    def reachable(self, seconds: float) -> None:
        if self.away:
            raise LabelStudioUnreachableError("Label Studio does not answer.")


@pytest.fixture
def label_studio() -> EditedLabelStudio:
    return EditedLabelStudio(TASKS)


@pytest.fixture
def tools(store: Store, label_studio: EditedLabelStudio) -> Tools:
    return connected(make_tools(store, label_studio, FullModel(spot_fruits), budget="6"))


def words(label_studio: EditedLabelStudio, task_id: int) -> list[str]:
    return [region["value"]["text"] for region in label_studio.shown(task_id)]


def test_a_text_edited_without_a_webhook_is_found_by_reconciling(
    tools: Tools, label_studio: EditedLabelStudio
) -> None:
    assert words(label_studio, 3) == ["apple"]
    label_studio.edit(3, NEW)
    reconcile(tools)
    settle(tools)
    assert tools.store.some_texts(PROJECT, [3]) == {3: NEW["text"]}
    assert words(label_studio, 3) == ["pear"]


def test_between_the_edit_and_the_new_answer_nothing_of_the_old_text_is_served(
    tools: Tools, label_studio: EditedLabelStudio
) -> None:
    label_studio.edit(3, NEW)
    tools.store.mark_dirty(PROJECT, "edited")
    assert sync(tools, PROJECT)
    assert words(label_studio, 3) == []
    assert tools.store.wanted(PROJECT) == [3]


def test_an_annotation_of_an_edited_text_is_a_demonstration_of_the_new_one(
    tools: Tools, label_studio: EditedLabelStudio
) -> None:
    label_studio.edit(3, NEW)
    label_studio.annotate(3, gold(label_studio, NEW["text"], ("pear", "Fruit")))
    tools.store.mark_dirty(PROJECT, "annotations")
    settle(tools)
    (shown,) = tools.store.demonstrations(PROJECT)
    assert shown.document == Document(NEW["text"], (Span(28, 32, "Fruit"),))


def test_a_demonstration_whose_text_is_edited_later_has_no_words_of_the_old_one(
    tools: Tools, label_studio: EditedLabelStudio
) -> None:
    label_studio.annotate(3, gold(label_studio, TASKS[3]["text"], ("apple", "Fruit")))
    tools.store.mark_dirty(PROJECT, "annotations")
    settle(tools)
    label_studio.edit(3, NEW)
    reconcile(tools)
    settle(tools)
    (shown,) = tools.store.demonstrations(PROJECT)
    assert shown.document == Document(NEW["text"])
    assert any("words are not at their offsets" in notice for notice in report(tools, PROJECT).notices)


def test_predict_never_answers_with_words_of_another_text(
    tools: Tools, label_studio: EditedLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_module, "ANSWER_WITHIN", 0.3)
    elsewhere = {"text": "their Berlin and nobody else"}
    [answer] = predict(tools, PROJECT, [(3, elsewhere)], label_config=LABEL_CONFIG)
    assert answer["result"] == []
    assert tools.store.some_texts(PROJECT, [3]) == {3: TASKS[3]["text"]}
    assert "edited" in tools.store.dirty(PROJECT)[0]


def test_predict_waits_until_an_edited_text_has_been_read_and_asked_about(
    tools: Tools, label_studio: EditedLabelStudio
) -> None:
    label_studio.edit(3, NEW)
    done = Signal()

    def work() -> None:
        while not done.wait(0.01):
            sync(tools, PROJECT)
            suggest(tools, PROJECT)

    worker = Thread(target=work)
    worker.start()
    [answer] = predict(tools, PROJECT, [(3, NEW)], label_config=LABEL_CONFIG)
    done.set()
    worker.join()
    assert [region["value"]["text"] for region in answer["result"]] == ["pear"]


def test_one_file_that_is_gone_leaves_out_its_task_by_name(store: Store) -> None:
    addresses = {1: "/data/upload/1/a.txt", 2: "/data/upload/1/none.txt", 3: "/data/upload/1/c.txt"}
    label_studio = EditedLabelStudio({n: {"text": address} for n, address in addresses.items()}, BY_ADDRESS)
    label_studio.files = {addresses[1]: "an apple", addresses[3]: "a pear"}
    label_studio.failing = {addresses[2]}
    tools = connected(make_tools(store, label_studio, FullModel(spot_fruits)))
    found = report(tools, PROJECT)
    assert (found.state, found.problem, found.tasks, found.unusable_tasks) == ("ready", "", 2, 1)
    assert "Task 2:" in found.unusable_reason
    assert addresses[2] in found.unusable_reason
    label_studio.failing = set()
    label_studio.files[addresses[2]] = "a plum"
    tools.store.mark_dirty(PROJECT, "tasks")
    settle(tools)
    found = report(tools, PROJECT)
    assert (found.tasks, found.unusable_tasks, found.unusable_reason) == (3, 0, "")


def test_a_label_studio_that_is_away_leaves_out_no_task(store: Store) -> None:
    label_studio = EditedLabelStudio({1: {"text": "/data/a"}}, BY_ADDRESS)
    label_studio.failing = {"/data/a"}
    label_studio.away = True
    tools = make_tools(store, label_studio, FullModel(spot_fruits))
    store.add_project(PROJECT)
    store.mark_dirty(PROJECT, "tasks")
    sync(tools, PROJECT)
    assert store.fact(PROJECT, "state") == "degraded"
    assert store.task_counts(PROJECT) == (0, 0)
