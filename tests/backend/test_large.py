"""A project of 100,000 tasks: whatever a page or a program asks for is there within a second."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from fastapi.testclient import TestClient

from backend.adapters.store import Store
from backend.app import create_app
from backend.labeling.label_config import parse_label_config
from backend.ports import QueueEntry
from backend.settings import read_settings
from backend.usecases.corpus import Corpus
from backend.usecases.corpus_map import PLACES
from backend.usecases.insight import look
from backend.usecases.tools import Tools
from fakes import LABEL_CONFIG, FakeLabelStudio, make_tools

pytestmark = pytest.mark.slow

PROJECT, TASKS = 1, 100_000
PATHS = ("", "/1", "/1/queue", "/1/tasks/77", "/1/map", "/1/consistency", "/1/review")
PAGES = ("", "/1", "/1/queue", "/1/tasks/77", "/1/map", "/1/map/points", "/1/consistency", "/1/review")


@pytest.fixture
def tools(store: Store) -> Tools:
    """As a sync leaves it, with a tenth of the tasks queued."""
    store.add_project(PROJECT)
    store.set_facts(
        PROJECT, tasks=TASKS, annotated=0, budget=TASKS // 10, state="ready", label_config=LABEL_CONFIG
    )
    for start in range(0, TASKS, 10_000):
        store.add_texts(PROJECT, {n: f"the pear of house {n}" for n in range(start + 1, start + 10_001)})
    queue = [QueueEntry(n, "coverage", "the best example so far", 1.0) for n in range(1, TASKS // 10)]
    store.save_queue(PROJECT, queue)
    places = np.random.default_rng(0).uniform(-1, 1, (TASKS, 2)).round(3).tolist()
    store.save_computed(
        PROJECT, PLACES, json.dumps([(n, x, y) for n, (x, y) in enumerate(places, 1)]).encode()
    )
    tools = make_tools(store, FakeLabelStudio({}))
    nothing = Corpus([], set(), [], [])
    look(tools, PROJECT, parse_label_config(LABEL_CONFIG), nothing, queue)
    return tools


def test_every_answer_comes_within_a_second(tools: Tools) -> None:
    with TestClient(create_app(read_settings({}), tools), base_url="http://localhost:9090") as client:
        client.get("/health")
        addresses = [f"/api/projects{path}" for path in PATHS] + [f"/projects{path}" for path in PAGES]
        seconds = {}
        for address in addresses:
            started = time.perf_counter()
            assert client.get(address).status_code == 200, address
            seconds[address] = time.perf_counter() - started
    assert max(seconds.values()) < 1, seconds
    print({address: round(taken, 3) for address, taken in seconds.items()})
