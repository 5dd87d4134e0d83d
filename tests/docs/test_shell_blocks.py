"""The shell commands of the documentation that need neither services nor a model, run as they stand."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backend.demo.sample import SAMPLE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SERVICES = ("--through", "--extractor llm", "../shared")


def simulations() -> list[str]:
    """Calls of `allabel simulate` in the blocks of docs/simulate.md."""
    text = (ROOT / "docs" / "simulate.md").read_text("utf-8").replace("\\\n", " ")
    found = re.findall(r"^ {4}(allabel simulate .*)", text, re.MULTILINE)
    found += re.findall(r"`(allabel simulate --demo[^`]*)`", text)
    return [line for line in found if not any(service in line for service in SERVICES)]


def test_there_are_some() -> None:
    assert len(simulations()) >= 2


@pytest.mark.parametrize("line", simulations())
def test_simulations_run(line: str, tmp_path: Path) -> None:
    shutil.copy(SAMPLE, tmp_path / "export.json")
    command = line.replace("allabel", f"{sys.executable} -m backend.cli", 1)
    done = subprocess.run(
        command,
        shell=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("report.html"))


def test_make_help_lists_the_targets() -> None:
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    for target in ("make demo", "make test", "make docs", "make check"):
        assert target in listed.stdout
