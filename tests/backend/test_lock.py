"""The lock files belong to the requirements beside them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([a-z0-9-]+)==([^ ;\\\n]+)", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / name).read_text()))


@pytest.mark.parametrize("extra", ["", "-cluster", "-sbert"])
def test_make_lock_has_been_run_since_the_requirements_changed(extra: str) -> None:
    wanted = pins("requirements.txt") | pins(f"requirements{extra}.txt")
    locked = pins(f"requirements{extra}.lock")
    assert wanted == {name: locked.get(name) for name in wanted}


@pytest.mark.parametrize("extra", ["", "-build", "-cluster", "-sbert"])
def test_every_locked_package_bears_hashes_and_no_address(extra: str) -> None:
    text = (ROOT / f"requirements{extra}.lock").read_text()
    entries = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(PIN.findall(text))
    assert [entry.partition(" ")[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text


def test_what_builds_the_image_is_locked_too() -> None:
    assert pins("requirements-build.txt") == pins("requirements-build.lock")
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes -r requirements-build.lock" in dockerfile
    assert "--no-build-isolation" in dockerfile


def test_the_actions_of_ci_are_pinned_by_commit() -> None:
    used = [
        line.split("uses:")[1].split("#")[0].strip()
        for path in (ROOT / ".github" / "workflows").glob("*.yml")
        for line in path.read_text().splitlines()
        if "uses:" in line
    ]
    assert len(used) > 10
    assert [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)] == []
