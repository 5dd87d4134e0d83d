"""Every page of a project with 100,000 tasks costs less than a quarter of a second."""

from __future__ import annotations

import json
import time

import pytest
from fastapi.testclient import TestClient
from redis import Redis

from allabel_core.types import Document, Span
from backend.adapters.store import Store
from backend.app import create_app
from backend.ports import AnnotatedTask, QueueEntry, Submission, Suggestion, Witness
from backend.settings import read_settings
from backend.usecases import corpus_map, review
from backend.usecases.figures import CurvePoint, Quality, Score, StageProgress
from backend.usecases.insight import INSIGHT_JSON, Insight
from fakes import LABEL_CONFIG, FakeLabelStudio, make_tools

pytestmark = pytest.mark.slow

TASKS, BUDGET, ANNOTATED = 100_000, 10_000, 2_000
PROJECT = 1


@pytest.fixture
def client(redis: Redis) -> TestClient:
    store = Store(redis)
    _fill(store)
    return TestClient(
        create_app(read_settings({}), make_tools(store, FakeLabelStudio({}))),
        base_url="http://localhost:9090",
    )


def _fill(store: Store) -> None:
    """What the worker would have left behind, of the size that it would have."""
    store.add_project(PROJECT)
    store.set_facts(PROJECT, state="ready", tasks=TASKS, budget=BUDGET, annotated=ANNOTATED, title="Large")
    store.set_facts(PROJECT, label_config=LABEL_CONFIG)
    text = "an apple beside the pears of the old garden, and a hedgehog under the tree at night " * 4
    store.add_texts(PROJECT, {n: f"{n} {text}" for n in range(1, TASKS + 1)})
    done = range(1, ANNOTATED + 1)
    document = Document(f"1 {text}", tuple(Span(5 + i, 10 + i, "Fruit") for i in range(0, 60, 6)))
    store.save_annotated(
        PROJECT,
        [
            AnnotatedTask(n, "2026-01-01", 1, (Submission(n, n, "2026-01-01", 1, 9.0, document, True),))
            for n in done
        ],
        [],
        "2026-01-01",
    )
    store.save_done(PROJECT, done)
    store.save_witnesses(PROJECT, [Witness(n, n, result=[]) for n in done])
    queue = range(ANNOTATED + 1, BUDGET + 1)
    entries = [QueueEntry(n, "similarity", "nearest to 41 texts", 41.0, 41, 1, 0.5) for n in queue]
    store.save_queue(PROJECT, entries)
    store.save_suggestions(PROJECT, [Suggestion(n, [], "r", [1, 2, 3]) for n in queue[:25]])
    insight = Insight(
        stages=[StageProgress("similarity", ANNOTATED, 25, BUDGET - ANNOTATED - 25)],
        quality=Quality(
            assisted=Score(0.8, 0.8, 0.8, 0.7, 0.9, ANNOTATED),
            curve=[CurvePoint(n, 0.7, 0.6, 0.8) for n in range(20, ANNOTATED, 20)],
        ),
    )
    store.save_computed(PROJECT, "insight", INSIGHT_JSON.dump_json(insight))
    points = [(n / TASKS, -n / TASKS, n, "rest") for n in range(1, TASKS + 1)]
    store.save_computed(PROJECT, corpus_map.MAP, json.dumps({"computed": True, "points": points}).encode())
    store.save_computed(PROJECT, corpus_map.COUNTS, json.dumps({"rest": TASKS}).encode())
    rows = [(n, 1.5, 0.2, 7) for n in range(BUDGET, BUDGET + review.MOST)]
    store.save_computed(PROJECT, review.NAME, json.dumps(rows).encode())


def _seconds(client: TestClient, path: str) -> float:
    started = time.process_time()
    assert client.get(path).status_code == 200
    return time.process_time() - started


def test_no_page_costs_a_quarter_of_a_second(client: TestClient) -> None:
    pages = ("", "/queue", "/tasks/5", "/tasks/5000", "/map", "/map/points", "/consistency", "/review")
    # The least of three: what else the process does at the time, collecting garbage say, is no page's cost.
    seconds = {page: min(_seconds(client, f"/projects/1{page}") for _ in range(3)) for page in pages}
    print({page: round(each, 3) for page, each in seconds.items()})
    assert max(seconds.values()) < 0.25
