"""The product for load: a real Label Studio, Redis, backend and workers, around a scripted model."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rq import SimpleWorker

from backend.adapters.label_studio import LabelStudioClient
from backend.bootstrap import build_tools
from backend.demo.processes import free_port
from backend.demo.product import Worker, product_environment
from backend.demo.services import LabelStudioServer, RedisServer, answers, python_child
from backend.settings import read_settings
from backend.usecases.tools import Tools
from bench.postgres import LabelStudioOnPostgres, PostgresServer
from bench.processes import is_running

ROOT = Path(__file__).parents[1]
OUT = ROOT / "bench" / "out"
SETTLED = ("ready", "budget_used", "finished")


class ScriptedModel:
    """``bench.scripted_model`` in a process of its own."""

    def __init__(self, seconds: float) -> None:
        command = [sys.executable, "-m", "bench.scripted_model", str(seconds)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def set_seconds(self, seconds: float) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


@dataclass(frozen=True)
class Services:
    """What runs; ``tools`` look into its Redis, as a worker would."""

    directory: Path
    label_studio: LabelStudioServer
    environment: Mapping[str, str]
    client: LabelStudioClient
    tools: Tools
    backend_url: str
    model: ScriptedModel
    stack: ExitStack

    def start_workers(self, count: int) -> list[Worker]:
        """New workers, once they wait for work; they end with everything else unless stopped before."""
        before = len(self.worker_pids())
        workers = [Worker(self.directory, self.environment, number=before + n + 1) for n in range(count)]
        for worker in workers:
            self.stack.callback(worker.stop)
            worker.start()
        wait_for(lambda: len(self.worker_pids()) == before + count, seconds=60)
        return workers

    def worker_pids(self) -> list[int]:
        """Of those alive; RQ still knows a killed one for some minutes."""
        found = SimpleWorker.all(connection=self.tools.store.redis)
        return [worker.pid for worker in found if worker.pid and is_running(worker.pid)]

    def set_model_seconds(self, seconds: float) -> None:
        """How long the model takes for an answer from now on."""
        self.model.set_seconds(seconds)

    def call(self, method: str, path: str, **options: Any) -> Any:
        """A call of Label Studio's API that the client has no name for."""
        return self.client._http.call(method, path, **options)

    def connect(self, project_id: int, **params: object) -> None:
        self.client.connect_backend(
            project_id, url=self.backend_url, title="ALLabel", extra_params=params, auth=None
        )


def _label_studio(directory: Path, stack: ExitStack, *, postgres: bool) -> LabelStudioServer:
    environment = Path(os.environ.get("LABEL_STUDIO_ENVIRONMENT", ROOT / ".label-studio"))
    if not postgres:
        return stack.enter_context(LabelStudioServer(directory / "label-studio", environment=environment))
    database = stack.enter_context(PostgresServer(directory / "postgres"))
    return stack.enter_context(
        LabelStudioOnPostgres(directory / "label-studio", environment=environment, database=database.port)
    )


@contextmanager
def running(
    directory: Path, *, model_seconds: float, concurrency: int = 4, postgres: bool = False
) -> Iterator[Services]:
    """Everything but workers. Label Studio's environment: as for the tests."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(directory / "redis"))
        label_studio = _label_studio(directory, stack, postgres=postgres)
        port = free_port()
        environment = product_environment(port=port, redis=redis, label_studio=label_studio, model=None)
        model = stack.enter_context(ScriptedModel(model_seconds))
        environment |= {
            "OPENAI_BASE_URL": model.url,
            "OPENAI_API_KEY": "none-needed",
            "OPENAI_MODEL": "scripted",
            "OPENAI_CONCURRENCY": str(concurrency),
        }
        backend = python_child(
            "Backend",
            "timed_backend",
            [],
            log=directory / "backend.log",
            package="bench",
            extra_environment=environment,
        )
        stack.callback(backend.stop)
        backend.start()
        url = environment["BACKEND_URL"]
        backend.wait_until(lambda: answers(f"{url}/health"), seconds=60)
        client = LabelStudioClient(label_studio.base_url, label_studio.token)
        stack.callback(client.close)
        tools = build_tools(read_settings(environment))
        yield Services(directory, label_studio, environment, client, tools, url, model, stack)


def settled(services: Services, project_id: int) -> bool:
    store = services.tools.store
    return not store.dirty(project_id)[0] and store.fact(project_id, "state") in SETTLED


@contextmanager
def place(directory: Path | None) -> Iterator[Path]:
    """A directory for the services' data: the one given, else one that is removed in the end."""
    if directory is not None:
        yield directory
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def wait_for(condition: Callable[[], object], *, seconds: float, every: float = 0.2) -> float:
    """Seconds until it held."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise TimeoutError("what was waited for did not happen")
        time.sleep(every)
    return time.monotonic() - started
