"""Label Studio on PostgreSQL with several processes, as its makers advise for many annotators."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path

from backend.demo.label_studio_environment import install_label_studio
from backend.demo.processes import LOOPBACK, ChildProcess, Progress, ServiceError, silent
from backend.demo.services import LabelStudioServer, Service

PROCESSES, THREADS = 2, 8
GUNICORN = "gunicorn==23.0.0"
DATABASE_USER = "postgres"


class PostgresServer(Service):
    """The system's PostgreSQL (Debian: ``apt-get install postgresql``) on a database of its own."""

    name = "PostgreSQL"

    def is_ready(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1):
                return (
                    subprocess.run([*self._command("pg_isready"), *self._address()], check=False).returncode
                    == 0
                )
        except OSError:
            return False

    def _address(self) -> list[str]:
        return ["--host", LOOPBACK, "--port", str(self.port), "--username", DATABASE_USER]

    def _create_child(self, on_progress: Progress) -> ChildProcess:
        data = self.directory / "data"
        if not data.exists():
            data.mkdir()
            if os.geteuid() == 0:
                # It refuses to run as root.
                shutil.chown(data, DATABASE_USER)
                for folder in (self.directory, *self.directory.parents[:-1]):
                    folder.chmod(folder.stat().st_mode | 0o111)
            made = [*self._command("initdb"), "--pgdata", str(data), "--username", DATABASE_USER]
            subprocess.run([*made, "--auth", "trust", "--encoding", "UTF8"], check=True, capture_output=True)
        command = [*self._command("postgres"), "-D", str(data), "-p", str(self.port)]
        command += ["-c", f"listen_addresses={LOOPBACK}", "-c", "unix_socket_directories="]
        return ChildProcess(self.name, command, log=self.log, directory=data)

    @staticmethod
    def _command(name: str) -> list[str]:
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")) or [shutil.which(name)]
        if found[-1] is None:
            raise ServiceError("PostgreSQL is not installed; on Debian: apt-get install postgresql")
        if os.geteuid():
            return [str(found[-1])]
        user = pwd.getpwnam(DATABASE_USER)
        return [
            "setpriv",
            f"--reuid={user.pw_uid}",
            f"--regid={user.pw_gid}",
            "--clear-groups",
            str(found[-1]),
        ]


class LabelStudioOnPostgres(LabelStudioServer):
    """Started once by its own command, which makes the tables and the user, then under gunicorn."""

    def __init__(self, directory: Path, port: int | None = None, *, environment: Path, database: int) -> None:
        super().__init__(directory, port, environment=environment)
        self.database = database
        self._prepared = False

    def start(self, on_progress: Progress = silent) -> LabelStudioOnPostgres:
        super().start(on_progress)
        self.stop()
        self._prepared = True
        return super().start(on_progress)

    def _create_child(self, on_progress: Progress) -> ChildProcess:
        if not self._prepared:
            return super()._create_child(on_progress)
        install_label_studio(self.environment, on_progress)
        python = str(self.environment / "bin" / "python")
        # Beside Label Studio's environment, which stays as its makers pinned it.
        extra = self.directory / "gunicorn"
        if not extra.exists():
            install = [python, "-m", "pip", "install", "--quiet", "--target", str(extra), GUNICORN]
            subprocess.run(install, check=True)
        [package] = self.environment.glob("lib/python3*/site-packages/label_studio")
        command = [python, "-m", "gunicorn", "core.wsgi:application", "--chdir", str(package)]
        command += [
            "--bind",
            f"{LOOPBACK}:{self.port}",
            "--workers",
            str(PROCESSES),
            "--threads",
            str(THREADS),
        ]
        command += ["--timeout", "120", "--access-logfile", "-"]
        environment = {**self._environment(), "PYTHONPATH": f"{extra}:{package}"}
        return ChildProcess(
            self.name, command, log=self.log, environment=environment, directory=self.directory
        )

    def _environment(self) -> dict[str, str]:
        return {
            **super()._environment(),
            "DJANGO_DB": "default",
            "DJANGO_SETTINGS_MODULE": "core.settings.label_studio",
            "POSTGRE_HOST": LOOPBACK,
            "POSTGRE_PORT": str(self.database),
            "POSTGRE_NAME": "postgres",
            "POSTGRE_USER": DATABASE_USER,
            "POSTGRE_PASSWORD": "",
        }
