"""The real thing, as `allabel demo` starts it: Label Studio, Redis, model, backend, worker."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx

from allabel_core.types import Document
from backend.adapters.label_studio import LabelStudioClient
from backend.bootstrap import build_tools
from backend.demo.processes import free_port
from backend.demo.product import BackendServer, Worker, product_environment
from backend.demo.sample import INSTRUCTIONS, LABEL_CONFIG, SAMPLE
from backend.demo.services import LabelStudioServer, ModelServer, RedisServer
from backend.importers import read_tasks
from backend.labeling.label_config import parse_label_config
from backend.labeling.results import result_from_spans
from backend.settings import read_settings
from backend.usecases.tools import Tools
from scripted_llm import Abilities, Request, ScriptedLlm

ROOT = Path(__file__).parents[1]
SHORT = 110
"""Characters. The embedded model takes ten seconds for a text of average length, on one core."""

SAMPLES: list[Document] = [
    task.gold for task in read_tasks(SAMPLE) if task.gold and len(task.gold.text) <= SHORT
]
SETTLED = ("ready", "budget_used", "finished")


@dataclass(frozen=True)
class Colleague:
    """Another annotator; ``cookies``: those of a browser in which they are logged in."""

    client: LabelStudioClient
    cookies: Mapping[str, str]


def sign_up(label_studio: LabelStudioServer, email: str) -> Colleague:
    """A new member of the organisation."""
    with httpx.Client(base_url=label_studio.base_url, timeout=60) as browser:
        page = browser.get("/user/signup/").text
        [token] = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        form = {"csrfmiddlewaretoken": token, "email": email, "password": "annotates-too"}
        browser.post("/user/signup/", data=form, headers={"Referer": label_studio.base_url})
        answer = browser.get("/api/current-user/token").raise_for_status().json()
        client = LabelStudioClient(label_studio.base_url, answer["token"])
        return Colleague(client, dict(browser.cookies))


@dataclass
class Stack:
    """Everything runs; ``tools`` look into its Redis, as a worker would."""

    directory: Path
    redis: RedisServer
    label_studio: LabelStudioServer
    model: ModelServer | None
    backend: BackendServer
    worker: Worker
    environment: Mapping[str, str]
    client: LabelStudioClient
    tools: Tools
    golds: dict[int, Document] = field(default_factory=dict)

    def project(self, title: str, documents: Sequence[Document] = SAMPLES) -> int:
        """A new project with these texts, not connected yet."""
        project_id = self.client.create_project(title, LABEL_CONFIG.read_text(), INSTRUCTIONS.read_text())
        self.add_tasks(project_id, documents)
        return project_id

    def add_tasks(self, project_id: int, documents: Sequence[Document]) -> list[int]:
        ids = self.client.import_tasks(
            project_id, [{"data": {"text": document.text}} for document in documents]
        )
        self.golds |= dict(zip(ids, documents, strict=True))
        return ids

    def connect(self, project_id: int, **params: Any) -> None:
        """As Label Studio's settings page does it, and until the first queue is complete."""
        self.client.connect_backend(
            project_id, url=self.backend.base_url, title="ALLabel", extra_params=params, auth=None
        )
        self.settle(project_id)

    def annotate(self, task_id: int) -> None:
        """Submit the gold, as a person who has corrected the suggestion."""
        started = time.monotonic()
        self.client.open_task(task_id)
        self.client.submit_annotation(task_id, self.gold_result(task_id), time.monotonic() - started)

    def gold_result(self, task_id: int) -> list[dict[str, Any]]:
        gold = self.golds[task_id]
        interface = parse_label_config(LABEL_CONFIG.read_text())
        return result_from_spans(interface, gold.text, gold.spans)

    def settle(self, project_id: int, *, seconds: float = 400) -> None:
        """Until nothing is left to rank, pre-annotate or publish."""
        store = self.tools.store

        def settled() -> bool:
            return not store.dirty(project_id)[0] and store.fact(project_id, "state") in SETTLED

        self.wait_for(lambda: settled() and self._stays(settled), seconds=seconds)

    @staticmethod
    def _stays(condition: Callable[[], bool], seconds: float = 1.5) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not condition():
                return False
            time.sleep(0.1)
        return True

    @staticmethod
    def wait_for(condition: Callable[[], object], *, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "what was waited for did not happen"
            time.sleep(0.1)

    def queue(self, project_id: int) -> list[int]:
        return [entry.task_id for entry in self.tools.store.queue(project_id)]

    def raw(self, method: str, path: str, **options: Any) -> Any:
        """A call of Label Studio's API that the client has no name for."""
        return self.client._http.call(method, path, **options)


def start(directory: Path) -> tuple[Stack, list[Callable[[], None]]]:
    """The running stack, and what stops its parts, last first."""
    environment_path = Path(os.environ.get("LABEL_STUDIO_ENVIRONMENT", ROOT / ".label-studio"))
    label_studio = LabelStudioServer(directory / "label-studio", environment=environment_path)
    model = ModelServer(directory / "model")
    stops: list[Callable[[], None]] = []
    try:
        for service in (label_studio, model):
            stops.append(service.stop)
            service.start()
        running = _start_product(directory, label_studio, stops, model=model)
    except BaseException:
        for stop in reversed(stops):
            stop()
        raise
    return running, stops


@contextmanager
def beside(stack: Stack, directory: Path, say: Callable[[Request], str]) -> Iterator[Stack]:
    """The product once more, beside the same Label Studio, with a model that answers at once: ``say``."""
    stops: list[Callable[[], None]] = []
    with ScriptedLlm(Abilities(logprobs=False)) as model:
        model.remember_requests = False
        model.say = say
        settings = {
            "OPENAI_BASE_URL": model.url,
            "OPENAI_API_KEY": "none",
            "OPENAI_MODEL": "scripted",
            "OPENAI_API_STYLE": "chat",
        }
        try:
            yield _start_product(directory, stack.label_studio, stops, **settings)
        finally:
            for stop in reversed(stops):
                stop()


def nearly_gold(request: Request) -> str:
    """What the gold marks but for one span, another one whenever the demonstrations are others.

    So every annotation makes suggestions stale.
    """
    asked = str(request.body["messages"][-1]["content"])
    gold = next((document for document in SAMPLES if document.text in asked), None)
    if gold is None:
        return "Hello!"
    prompt = json.dumps(request.body["messages"]).encode()
    left_out = crc32(prompt) % len(gold.spans) if len(gold.spans) > 1 else None
    return json.dumps(
        {
            "entities": [
                {"text": gold.text[span.start : span.end], "label": span.label}
                for place, span in enumerate(gold.spans)
                if place != left_out
            ]
        }
    )


def _start_product(
    directory: Path,
    label_studio: LabelStudioServer,
    stops: list[Callable[[], None]],
    *,
    model: ModelServer | None = None,
    **settings: str,
) -> Stack:
    """Redis, backend and worker; what stops them is appended to ``stops``."""
    redis = RedisServer(directory / "redis")
    stops.append(redis.stop)
    redis.start()
    port = free_port()
    environment = product_environment(port=port, redis=redis, label_studio=label_studio, model=model)
    environment |= settings
    backend = BackendServer(directory / "backend", port, environment)
    worker = Worker(directory / "backend", environment)
    for process in (backend, worker):
        stops.append(process.stop)
        process.start()
    client = LabelStudioClient(label_studio.base_url, label_studio.token)
    stops.append(client.close)
    tools = build_tools(read_settings(environment))
    stops.append(tools.store.redis.close)
    return Stack(directory, redis, label_studio, model, backend, worker, environment, client, tools)


def log_of(stack: Stack) -> str:
    """All that backend and worker have logged."""
    return "".join(path.read_text() for path in (stack.directory / "backend").glob("*.log"))
