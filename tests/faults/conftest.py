"""`make test-faults`: one Label Studio for the session, one set of the product's processes a module."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.demo.services import LabelStudioServer
from figures import TABLE, table
from rig import RECONCILE_SECONDS, Rig
from stack import ROOT

collect_ignore_glob = [] if os.environ.get("ALLABEL_TEST_FAULTS") else ["test_*.py"]
collect_ignore = [] if os.environ.get("ALLABEL_CHAOS_SECONDS") else ["test_chaos.py"]


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudioServer]:
    environment = Path(os.environ.get("LABEL_STUDIO_ENVIRONMENT", ROOT / ".label-studio"))
    with LabelStudioServer(tmp_path_factory.mktemp("label-studio"), environment=environment) as server:
        yield server


@pytest.fixture(scope="module")
def rig(label_studio: LabelStudioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    running = Rig(tmp_path_factory.mktemp("rig"), label_studio)
    yield running
    running.stop()


@pytest.fixture
def project(rig: Rig, request: pytest.FixtureRequest) -> Iterator[int]:
    """A connected project with its first queue published, gone afterwards; the model is asked anew.

    Once the fault is over, the page that a colleague opened before it must be saved.
    """
    for key in rig.store.redis.scan_iter("allabel:llm:reply:*"):
        rig.store.redis.delete(key)
    project_id = rig.project(request.node.name[:50])
    rig.model.answered.clear()
    yield project_id
    rig.to_label_studio.heal()
    rig.to_web.heal()
    rig.colleague_submits(project_id)
    rig.raw("DELETE", f"api/projects/{project_id}/")
    rig.store.forget_project(project_id)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TABLE:
        terminalreporter.section(f"faults (comparing with Label Studio every {RECONCILE_SECONDS} s)")
        for line in table():
            terminalreporter.write_line(line)
