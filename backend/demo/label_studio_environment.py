"""Label Studio in a virtual environment of its own: it pins redis, rq, openai and others."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from .processes import Progress, ServiceError, silent

LABEL_STUDIO_VERSION = "1.23.2"
PACKAGES = 110
DOWNLOADED = 0.5
"""Of its first start, installation included, the share after which all packages are there."""
LOG_LINES_SHOWN = 12
COMPILER_SIGNS = (
    "command 'gcc' failed",
    "command 'cc' failed",
    "Microsoft Visual C++",
    "Unable to find a compiler",
)
NETWORK_SIGNS = (
    "Failed to establish a new connection",
    "NewConnectionError",
    "Temporary failure in name resolution",
)


def label_studio_command(environment: Path) -> str:
    return str(_executables(environment) / "label-studio")


def is_installed(environment: Path) -> bool:
    """Whether the pinned Label Studio is completely installed in ``environment``."""
    # pip installs what a package needs before the package itself, so its metadata comes last.
    metadata = f"label_studio-{LABEL_STUDIO_VERSION}.dist-info/RECORD"
    patterns = (f"lib/python3*/site-packages/{metadata}", f"Lib/site-packages/{metadata}")
    return any(any(environment.glob(pattern)) for pattern in patterns)


def install_label_studio(environment: Path, on_progress: Progress = silent) -> None:
    """Make the environment and install the pinned Label Studio, unless that is done already.

    :raises ServiceError: with the likely cause (no network, no compiler) and the log's last lines.
    """
    if is_installed(environment):
        return
    environment.mkdir(parents=True, exist_ok=True)
    with (environment / "install.lock").open("w") as lock:
        # Whoever else wants it now waits until it is there.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_installed(environment):
            return
        log = environment / "install.log"
        on_progress(f"Making an environment for Label Studio {LABEL_STUDIO_VERSION} in {environment}")
        if not (_executables(environment) / "python").exists():
            _run([sys.executable, "-m", "venv", str(environment)], log, on_progress)
        _run(pip_command(environment), log, on_progress)


def pip_command(environment: Path) -> list[str]:
    python = str(_executables(environment) / "python")
    wanted = f"label-studio=={LABEL_STUDIO_VERSION}"
    return [python, "-m", "pip", "install", "--disable-pip-version-check", wanted]


def _executables(environment: Path) -> Path:
    return environment / ("Scripts" if os.name == "nt" else "bin")


def _run(command: list[str], log: Path, on_progress: Progress) -> None:
    packages = 0
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (
        log.open("a") as lines,
        subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        ) as process,
    ):
        assert process.stdout is not None  # noqa: S101 - asked for above
        try:
            for line in process.stdout:
                lines.write(line)
                lines.flush()
                if line.startswith("Collecting "):
                    packages += 1
                    share = min(1.0, packages / PACKAGES)
                    on_progress(f"package {packages} of about {PACKAGES}", DOWNLOADED * share)
                elif line.startswith("Installing collected packages"):
                    on_progress("unpacking (a minute)", DOWNLOADED)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise ServiceError(_explain(log))


def _explain(log: Path) -> str:
    text = log.read_text(errors="replace")
    cause = "the reason is below"
    if any(sign in text for sign in NETWORK_SIGNS):
        cause = "the package index cannot be reached; check the network and pip's settings"
    elif any(sign in text for sign in COMPILER_SIGNS):
        cause = (
            "a package must be compiled here; install a C compiler (Debian: apt-get install build-essential)"
        )
    end = "\n".join(f"  {line}" for line in text.splitlines()[-LOG_LINES_SHOWN:])
    return f"Label Studio {LABEL_STUDIO_VERSION} could not be installed: {cause}. {log} ends:\n{end}"
