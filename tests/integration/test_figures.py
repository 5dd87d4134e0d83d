"""The figures shown are those that anybody can compute from Label Studio's own export."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import statistics
import subprocess
import sys
import termios
from typing import Any

import httpx
import pytest

from backend.labeling.label_config import parse_label_config
from backend.labeling.results import result_from_spans
from backend.usecases.witness import AUDIT_VERSION
from stack import LABEL_CONFIG, ROOT, SAMPLES, Stack

BUDGET, AUDITED = 20, 4


@pytest.fixture(scope="module")
def project(stack: Stack) -> int:
    """Annotated from gold, as Label Studio serves it, until the budget is used up."""
    project_id = stack.project("Figures", SAMPLES[:40])
    stack.connect(project_id, budget=str(BUDGET), window=5, k=1, audit=AUDITED / BUDGET)
    interface = parse_label_config(LABEL_CONFIG.read_text())
    blind = set(stack.tools.store.audit(project_id))
    for number in range(BUDGET):
        found = stack.client.next_task(project_id)
        assert found is not None
        task_id, [prediction] = found
        if task_id in blind:
            assert prediction["result"] == []
        gold = stack.golds[task_id]
        result = result_from_spans(interface, gold.text, gold.spans)
        # As long as it took: what was seen is what stood there so long before.
        stack.client.submit_annotation(task_id, result, lead_time=0.01 * (number + 1))
        if number % 5 == 4:
            stack.settle(project_id)
    return project_id


def entities(result: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(item["value"]["text"], label) for item in result for label in item["value"].get("labels", [])}


def figures(pairs: list[tuple[set[tuple[str, str]], set[tuple[str, str]]]]) -> dict[str, float]:
    """Entity precision, recall and F1, from nothing but sets."""
    right = sum(len(suggested & submitted) for suggested, submitted in pairs)
    suggested, submitted = (sum(len(pair[i]) for pair in pairs) for i in (0, 1))
    return {
        "precision": right / max(1, suggested),
        "recall": right / max(1, submitted),
        "f1": 2 * right / max(1, suggested + submitted),
        "tasks": len(pairs),
    }


def served(stack: Stack, path: str) -> Any:
    return httpx.get(f"{stack.backend.base_url}/api/projects/{path}").raise_for_status().json()


def test_quality_is_what_the_export_says(stack: Stack, project: int) -> None:
    found = served(stack, str(project))["quality"]
    export = stack.raw("GET", f"api/projects/{project}/export", params={"exportType": "JSON"})
    kept = {
        each["task"]: each["result"]
        for each in stack.raw("GET", "api/predictions/", params={"project": project})
        if each["model_version"] == AUDIT_VERSION
    }
    assisted, blind, seconds, untouched = [], [], [], []
    for task in export:
        [annotation] = task["annotations"]
        submitted = entities(annotation["result"])
        if task["id"] in kept:
            assert annotation["prediction"]["result"] == []
            blind.append((entities(kept[task["id"]]), submitted))
            continue
        noted = annotation["prediction"]["result"]
        assisted.append((entities(noted), submitted))
        seconds.append(annotation["lead_time"])
        if noted:
            places = [
                {(i["value"]["start"], i["value"]["end"], *i["value"]["labels"]) for i in result}
                for result in (noted, annotation["result"])
            ]
            untouched.append(places[0] == places[1])
    assert (len(assisted), len(blind)) == (BUDGET - AUDITED, AUDITED)
    for name, pairs in (("assisted", assisted), ("blind", blind)):
        assert {key: found[name][key] for key in figures(pairs)} == pytest.approx(figures(pairs))
        assert found[name]["low"] <= found[name]["f1"] <= found[name]["high"]
    difference = figures(assisted)["f1"] - figures(blind)["f1"]
    assert found["difference"]["value"] == pytest.approx(difference)
    assert found["seconds_per_task"] == statistics.median(seconds)
    assert found["untouched_share"] == pytest.approx(sum(untouched) / len(untouched))


def test_progress_is_what_label_studio_says(stack: Stack, project: int) -> None:
    found = served(stack, str(project))
    assert (found["state"], found["annotated"], found["tasks"]) == ("budget_used", BUDGET, 40)
    assert sum(stage["done"] for stage in found["stages"]) == BUDGET
    assert {stage["name"]: stage["done"] for stage in found["stages"]}["audit"] == AUDITED
    assert found["page"] in stack.client.project(project).description
    assert found["advice"]["verdict"] == "too_early"  # 16 assisted tasks
    states = [state for *_, state in served(stack, f"{project}/map")["points"]]
    assert (states.count("annotated"), states.count("rest")) == (BUDGET, 20)


def test_a_finished_task_tells_how_it_came_about(stack: Stack, project: int) -> None:
    blind = set(stack.tools.store.audit(project))
    for task_id in list(stack.golds):
        if task_id not in stack.tools.store.witnesses(project):
            continue
        found = served(stack, f"{project}/tasks/{task_id}")
        assert (found["state"], found["blind"]) == ("annotated", task_id in blind)
        after = [change for change in found["changes"] if change["change"] != "removed"]
        gold = stack.golds[task_id]
        assert sorted((c["words"], c["label"]) for c in after) == sorted(
            (gold.text[span.start : span.end], span.label) for span in gold.spans
        )


def test_the_terminal_shows_the_same(stack: Stack, project: int) -> None:
    command = [sys.executable, "-m", "backend.cli", "status", str(project)]
    environment = {**os.environ, **stack.environment, "COLUMNS": "120"}
    run = subprocess.run([*command, "--json"], cwd=ROOT, env=environment, capture_output=True, timeout=120)
    assert json.loads(run.stdout) == served(stack, str(project))
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    found = served(stack, str(project))
    for words in (
        f"{100 * found['quality']['assisted']['f1']:.1f}",
        f"{100 * found['quality']['blind']['f1']:.1f}",
        found["page"],
        "Too early to tell",
    ):
        assert words in shown.stdout


def test_the_dashboard_stays_until_ctrl_c_and_fits_the_terminal(stack: Stack, project: int) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (12, 60))
    command = [sys.executable, "-m", "backend.cli", "status", str(project), "--watch"]
    environment = {**os.environ, **stack.environment, "TERM": "xterm"}
    for name in ("COLUMNS", "LINES"):
        environment.pop(name, None)
    watching = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        # Where a shell runs the tests in its background, they inherit that Ctrl+C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.close(theirs)
    shown = b""
    try:
        while b"more lines" not in shown:
            ready, _, _ = select.select([ours], [], [], 60)
            assert ready, shown
            shown += os.read(ours, 65536)
    finally:
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 0
        os.close(ours)
    assert b"Too early to tell" in shown
    assert b"Figures" in shown
