"""Takes the tutorial's pictures of Label Studio from a running demo, by clicking as a person would.

A part of `make screenshots`. Alone: in one terminal `make demo ARGS="--autopilot 10"`, and when it has said
what to try, in another `.venv/bin/python -m docs.screenshots.make_tutorial .demo`.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from backend.adapters.label_studio import LabelStudioClient
from backend.bootstrap import build_label_studio, build_tools
from backend.demo.sample import INSTRUCTIONS, LABEL_CONFIG, SAMPLE
from backend.importers import read_tasks
from backend.labeling.label_config import parse_label_config
from backend.labeling.results import result_from_spans
from backend.settings import Settings, read_settings
from backend.usecases.tools import Tools

FOLDER = Path(__file__).parent
LOGIN = ("demo@example.com", "allabel-demo")
GOLD = {task.gold.text: task.gold for task in read_tasks(SAMPLE) if task.gold}
TEXTS = 12
PARAMETERS = {"budget": "4", "window": 4}
PATIENCE = 900.0


def main(demo: Path) -> None:
    lines = (demo / "env").read_text("utf-8").splitlines()
    settings = read_settings({name: value.strip("'") for name, _, value in (x.partition("=") for x in lines)})
    project = json.loads((demo / "state.json").read_text("utf-8"))["projects"]["sample"]
    tools, client = build_tools(settings), build_label_studio(settings)
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = log_in(browser, settings)
        take_labelling(page, client, tools, project)
        take_queue(page, project)
        small = client.create_project("Workshop log", LABEL_CONFIG.read_text(), INSTRUCTIONS.read_text())
        client.import_tasks(small, [{"data": {"text": text}} for text in list(GOLD)[:TEXTS]])
        take_connecting(page, small, settings.own_url)
        wait_until(lambda: tools.store.fact(small, "state") == "ready")
        for entry in tools.store.queue(small):
            annotate(client, tools, small, entry.task_id)
        wait_until(lambda: tools.store.fact(small, "state") == "budget_used")
        take_finishing(page, tools, small)
        browser.close()


def log_in(browser: Browser, settings: Settings) -> Page:
    page = browser.new_page(base_url=settings.label_studio_url, viewport={"width": 1280, "height": 720})
    page.goto("/user/login/")
    page.fill("input[name=email]", LOGIN[0])
    page.fill("input[name=password]", LOGIN[1])
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/user/login" not in url)
    return page


def take_labelling(page: Page, client: LabelStudioClient, tools: Tools, project: int) -> None:
    """The next task of the stream that is worth looking at; those before it are annotated."""
    while True:
        served = client.next_task(project)
        assert served, "the demo has no task left; start a new one"
        task_id, predictions = served
        if predictions and len(predictions[0]["result"]) >= 3:
            break
        annotate(client, tools, project, task_id)
    page.goto(f"/projects/{project}/data?labeling=1")
    page.wait_for_selector("text=Labeling Instructions")
    page.keyboard.press("Escape")
    page.wait_for_selector("[class*=htx-highlight]")
    page.locator("[class*=htx-highlight]").first.click()
    save(page, "labelling")


def take_queue(page: Page, project: int) -> None:
    page.goto(f"/projects/{project}/data")
    page.wait_for_selector("text=Label All Tasks")
    save(page, "queue")


def take_connecting(page: Page, project: int, backend: str) -> None:
    """The form, filled in and sent."""
    page.goto(f"/projects/{project}/settings/ml")
    page.get_by_text("Connect Model").first.click()
    page.fill("input[name=title]", "ALLabel")
    page.fill("input[name=url]", backend)
    page.fill("textarea[name=extra_params]", json.dumps(PARAMETERS))
    save(page, "connect")
    page.click("form button[type=submit]")
    page.wait_for_selector("text=Connected")


def take_finishing(page: Page, tools: Tools, project: int) -> None:
    """'Start Training' once the budget is used up, and what is there when the model is through."""
    page.goto(f"/projects/{project}/settings/ml")
    page.get_by_text("Connected").locator("xpath=ancestor::*[.//button][1]").locator("button").first.click()
    train = page.get_by_text("Start Training", exact=True)
    train.hover()
    save(page, "start-training")
    train.click()
    page.get_by_role("button", name="Start Training").click()
    wait_until(lambda: tools.store.fact(project, "state") == "finished")
    page.goto(f"/projects/{project}/data")
    page.wait_for_selector("text=Label All Tasks")
    save(page, "finished")


def annotate(client: LabelStudioClient, tools: Tools, project: int, task_id: int) -> None:
    gold = GOLD[tools.store.some_texts(project, [task_id])[task_id]]
    interface = parse_label_config(LABEL_CONFIG.read_text())
    client.submit_annotation(task_id, result_from_spans(interface, gold.text, gold.spans), 5.0)


def save(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1500)
    page.screenshot(path=FOLDER / f"{name}.png")


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "the worker has not come to an end; see its log"
        time.sleep(0.5)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
