"""All pictures of README and documentation: `make screenshots`. Runs the demo with its autopilot first."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import httpx
from playwright.sync_api import Browser, Playwright, ViewportSize, sync_playwright

from allabel_core.types import Document
from backend.adapters.label_studio import LabelStudioClient
from backend.demo.sample import LABEL_CONFIG, SAMPLE
from backend.importers import read_tasks
from backend.labeling.label_config import parse_label_config
from backend.labeling.results import result_from_spans
from docs.screenshots import make_tutorial

HERE = Path(__file__).parent
ALLABEL = Path(sys.executable).with_name("allabel")
ANNOTATED, BUDGET = 32, 48
LAPTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
PATIENCE = 900.0
GOLD = {task.gold.text: task.gold for task in read_tasks(SAMPLE) if task.gold}
FEW = 20
NO_SPANS = """<View><Text name="text" value="$text"/>
<Choices name="kind" toName="text"><Choice value="Repair"/><Choice value="Replacement"/></Choices></View>"""
SECOND_PERSON = {"email": "second@example.com", "password": "another-reader"}
READ_OTHERWISE = (("Equipment", "Chemical"), ("Condition", ""), ("Operation", "Condition"))
"""Labels, and what a second person takes one span of each for; "" for nothing."""


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        here = os.environ | {"LABEL_STUDIO_ENVIRONMENT": str(Path(".label-studio").resolve())}
        ports = ["--port", "9191", "--label-studio-port", "8181"]
        command = [ALLABEL, "demo", "--autopilot", str(ANNOTATED), *ports]
        demo = subprocess.Popen(
            command, cwd=directory, env=here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            page = wait_for_page(demo)
            take_all(page, Path(directory) / ".demo", here)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=60)


def wait_for_page(demo: subprocess.Popen[str]) -> str:
    """The address of the project's page, which the demo prints once its autopilot is done."""
    assert demo.stdout
    for line in demo.stdout:
        print(line, end="", flush=True)
        if found := re.search(r"page is (http\S+)", line):
            return found[1]
    raise SystemExit("The demo ended before its time; see above.")


def settings_of(demo: Path) -> dict[str, str]:
    """What a person gets from `. .demo/env`."""
    lines = (demo / "env").read_text("utf-8").splitlines()
    return {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}


def take_all(page: str, demo: Path, environment: dict[str, str]) -> None:
    all_projects, _, project = page.rpartition("/")
    settings = settings_of(demo)
    # More to annotate, so that the pictures show a project that is under way.
    more = [ALLABEL, "connect", project, "--budget", str(BUDGET)]
    subprocess.run(more, env=environment | settings, check=True)
    with sync_playwright() as playwright:
        browser = start_chromium(playwright)
        take(browser, page, "project", whole=True)
        take(browser, page, "project-dark", scheme="dark")
        take(browser, page, "project-phone", viewport=PHONE)
        take(browser, f"{page}/queue", "queue")
        take(browser, f"{page}/queue", "queue-phone", viewport=PHONE, scheme="dark")
        take(browser, f"{page}/tasks/{most_telling(page)}", "task", whole=True)
        take(browser, f"{page}/map", "map", point=True)
        browser.close()
    make_tutorial.main(demo)
    with sync_playwright() as playwright:
        browser = start_chromium(playwright)
        connect_a_third(settings)
        wait_until(lambda: "degraded" in {each["state"] for each in figures(all_projects)})
        take(browser, all_projects, "projects")
        disagree(browser, settings["LABEL_STUDIO_URL"], annotated_tasks(page))
        wait_until(lambda: len(figures(f"{page}/consistency")) > 1)
        take(browser, f"{page}/consistency", "consistency")
        label_the_rest(browser, page)
        wait_until(lambda: figures(page)["state"] == "finished")
        take(browser, f"{page}/review", "review")
        take(browser, f"{page}/map", "map-dark", scheme="dark", point=True)
        browser.close()


def start_chromium(playwright: Playwright) -> Browser:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])


