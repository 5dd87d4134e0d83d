"""Pictures of the pages for the README: `make screenshots`. Runs the demo with its autopilot first."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
ALLABEL = Path(sys.executable).with_name("allabel")
ANNOTATED, BUDGET = 32, 40
LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        here = os.environ | {"LABEL_STUDIO_ENVIRONMENT": str(Path(".label-studio").resolve())}
        command = [
            ALLABEL,
            "demo",
            "--autopilot",
            str(ANNOTATED),
            "--port",
            "9191",
            "--label-studio-port",
            "8181",
        ]
        demo = subprocess.Popen(
            command, cwd=directory, env=here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            page = wait_for_page(demo)
            take_all(page, here | settings_of(Path(directory)))
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


def settings_of(directory: Path) -> dict[str, str]:
    """What a person gets from `. .demo/env`."""
    lines = (directory / ".demo" / "env").read_text("utf-8").splitlines()
    return {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}


def take_all(page: str, environment: dict[str, str]) -> None:
    project = page.rpartition("/")[2]
    api = page.replace("/projects/", "/api/projects/")
    # More to annotate, so that the pictures show a project that is under way.
    subprocess.run([ALLABEL, "connect", project, "--budget", str(BUDGET)], env=environment, check=True)
    wait_for(api, "ready")
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        annotated = most_telling(api)
        take(browser, f"{page.rpartition('/')[0]}", "projects")
        take(browser, page, "project", whole=True)
        take(browser, page, "project-dark", scheme="dark")
        take(browser, page, "project-phone", viewport=PHONE)
        take(browser, f"{page}/queue", "queue")
        take(browser, f"{page}/tasks/{annotated}", "task")
        take(browser, f"{page}/map", "map")
        take(browser, f"{page}/consistency", "consistency")
        subprocess.run([ALLABEL, "finish", project], env=environment, check=True)
        take(browser, f"{page}/review", "review")
        take(browser, f"{page}/map", "map-dark", scheme="dark")
        browser.close()


def most_telling(api: str) -> int:
    """The annotated task whose suggestion was changed in the most ways."""
    points = httpx.get(f"{api}/map").json()["points"]
    tasks = [task for *_, task, state in points if state == "annotated"]
    return max(
        tasks, key=lambda task: len({c["change"] for c in httpx.get(f"{api}/tasks/{task}").json()["changes"]})
    )


def wait_for(api: str, state: str) -> None:
    while httpx.get(api).json()["state"] != state:
        time.sleep(1)


def take(
    browser: Browser,
    address: str,
    name: str,
    *,
    scheme: str = "light",
    viewport: dict[str, int] = LAPTOP,
    whole: bool = False,
) -> None:
    context = browser.new_context(viewport=viewport, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(address)
    if page.locator("#map").count():
        page.wait_for_selector("#map[data-drawn]")
        page.focus("#map")
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("#tip:visible")
    page.wait_for_timeout(500)
    page.screenshot(path=HERE / f"page-{name}.png", full_page=whole)
    context.close()


if __name__ == "__main__":
    main()
