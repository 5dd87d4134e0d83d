"""The containers, run for real by `make test-compose`: the whole loop, several workers, a crash, a restart.

The model is a scripted server in a container of its own (gold_model.py); everything else is as users
get it. The tests build on each other.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from allabel_core.types import Span
from backend.adapters.label_studio import LabelStudioClient
from backend.demo.processes import free_port
from backend.demo.sample import INSTRUCTIONS, LABEL_CONFIG
from backend.labeling.label_config import parse_label_config
from backend.labeling.results import document_from_annotation, result_from_spans
from stack import ROOT, SAMPLES

pytestmark = pytest.mark.skipif("ALLABEL_TEST_COMPOSE" not in os.environ, reason="make test-compose runs it")

TEXTS = SAMPLES[:160]
INTERFACE = parse_label_config(LABEL_CONFIG.read_text())
AUTH = ("label-studio", "pass-of-the-test")
TOKEN = "a-token-for-the-test-of-containers"


@dataclass
class Containers:
    """``compose`` runs a command of Docker Compose on the project under test, and returns what it prints."""

    command: list[str]
    backend: httpx.Client
    label_studio: LabelStudioClient
    project_id: int = 0

    def compose(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self.command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    def ids(self, service: str) -> list[str]:
        return self.compose("ps", "-q", service).split()

    def healthy(self, *services: str) -> bool:
        found = [inspect(container)["State"] for name in services for container in self.ids(name)]
        return bool(found) and all(state.get("Health", {}).get("Status") == "healthy" for state in found)

    def report(self) -> dict[str, Any]:
        answer = self.backend.get(f"/api/projects/{self.project_id}")
        return dict(answer.raise_for_status().json())

    def settle(self, state: str, **figures: int) -> dict[str, Any]:
        """Until the project is in this state with these figures, a second long."""

        def settled() -> bool:
            found = self.report()
            assert not found["problem"], found["problem"]
            return found["state"] == state and all(found[name] == value for name, value in figures.items())

        wait_for(lambda: settled() and (time.sleep(1) or settled()), seconds=240)
        return self.report()

    def queue(self) -> list[int]:
        answer = self.backend.get(f"/api/projects/{self.project_id}/queue", params={"limit": 1000})
        return [task["task_id"] for task in answer.raise_for_status().json()]

    def annotate_next(self) -> int:
        """As an annotator does who takes the task that is served and submits the right spans."""
        found = self.label_studio.next_task(self.project_id)
        assert found is not None
        task_id, predictions = found
        assert predictions
        text = self.label_studio._http.call("GET", f"api/tasks/{task_id}/")["data"]["text"]
        gold = next(document for document in TEXTS if document.text == text)
        self.label_studio.submit_annotation(task_id, result_from_spans(INTERFACE, gold.text, gold.spans))
        return task_id

    def suggested(self) -> dict[str, tuple[Span, ...]]:
        """The spans that Label Studio holds as predictions, by text."""
        answer = self.label_studio._http.call(
            "GET", "api/tasks/", params={"project": self.project_id, "fields": "all", "page_size": 1000}
        )
        return {
            (text := task["data"]["text"]): document_from_annotation(INTERFACE, text, shown["result"]).spans
            for task in answer["tasks"]
            for shown in task["predictions"]
        }


def inspect(container: str) -> dict[str, Any]:
    return dict(json.loads(subprocess.check_output(["docker", "inspect", container]))[0])


def wait_for(condition: Callable[[], object], *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.5)


def compose_command() -> list[str]:
    """Docker Compose, as a part of Docker or the older program of its own."""
    known = subprocess.run(["docker", "compose", "version"], capture_output=True)
    return (
        ["docker", "compose"]
        if known.returncode == 0
        else [shutil.which("docker-compose") or "docker-compose"]
    )


def environment(directory: Path, **changes: object) -> Path:
    """`.env.example` with a few values put in."""
    text = (ROOT / ".env.example").read_text()
    for name, value in changes.items():
        text, found = re.subn(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        assert found == 1, name
    path = directory / "env"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    port, label_studio_port = free_port(), free_port()
    env_file = environment(
        tmp_path_factory.mktemp("compose"),
        PORT=port,
        LABEL_STUDIO_PORT=label_studio_port,
        LABEL_STUDIO_API_KEY=TOKEN,
        BASIC_AUTH_USER=AUTH[0],
        BASIC_AUTH_PASS=AUTH[1],
        REDIS_PASSWORD="another",
        OPENAI_BASE_URL="http://model:8000/v1",
        OPENAI_API_KEY="none",
    )
    command = [*compose_command(), "--project-name", "allabel-test", "--env-file", str(env_file)]
    for file in ("docker-compose.yml", "tests/compose/docker-compose.test.yml"):
        command += ["--file", str(ROOT / file)]
    backend = httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=AUTH, timeout=30)
    label_studio = LabelStudioClient(f"http://127.0.0.1:{label_studio_port}", TOKEN)
    running = Containers(command, backend, label_studio)
    try:
        running.compose("build")
        running.compose("up", "--detach")
        yield running
    finally:
        every_profile = ("--profile", "label-studio", "--profile", "dask")
        running.compose(*every_profile, "down", "--volumes", "--timeout", "20")
        label_studio.close()
        backend.close()


def test_all_become_healthy(containers: Containers) -> None:
    services = ("backend", "worker", "redis", "label-studio")
    wait_for(lambda: containers.healthy(*services), seconds=550)


def test_nothing_runs_as_root_or_can_be_written_to(containers: Containers) -> None:
    for service in ("backend", "worker"):
        assert containers.compose("exec", "-T", service, "id", "-u").strip() == "10001"
        tried = "touch /opt/allabel/x 2>/dev/null || echo refused"
        assert containers.compose("exec", "-T", service, "sh", "-c", tried).strip() == "refused"


def test_connecting_ranks_and_publishes(containers: Containers) -> None:
    studio = containers.label_studio
    project_id = studio.create_project("Containers", LABEL_CONFIG.read_text(), INSTRUCTIONS.read_text())
    containers.project_id = project_id
    studio.import_tasks(project_id, [{"data": {"text": document.text}} for document in TEXTS])
    params = {"budget": "10", "window": 8}
    studio.connect_backend(
        project_id, url="http://allabel.internal:9090", title="ALLabel", extra_params=params, auth=AUTH
    )
    wait_for(lambda: containers.backend.get(f"/api/projects/{project_id}").status_code == 200, seconds=60)
    containers.settle("ready", annotated=0, tasks=len(TEXTS), published=8)
    gold = {document.text: document.spans for document in TEXTS}
    suggested = containers.suggested()
    assert len(suggested) == 8
    # The model says words and labels; where a text has a word twice, gold may mean one of them.
    exact = sum(set(spans) >= set(gold[text]) for text, spans in suggested.items())
    assert exact >= 7


def test_annotating_in_the_order_served_ranks_again(containers: Containers) -> None:
    rankings = containers.report()["rankings"]
    queue = containers.queue()
    assert [containers.annotate_next() for _ in range(4)] == queue[:4]
    report = containers.settle("ready", annotated=4)
    assert report["rankings"] > rankings
    assert containers.queue() == queue[4:]


def test_everything_restarts_with_its_data(containers: Containers) -> None:
    before, queue, suggested = containers.report(), containers.queue(), containers.suggested()
    containers.compose("down")
    containers.compose("up", "--detach")
    wait_for(lambda: containers.healthy("backend", "redis", "label-studio"), seconds=400)
    after = containers.settle("ready", annotated=4)
    kept = ("annotated", "budget", "tasks", "queued", "published", "version", "spending")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert (containers.queue(), containers.suggested()) == (queue, suggested)
    assert containers.annotate_next() == queue[0]
    containers.settle("ready", annotated=5)


def test_three_workers_finish_though_one_is_killed(containers: Containers) -> None:
    containers.compose("up", "--detach", "--scale", "worker=3")
    wait_for(lambda: containers.healthy("worker"), seconds=300)
    workers = containers.ids("worker")
    assert len(workers) == 3
    containers.compose("exec", "-T", "-d", "backend", "allabel", "finish", str(containers.project_id))
    wait_for(lambda: containers.report()["state"] == "finishing", seconds=60)
    time.sleep(3)
    subprocess.run(["docker", "kill", workers[0]], check=True, capture_output=True)
    containers.settle("finished")
    assert len(containers.suggested()) == len(TEXTS) - 5
    containers.compose("up", "--detach", "--scale", "worker=3")
    assert set(containers.ids("worker")) == set(workers)


def test_a_worker_that_ends_is_started_again(containers: Containers) -> None:
    worker = containers.ids("worker")[-1]
    subprocess.run(["docker", "exec", worker, "sh", "-c", "kill -TERM 1"], check=True)
    wait_for(lambda: inspect(worker)["RestartCount"] == 1, seconds=120)
    wait_for(lambda: inspect(worker)["State"]["Running"], seconds=30)


def test_a_dask_cluster_gives_the_same_queue(containers: Containers) -> None:
    containers.compose("--profile", "dask", "up", "--detach", "dask-scheduler", "dask-worker")
    program = """if True:
        from distributed import Client
        from allabel_core import Bm25, select
        from allabel_core.similarity.distributed import Distributed
        cluster = "tcp://dask-scheduler:8786"
        with Client(cluster, timeout=60) as client:
            client.wait_for_workers(1, timeout=120)
        texts = [f"word{i % 7} word{i % 11} word{i % 13} other{i}" for i in range(400)]
        with Distributed(Bm25(texts), cluster) as similarity:
            print(select(texts, 20, similarity=similarity).order == select(texts, 20).order)
    """
    assert containers.compose("exec", "-T", "backend", "python3", "-c", program).strip() == "True"


def test_they_stop_of_their_own_accord(containers: Containers) -> None:
    running = [*containers.ids("backend"), *containers.ids("worker"), *containers.ids("redis")]
    containers.compose("stop", "backend", "worker", "redis")
    # 143: ended by SIGTERM, not killed.
    assert {inspect(container)["State"]["ExitCode"] for container in running} <= {0, 143}
