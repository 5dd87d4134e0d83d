"""`make chaos`: people submit what Label Studio's page submits, while all around them is killed at random."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import TypeVar

import pytest

from allabel_core.types import Document
from backend.adapters.label_studio import LabelStudioClient
from backend.demo.sample import LABEL_CONFIG
from backend.demo.services import LabelStudioServer
from backend.errors import LabelStudioRejectedError, LabelStudioUnreachableError
from backend.labeling.label_config import parse_label_config
from backend.labeling.results import result_from_spans
from bench.annotators import sign_up
from figures import assert_nothing_lost, converge
from proxies import Call, DroppedError
from rig import GOLDS, SETTINGS, Rig
from stack import SAMPLES

T = TypeVar("T")

SECONDS = float(os.environ.get("ALLABEL_CHAOS_SECONDS", "900"))
SEED = int(os.environ.get("ALLABEL_CHAOS_SEED", "1"))
PEOPLE = 4
PAUSES = (1.0, 5.0)
"""Seconds over a text."""
BETWEEN_FAULTS = (3.0, 9.0)
TRIES = 20
ROUNDS = 4
"""Each text of the sample so often, told apart by a number."""

DOCUMENTS = [
    Document(f"{text.text} (no. {number})", text.spans) for number in range(1, ROUNDS + 1) for text in SAMPLES
]


@dataclass
class Work:
    """What came of it, by person and together. ``without``: asked for a task and got none."""

    saved: int = 0
    refused: int = 0
    saved_before: int = 0
    without: int = 0
    lock: Lock = field(default_factory=Lock, repr=False)


@pytest.fixture(scope="module")
def rig(label_studio: LabelStudioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Two workers and two web processes."""
    running = Rig(tmp_path_factory.mktemp("chaos"), label_studio, workers=2, webs=2)
    yield running
    running.stop()


class Person:
    """Opens what is served, takes a while, saves drafts now and then, submits; clicks again if that fails."""

    def __init__(self, rig: Rig, project_id: int, token: str, number: int) -> None:
        self._client = LabelStudioClient(rig.label_studio.base_url, token)
        self._rig = rig
        self._project_id = project_id
        self._chance = random.Random(f"{SEED} person {number}")
        self._interface = parse_label_config(LABEL_CONFIG.read_text())

    def work(self, over: Event, work: Work) -> None:
        while not over.is_set():
            self._annotate(over, work)
        self._client.close()

    def _annotate(self, over: Event, work: Work) -> None:
        served = self._again(lambda: self._client.next_task(self._project_id))
        if served is None:
            with work.lock:
                work.without += 1
            over.wait(1.0)
            return
        task_id = served[0]
        started = time.monotonic()
        text = self._again(lambda: self._rig.raw("GET", f"api/tasks/{task_id}/"))["data"]["text"]
        result = result_from_spans(self._interface, text, GOLDS[text].spans)
        time.sleep(self._chance.uniform(*PAUSES))
        if self._chance.random() < 0.2:
            self._again(lambda: self._client.save_draft(task_id, result, time.monotonic() - started))
        try:
            made = self._again(
                lambda: self._client.submit_annotation(task_id, result, time.monotonic() - started)
            )
        except LabelStudioRejectedError as error:
            with work.lock:
                # Saved by the click before, which Label Studio answered with 500: it says that it is there.
                work.saved_before += " 409 " in str(error)
                work.refused += " 409 " not in str(error)
            return
        with work.lock:
            work.saved += 1
            self._rig.submitted[self._project_id][task_id] = made

    @staticmethod
    def _again(call: Callable[[], T]) -> T:
        """Label Studio on SQLite answers 500 where two people save at once."""
        for _ in range(TRIES):
            try:
                return call()
            except LabelStudioUnreachableError:
                time.sleep(0.5)
        return call()


class Monkey:
    """One fault after the other, each over before the next one."""

    def __init__(self, rig: Rig, project_id: int) -> None:
        self._rig = rig
        self._project_id = project_id
        self._chance = random.Random(f"{SEED} faults")
        self._faults = {
            self._kill_worker: 8,
            self._kill_web: 3,
            self._restart_redis: 1,
            self._lose_redis: 1,
            self._lose_webhooks: 2,
            self._break_label_studio: 2,
            self._break_model: 2,
            self._delete_a_prediction: 1,
        }
        self.done: Counter[str] = Counter()

    def work(self, over: Event) -> None:
        while not over.wait(self._chance.uniform(*BETWEEN_FAULTS)):
            [fault] = self._chance.choices(list(self._faults), list(self._faults.values()))
            fault()
            self.done[fault.__name__.strip("_").replace("_", " ")] += 1

    def _kill_worker(self) -> None:
        self._rig.kill_worker(self._chance.randrange(len(self._rig.workers)))

    def _kill_web(self) -> None:
        self._rig.kill_web()

    def _restart_redis(self) -> None:
        self._rig.redis_server.stop()
        self._rig.redis_server.start()

    def _lose_redis(self) -> None:
        self._rig.redis.go_down()
        time.sleep(self._chance.uniform(1, 8))
        self._rig.redis.come_up()

    def _lose_webhooks(self) -> None:
        def lose(call: Call) -> None:
            if call.path == "/webhook":
                raise DroppedError

        self._rig.to_web.before = lose
        time.sleep(self._chance.uniform(1, 8))
        self._rig.to_web.heal()

    def _break_label_studio(self) -> None:
        def cut(_: Call) -> None:
            if self._chance.random() < 0.5:
                raise DroppedError

        self._rig.to_label_studio.before = self._rig.to_label_studio.after = cut
        time.sleep(self._chance.uniform(1, 8))
        self._rig.to_label_studio.heal()

    def _break_model(self) -> None:
        delay, self._rig.model.delay = self._rig.model.delay, 4.0
        time.sleep(self._chance.uniform(1, 8))
        self._rig.model.delay = delay

    def _delete_a_prediction(self) -> None:
        there = self._rig.client.predictions(self._project_id)
        unopened = [each for each in there if each.score > 0.5]
        if unopened:
            self._rig.client.delete_prediction(self._chance.choice(unopened).id)


def test_people_lose_nothing_whatever_is_killed(rig: Rig) -> None:
    GOLDS.update({document.text: document for document in DOCUMENTS})
    SETTINGS["budget"] = str(len(DOCUMENTS) * 3 // 4)
    project_id = rig.project("Chaos", DOCUMENTS)
    rig.model.answered.clear()
    tokens = sign_up(rig.label_studio.base_url, PEOPLE)
    people = [Person(rig, project_id, token, number) for number, token in enumerate(tokens)]
    over, work, monkey = Event(), Work(), Monkey(rig, project_id)
    with ThreadPoolExecutor(PEOPLE + 1) as pool:
        busy = [pool.submit(person.work, over, work) for person in people]
        busy.append(pool.submit(monkey.work, over))
        over.wait(SECONDS)
        over.set()
        for each in busy:
            each.result()
    faults = ", ".join(f"{count} {name}" for name, count in sorted(monkey.done.items()))
    print(f"\n{work.saved} saved, {work.refused} refused, {work.without} times no task; {faults}")
    figures = converge(rig, project_id, f"{sum(monkey.done.values())} faults at random", within=300)
    assert work.saved > SECONDS / 60
    assert (work.refused, work.without) == (0, 0)
    assert_nothing_lost(figures)
