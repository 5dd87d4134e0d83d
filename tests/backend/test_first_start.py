"""The script that installs everything before anything of ours can be imported."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
FAST = "echo 'Resolved 3 packages in 1s'; echo 'Installed 3 packages in 1s'"
SLOW = "echo 'Collecting a'; echo 'Installing collected packages: a'"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("first_start", str(ROOT / "scripts/first-start"))
    spec = importlib.util.spec_from_loader("first_start", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules["first_start"] = module
    loader.exec_module(module)
    return module


def executable(path: Path, commands: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho $0 $@ >> {path.parent}/called\n{commands}\n")
    path.chmod(0o755)
    return str(path)


def install(script: ModuleType, folder: Path, *, uv: str, pip: str, done: bool = False) -> tuple[object, str]:
    environment = folder / "environment"
    executable(environment / "bin/python", pip)
    made = script.Installation("It", environment, [["it==1"]], 3, 1.0, lambda: done)
    made.uv = executable(environment / "bin/uv", uv) if uv else ""
    made.run()
    called = environment / "bin/called"
    return made, called.read_text() if called.exists() else ""


def test_uv_installs_where_it_can(script: ModuleType, tmp_path: Path) -> None:
    made, called = install(script, tmp_path, uv=FAST, pip="exit 1")
    assert (made.failed, made.share, made.news) == (False, 1.0, "installed")  # type: ignore[attr-defined]
    assert called.count("\n") == 1
    assert f"uv pip install --python {tmp_path}/environment/bin/python it==1" in called


@pytest.mark.parametrize("uv", ["", "echo 'No index'; exit 2"])
def test_otherwise_pip_does(script: ModuleType, tmp_path: Path, uv: str) -> None:
    made, called = install(script, tmp_path, uv=uv, pip=SLOW)
    assert not made.failed  # type: ignore[attr-defined]
    assert "-m pip install --disable-pip-version-check it==1" in called
    assert "Installing collected" in (tmp_path / "environment/install.log").read_text()


def test_where_neither_can_it_has_failed(script: ModuleType, tmp_path: Path) -> None:
    made, _ = install(script, tmp_path, uv="exit 2", pip="echo 'no network'; exit 1")
    assert (made.failed, made.news) == (True, "failed")  # type: ignore[attr-defined]


def test_what_is_there_is_left_alone(script: ModuleType, tmp_path: Path) -> None:
    made, called = install(script, tmp_path, uv=FAST, pip=SLOW, done=True)
    assert not made.failed  # type: ignore[attr-defined]
    assert called == ""


def test_one_line_says_how_far_both_are(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [
        script.Installation(name, tmp_path, [], 10, weight, lambda: False, news, share)
        for name, weight, news, share in (
            ("A", 0.75, "package 5 of about 10", 0.4),
            ("B", 0.25, "installed", 1),
        )
    ]
    script.show(both, script.time.monotonic())
    line = capsys.readouterr().out
    assert " 55% " in line
    assert "A: package 5 of about 10; B: installed" in line


def test_both_are_wanted_in_a_fresh_clone(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setenv("LABEL_STUDIO_ENVIRONMENT", str(tmp_path / "elsewhere"))
    wanted = script.installations()
    assert [each.name for each in wanted] == ["Label Studio", "ALLabel"]
    assert wanted[0].environment == tmp_path / "elsewhere"
    assert wanted[0].arguments[0][0].startswith("label-studio==1.")
