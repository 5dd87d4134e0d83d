"""What is built is complete, and works where it is installed into an environment of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import httpx
import pytest

from backend.demo.processes import free_port
from backend.demo.services import RedisServer
from stack import ROOT, Stack

installs = pytest.mark.skipif(
    "ALLABEL_TEST_PACKAGE" not in os.environ, reason="make test-package runs it: it installs from the network"
)

PACKAGES = {"allabel_core": "allabel_core", "backend": "allabel_backend"}
"""Folder in the checkout: name when installed."""

PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")


def sources() -> set[str]:
    """Every file of the two packages, named as when installed."""
    listed = subprocess.check_output(["git", "ls-files", *PACKAGES], cwd=ROOT, text=True).splitlines()
    return {f"{PACKAGES[folder]}/{rest}" for folder, _, rest in (path.partition("/") for path in listed)}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Source distribution and, built from it, wheel; made of what is committed or staged alone."""
    checkout, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("dist")
    subprocess.run(["git", "checkout-index", "--all", f"--prefix={checkout}/"], cwd=ROOT, check=True)
    command = [sys.executable, "-m", "build", "--outdir", str(out), str(checkout)]
    subprocess.run(command, check=True, capture_output=True)
    return out


@pytest.fixture
def wheel(dist: Path) -> Path:
    return next(dist.glob("allabel-*.whl"))


def test_the_wheel_holds_every_file_and_no_package_called_backend(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == sources()
    assert {"allabel_core/py.typed", "allabel_backend/py.typed"} <= names


def test_the_source_distribution_holds_what_the_wheel_is_built_from(dist: Path) -> None:
    with tarfile.open(next(dist.glob("allabel-*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    folders = {installed: folder for folder, installed in PACKAGES.items()}
    packages = {f"{folders[path.partition('/')[0]]}/{path.partition('/')[2]}" for path in sources()}
    assert packages | {"pyproject.toml", "README.md", "LICENSE"} <= names


def python_that_works(name: str) -> str:
    """A Python of that version on this machine; skips the test where there is none."""
    found = shutil.which(name)
    if not found or subprocess.run([found, "-c", "import ensurepip"], capture_output=True).returncode:
        pytest.skip(f"no {name} here")
    return found


def new_environment(directory: Path, python: str = sys.executable) -> Path:
    """The Python of a virtual environment with pip alone in it."""
    subprocess.run([python, "-m", "venv", str(directory)], check=True)
    return directory / "bin" / "python"


def install(python: Path, *what: str) -> None:
    subprocess.run([python, "-m", "pip", "install", "--quiet", *what], check=True, timeout=500)


def pinned(*names: str) -> list[str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [line for line in lines if line.partition("==")[0] in names]


@installs
def test_the_library_needs_numpy_scipy_and_rank_bm25_alone(tmp_path: Path, wheel: Path) -> None:
    python = new_environment(tmp_path / "alone")
    install(python, "--no-deps", str(wheel), *pinned("numpy", "scipy", "rank-bm25"))
    program = "from allabel_core import select; print(select(['a cat', 'a dog', 'rain', 'snow'], 2).order)"
    printed = subprocess.check_output([python, "-I", "-c", program], text=True)
    assert len(printed.strip().strip("[]()").split(",")) == 2
    installed = subprocess.check_output([python, "-m", "pip", "list", "--format=freeze"], text=True)
    names = {line.partition("==")[0] for line in installed.splitlines()} - {"pip", "setuptools"}
    assert names == {"allabel", "numpy", "scipy", "rank-bm25"}


@installs
@pytest.mark.parametrize("name", PYTHONS)
def test_an_installed_service_answers(
    name: str, tmp_path: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    python = new_environment(tmp_path / "service", python_that_works(name))
    install(python, f"{wheel}[server,fast]")
    allabel = python.parent / "allabel"
    assert "Usage: allabel" in subprocess.check_output([allabel, "--help"], text=True)
    version = subprocess.check_output([allabel, "--version"], text=True).strip()
    assert f"allabel-{version}-py3" in wheel.name
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        port = free_port()
        environment = {"REDIS_URL": redis.url, "LABEL_STUDIO_API_KEY": "none", "PORT": str(port)}
        serving = subprocess.Popen([allabel, "serve"], cwd=tmp_path, env={**os.environ, **environment})
        try:
            answer = None

            def answers() -> bool:
                nonlocal answer
                try:
                    answer = httpx.get(f"http://127.0.0.1:{port}/health")
                except httpx.TransportError:
                    return False
                return True

            Stack.wait_for(answers, seconds=60)
            assert answer is not None
            assert answer.json()["status"] == "UP"
        finally:
            serving.terminate()
            assert serving.wait(20) in (0, -signal.SIGTERM)
