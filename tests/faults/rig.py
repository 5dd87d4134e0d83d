"""The product's real processes, with a proxy of ours at every joint, beside a real Label Studio and Redis."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from allabel_core.types import Document
from backend.adapters.label_studio import LabelStudioClient
from backend.bootstrap import build_tools
from backend.demo.processes import free_port
from backend.demo.product import BackendServer, Worker
from backend.demo.sample import INSTRUCTIONS, LABEL_CONFIG
from backend.demo.services import LabelStudioServer, RedisServer
from backend.labeling.label_config import parse_label_config
from backend.labeling.results import result_from_spans
from backend.settings import read_settings
from backend.usecases.memory import SECRET_HEADER
from proxies import LOOPBACK, Call, HttpProxy, TcpProxy
from scripted_llm import Request, ScriptedLlm
from stack import SAMPLES, sign_up

SETTINGS: dict[str, Any] = {"budget": "16", "window": 6, "k": 2, "strategy": "allabel", "audit": 0}
RECONCILE_SECONDS = 10
"""Instead of 60, so that a test of what only this notices does not take a minute."""

GOLDS = {document.text: document for document in SAMPLES}


def asked_text(request: Request) -> str:
    """The text that a prompt in chat form asks about; empty where it is about none of the tasks."""
    content: str = request.body["messages"][-1]["content"]
    return next((text for text in GOLDS if text in content), "")


def gold_answer(request: Request) -> str:
    if not (text := asked_text(request)):
        return "Hello!"
    gold = GOLDS[text]
    return json.dumps(
        {"entities": [{"text": gold.text[s.start : s.end], "label": s.label} for s in gold.spans]}
    )


class Rig:
    """``redis``, ``to_label_studio``, ``to_web`` are the joints; ``tools`` look past them."""

    gold_answer = staticmethod(gold_answer)

    def __init__(self, directory: Path, label_studio: LabelStudioServer, *, workers: int = 1, webs: int = 1):
        self.directory = directory
        self.label_studio = label_studio
        self.redis_server = RedisServer(directory / "redis", persistent=True)
        self.redis_server.start()
        self.redis = TcpProxy((LOOPBACK, self.redis_server.port))
        self.to_label_studio = HttpProxy((LOOPBACK, label_studio.port))
        self.model = ScriptedLlm(delay=0.05)
        self.model.say = gold_answer
        self.model.__enter__()
        self.client = LabelStudioClient(label_studio.base_url, label_studio.token)
        self._web_ports = [free_port() for _ in range(webs)]
        self.to_web = HttpProxy((LOOPBACK, self._web_ports[0]), *((LOOPBACK, p) for p in self._web_ports[1:]))
        self.environment = self._environment()
        self.tools = build_tools(read_settings({**self.environment, **self._past_the_proxies()}))
        self.store = self.tools.store
        self.colleague = sign_up(label_studio, f"colleague-{time.time_ns()}@example.com").client
        self.submitted: dict[int, dict[int, int]] = {}
        self.webs = [self.start_web(port) for port in self._web_ports]
        self.workers = [self.start_worker() for _ in range(workers)]

    def _environment(self) -> dict[str, str]:
        return {
            "HOST": LOOPBACK,
            "BACKEND_URL": self.to_web.url,
            "REDIS_URL": f"redis://:{self.redis_server.password}@{LOOPBACK}:{self.redis.port}/0",
            "LABEL_STUDIO_URL": self.to_label_studio.url,
            "LABEL_STUDIO_API_KEY": self.label_studio.token,
            "OPENAI_BASE_URL": self.model.url,
            "OPENAI_API_KEY": "none",
            "OPENAI_MODEL": "scripted",
            "OPENAI_API_STYLE": "chat",
            "OPENAI_TIMEOUT": "5",
            "OPENAI_CONCURRENCY": "3",
            "RECONCILE_SECONDS": str(RECONCILE_SECONDS),
        }

    def _past_the_proxies(self) -> dict[str, str]:
        return {"REDIS_URL": self.redis_server.url, "LABEL_STUDIO_URL": self.label_studio.base_url}

    # -- Processes

    def start_web(self, port: int | None = None, **extra: str) -> BackendServer:
        port = port or self._web_ports[0]
        web = BackendServer(
            self.directory / f"web-{port}", port, {**self.environment, "PORT": str(port)} | extra
        )
        web.start()
        return web

    def start_worker(self, *, full_disk: bool = False, **extra: str) -> Worker:
        """``full_disk``: no line of its log can be written."""
        number = len(list(self.directory.glob("worker-*.log"))) + 1
        if full_disk:
            (self.directory / f"worker-{number}.log").symlink_to("/dev/full")
        worker = Worker(self.directory, self.environment | extra, number=number)
        worker.start()
        return worker

    def kill_worker(self, number: int = 0) -> None:
        """kill -9, and a new one as a supervisor would start it."""
        kill(self.workers[number]._child)
        self.workers[number] = self.start_worker()

    def kill_web(self) -> None:
        web = self.webs[0]
        assert web._child is not None
        kill(web._child)
        self.webs[0] = self.start_web()

    def use_token(self, token: str) -> None:
        """Of tests and of processes started from now on."""
        self.label_studio.token = self.environment["LABEL_STUDIO_API_KEY"] = token
        self.client.close()
        self.client = LabelStudioClient(self.label_studio.base_url, token)

    def stop(self) -> None:
        for process in [*self.workers, *self.webs]:
            process.stop()
        for project_id in self.submitted:
            with suppress(Exception):
                self.raw("DELETE", f"api/projects/{project_id}/")
        self.client.close()
        self.colleague.close()
        self.tools.store.redis.close()
        self.model.stop()
        for proxy in (self.to_web, self.to_label_studio, self.redis):
            proxy.close()
        self.redis_server.stop()

    def log(self) -> str:
        return "".join(path.read_text() for path in self.directory.rglob("*.log"))

    # -- People

    def project(
        self,
        title: str,
        documents: Sequence[Document] = SAMPLES[:40],
        *,
        wait: bool = True,
        **settings: Any,
    ) -> int:
        """A connected project; unless told otherwise, wait until its first queue is published.

        A colleague has its first task open then.
        """
        project_id = self.client.create_project(title, LABEL_CONFIG.read_text(), INSTRUCTIONS.read_text())
        self.submitted[project_id] = {}
        self.client.import_tasks(project_id, [{"data": {"text": document.text}} for document in documents])
        self.client.connect_backend(
            project_id, url=self.to_web.url, title="ALLabel", extra_params=SETTINGS | settings, auth=None
        )
        if wait:
            self.wait_for(lambda: self.store.fact(project_id, "state") == "ready", seconds=120)
            assert self.colleague.next_task(project_id) is not None
        return project_id

    @property
    def newest(self) -> int:
        """The project made last."""
        return max(self.submitted)

    def colleague_submits(self, project_id: int) -> None:
        """What was opened before the fault, in the page as it was opened."""
        for page in list(self.colleague._open.values()):
            if page.project_id == project_id:
                shown = page.predictions[0]["result"] if page.predictions else []
                self.colleague.submit_annotation(page.task_id, shown, 600.0)

    def annotate_next(self, project_id: int, times: int = 1) -> list[int]:
        """As an annotator: the task that is served, its gold submitted. The tasks' ids."""
        done = []
        for _ in range(times):
            found = self.client.next_task(project_id)
            assert found is not None, "Label Studio serves no task"
            self.annotate(project_id, found[0])
            done.append(found[0])
        return done

    def annotate(self, project_id: int, task_id: int) -> None:
        text = self.raw("GET", f"api/tasks/{task_id}/")["data"]["text"]
        interface = parse_label_config(LABEL_CONFIG.read_text())
        result = result_from_spans(interface, text, GOLDS[text].spans)
        self.submitted[project_id][task_id] = self.client.submit_annotation(task_id, result, 4.2)

    def webhook(self, project_id: int) -> dict[str, str]:
        """The headers with which Label Studio's webhook of this project comes."""
        return {SECRET_HEADER: self.tools.webhook_secret}

    def raw(self, method: str, path: str, **options: Any) -> Any:
        return self.client._http.call(method, path, **options)

    @staticmethod
    def wait_for(condition: Callable[[], object], *, seconds: float = 60, why: str = "") -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"what was waited for did not happen {why}"
            time.sleep(0.1)


def kill(child: Any) -> None:
    """kill -9 of the very process, not of the guard above it, and until it is gone."""
    guard = child._process.pid
    children = Path(f"/proc/{guard}/task/{guard}/children").read_text().split()
    for pid in map(int, children):
        os.kill(pid, signal.SIGKILL)
    child.stop()


def to_project(project_id: int, method: str, ending: str) -> Callable[[Call], bool]:
    """Whether a call is this method on this path below the project."""
    path = f"/api/projects/{project_id}/{ending}"
    return lambda call: call.method == method and call.path.split("?")[0] == path
