"""The product's own processes as the demo runs them: the backend and a worker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .processes import LOOPBACK, ChildProcess, Progress, silent
from .services import LabelStudioServer, ModelServer, RedisServer, Service, python_child

PACKAGE = (__package__ or "backend.demo").rpartition(".")[0]


def uses_own_endpoint(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment names a language model, so that none is embedded."""
    return bool(environment.get("OPENAI_API_KEY") or environment.get("OPENAI_BASE_URL"))


def product_environment(
    *, port: int, redis: RedisServer, label_studio: LabelStudioServer, model: ModelServer | None
) -> dict[str, str]:
    """The settings with which backend, worker and CLI find each other and the services."""
    environment = {
        "HOST": LOOPBACK,
        "PORT": str(port),
        "BACKEND_URL": f"http://{LOOPBACK}:{port}",
        "REDIS_URL": redis.url,
        "LABEL_STUDIO_URL": label_studio.base_url,
        "LABEL_STUDIO_API_KEY": label_studio.token,
    }
    if model is not None:
        environment |= {
            "OPENAI_PROVIDER": "openai",
            "OPENAI_BASE_URL": model.openai_base_url,
            "OPENAI_API_KEY": "embedded-model-needs-none",
            "OPENAI_MODEL": model.model_name,
            "OPENAI_API_STYLE": "completion",
            "OPENAI_CONCURRENCY": str(model.slots),
            "OPENAI_TIMEOUT": "300",
            "CONTEXT_WINDOW": str(model.context_tokens),
        }
    return environment


class BackendServer(Service):
    """The HTTP side, ``allabel serve``."""

    name = "Backend"
    port_option = "--port"

    def __init__(self, directory: Path, port: int, environment: Mapping[str, str]) -> None:
        super().__init__(directory, port)
        self._environment = dict(environment)

    def _create_child(self, on_progress: Progress) -> ChildProcess:
        return python_child(
            self.name, "cli", ["serve"], log=self.log, package=PACKAGE, extra_environment=self._environment
        )


class Worker:
    """An ``allabel worker``; started once Redis is up, it needs no readiness check."""

    name = "Worker"

    def __init__(self, directory: Path, environment: Mapping[str, str], *, number: int = 1) -> None:
        self.log = directory.resolve() / f"worker-{number}.log"
        self._child = python_child(
            self.name, "cli", ["worker"], log=self.log, package=PACKAGE, extra_environment=dict(environment)
        )

    def start(self, on_progress: Progress = silent) -> None:
        on_progress(f"{self.name} is starting")
        self._child.start()

    def exit_code(self) -> int | None:
        return self._child.exit_code()

    def stop(self) -> None:
        self._child.stop()
