"""One project of any kind in memory, and a worker that does what is to be done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import fakes
from allabel_core.prompting import Prompt
from allabel_core.types import Span
from backend.adapters.store import Store
from backend.errors import LabelStudioNotFoundError
from backend.labeling.label_config import parse_label_config
from backend.labeling.results import result_from_spans
from backend.ports import Answer, ModelFailure, Task
from backend.usecases.connect import register
from backend.usecases.learn import learn
from backend.usecases.suggest import suggest
from backend.usecases.sync import sync
from backend.usecases.tools import Tools
from fakes import LABEL_CONFIG, FakeLabelStudio, ScriptedModel

PROJECT = 1
FRUITS = ("apple", "pear", "plum", "cherry", "quince")


class AnyLabelStudio(FakeLabelStudio):
    """Tasks with any data, under any label config; ``files``: what stands at an address."""

    def __init__(
        self,
        tasks: dict[int, dict[str, Any]],
        label_config: str = LABEL_CONFIG,
        files: dict[str, str] | None = None,
    ) -> None:
        super().__init__(dict.fromkeys(tasks, ""))
        self.data = tasks
        self.files = files or {}
        self.known = replace(self.known, label_config=label_config)

    def tasks(
        self, project_id: int, *, after: int = 0, on_page: Callable[[int, int], None] | None = None
    ) -> Iterator[Task]:
        yield from (
            Task(task_id, self.data[task_id])
            for task_id in sorted(self.data)
            if task_id in self.texts and task_id > after
        )

    def annotated_tasks(self, project_id: int, since: str = "") -> list[Task]:
        return [
            Task(task_id, self.data[task_id], tuple(self.annotations[task_id]))
            for task_id in sorted(self.annotations)
            if task_id in self.texts and self.annotations[task_id]
        ]

    def text_at(self, address: str) -> str:
        if address not in self.files:
            raise LabelStudioNotFoundError("Label Studio has no such file.")
        return self.files[address]


class FullModel(ScriptedModel):
    """Answers with whatever an ``Answer`` can hold; a bare text is an answer without more."""

    def __init__(
        self, reply: Callable[[Prompt], str | Answer | ModelFailure], *, context_window: int = 8192
    ) -> None:
        super().__init__(reply)  # type: ignore[arg-type]
        self.context_window = context_window

    def answer(
        self,
        prompts: Sequence[Prompt],
        *,
        project_id: int,
        samples: int = 1,
        on_answer: Callable[[int, Answer | ModelFailure], None] | None = None,
    ) -> list[Answer | ModelFailure]:
        self.prompts += prompts
        replies: list[Any] = [self.reply(prompt) for prompt in prompts]
        return [Answer(reply) if isinstance(reply, str) else reply for reply in replies]


def asked_text(prompt: Prompt) -> str:
    """The text that a prompt asks about."""
    return prompt.messages[-1].content.split("\n", 1)[1].rsplit("\n", 1)[0]


def entities(*pairs: tuple[str, str]) -> str:
    return json.dumps({"entities": [{"text": words, "label": label} for words, label in pairs]})


def spot_fruits(prompt: Prompt) -> str:
    """Every fruit of the text, in reading order, as often as it occurs."""
    words = asked_text(prompt).replace(".", " ").replace("\n", " ").split()
    return entities(*((word, "Fruit") for word in words if word in FRUITS))


def make_tools(
    store: Store, label_studio: FakeLabelStudio, model: ScriptedModel | None, **settings: Any
) -> Tools:
    # As if a worker were running.
    store.beat("a worker")
    return fakes.make_tools(
        store, label_studio, model, **{"budget": "20", "window": 8, "audit": 0.0} | settings
    )


def settle(tools: Tools, *, learning: bool = False) -> None:
    """What a worker would do until nothing is left to do.

    ``learning``: from annotations, too; without it, suggestions are the model's alone.
    """
    for _ in range(100):
        if tools.store.dirty(PROJECT)[0]:
            assert sync(tools, PROJECT)
            assert tools.store.fact(PROJECT, "problem") == "", tools.store.fact(PROJECT, "problem")
        elif tools.store.unclaimed(PROJECT) > 0:
            suggest(tools, PROJECT)
        elif learning and tools.store.to_learn():
            learn(tools, PROJECT)
        else:
            return
    raise AssertionError("the loop does not settle")


def connected(tools: Tools) -> Tools:
    register(tools, PROJECT, backend_url="http://backend:9090", extra_params={})
    settle(tools)
    return tools


def gold(label_studio: FakeLabelStudio, text: str, *marked: tuple[str, str]) -> list[dict[str, Any]]:
    """An annotator's result: each word at its first place."""
    interface = parse_label_config(label_studio.known.label_config)
    spans = [Span(text.index(words), text.index(words) + len(words), label) for words, label in marked]
    return result_from_spans(interface, text, spans)
