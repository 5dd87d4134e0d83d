"""The system's Chromium, logged in to the real Label Studio."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from editor import logged_in
from playwright.sync_api import Browser, Page, sync_playwright

from stack import Stack

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the whole session: while Playwright runs, no test can run an event loop of its own."""
    assert CHROMIUM, "install Chromium: scripts/system-packages"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A page of the logged-in user."""
    page = logged_in(browser, stack.label_studio)
    yield page
    page.context.close()