def figures(page: str) -> Any:
    """The same as JSON."""
    return httpx.get(page.replace("/projects", "/api/projects", 1)).raise_for_status().json()


def annotated_tasks(page: str) -> list[int]:
    return [task for *_, task, state in figures(f"{page}/map")["points"] if state == "annotated"]


def most_telling(page: str) -> int:
    """The annotated task whose suggestion was changed in the most ways."""
    return max(
        annotated_tasks(page),
        key=lambda task: len({each["change"] for each in figures(f"{page}/tasks/{task}")["changes"]}),
    )


def connect_a_third(settings: dict[str, str]) -> None:
    """A project whose labelling interface somebody has just changed to one without spans."""
    client = LabelStudioClient(settings["LABEL_STUDIO_URL"], settings["LABEL_STUDIO_API_KEY"])
    project = client.create_project("Repair notes", LABEL_CONFIG.read_text("utf-8"))
    client.import_tasks(project, [{"data": {"text": text}} for text in list(GOLD)[-FEW:]])
    client.connect_backend(project, url=settings["BACKEND_URL"], title="ALLabel", extra_params={}, auth=None)
    client.close()
    httpx.patch(
        f"{settings['LABEL_STUDIO_URL']}/api/projects/{project}/",
        headers={"Authorization": f"Token {settings['LABEL_STUDIO_API_KEY']}"},
        json={"label_config": NO_SPANS},
    ).raise_for_status()


def disagree(browser: Browser, label_studio: str, tasks: Sequence[int]) -> None:
    """A second person signs up, reads some of these tasks again, and takes a few words for something else."""
    context = browser.new_context(base_url=label_studio)
    page = context.new_page()
    page.goto("/user/signup/")
    for name, value in SECOND_PERSON.items():
        page.fill(f"input[name={name}]", value)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/user/" not in url)
    [token] = [each["value"] for each in context.cookies() if each["name"] == "csrftoken"]
    golds = {task: GOLD[page.request.get(f"/api/tasks/{task}/").json()["data"]["text"]] for task in tasks}
    interface = parse_label_config(LABEL_CONFIG.read_text("utf-8"))
    for label, instead in READ_OTHERWISE:
        task = next(task for task, gold in golds.items() if label in {span.label for span in gold.spans})
        read = read_otherwise(golds.pop(task), label, instead)
        answer = page.request.post(
            f"/api/tasks/{task}/annotations/",
            data={"result": result_from_spans(interface, read.text, read.spans)},
            headers={"X-CSRFToken": token, "Referer": label_studio},
        )
        assert answer.ok, answer.text()
    context.close()


def read_otherwise(gold: Document, label: str, instead: str) -> Document:
    """With the first span of this label under another one, or left out."""
    place = [span.label for span in gold.spans].index(label)
    changed = [replace(gold.spans[place], label=instead)] if instead else []
    return Document(gold.text, (*gold.spans[:place], *changed, *gold.spans[place + 1 :]))


def label_the_rest(browser: Browser, page: str) -> None:
    opened = browser.new_page()
    opened.goto(f"{page}/finish")
    opened.locator("main form button").click()
    opened.wait_for_url(page)
    opened.close()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "the worker has not come to an end"
        time.sleep(1)


def take(
    browser: Browser,
    address: str,
    name: str,
    *,
    scheme: Literal["light", "dark"] = "light",
    viewport: ViewportSize = LAPTOP,
    whole: bool = False,
    point: bool = False,
) -> None:
    """``point``: at a text of the map. Twice as fine as the page's pixels, for the screens of today."""
    context = browser.new_context(viewport=viewport, color_scheme=scheme, device_scale_factor=2)
    page = context.new_page()
    page.goto(address)
    if point:
        page.wait_for_selector("#map[data-drawn]")
        page.focus("#map")
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("#tip:visible")
        page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(500)
    page.screenshot(path=HERE / f"page-{name}.png", full_page=whole)
    context.close()


if __name__ == "__main__":
    main()
