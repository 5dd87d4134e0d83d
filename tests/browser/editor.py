"""What a person does in Label Studio's editor."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Page, Response

from backend.demo.services import LabelStudioServer
from stack import Colleague

WHERE_TO_DRAW = """() => {
  const line = document.querySelector('.lsf-richtext__line') ?? document.querySelector('[class*=richtext]');
  const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.closest('[class*=htx-highlight]')) continue;
    for (const found of node.data.matchAll(/[A-Za-z]{4,}/g)) {
      const range = document.createRange();
      range.setStart(node, found.index);
      range.setEnd(node, found.index + found[0].length);
      if (range.getClientRects().length > 1) continue;
      const { x, y, width, height } = range.getBoundingClientRect();
      return { word: found[0], x, y, width, height };
    }
  }
}"""


READY = """([id, hasPredictions]) => {
  const { task, annotationStore, isLoading } = window.Htx ?? {};
  const annotation = annotationStore?.selected;
  if (task?.id !== id || !annotation || isLoading) return false;
  return annotation.parent_prediction || annotation.draftId || annotation.pk || !hasPredictions;
}"""

PATIENCE = 120_000
"""Milliseconds: a busy machine takes long over a page of Label Studio."""


def logged_in(browser: Browser, label_studio: LabelStudioServer) -> Page:
    """A page of the first user, in a context of its own, which is to be closed in the end."""
    page = _new_page(browser, label_studio)
    user, password = label_studio.login
    page.goto("/user/login/")
    page.fill("input[name=email]", user)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/user/login" not in url)
    return page


def of_colleague(browser: Browser, label_studio: LabelStudioServer, colleague: Colleague) -> Page:
    """A page of somebody who is logged in already, in a context of its own as well."""
    page = _new_page(browser, label_studio)
    page.context.add_cookies(
        [
            {"name": name, "value": value, "url": label_studio.base_url}
            for name, value in colleague.cookies.items()
        ]
    )
    return page


def _new_page(browser: Browser, label_studio: LabelStudioServer) -> Page:
    context = browser.new_context(base_url=label_studio.base_url, viewport={"width": 1400, "height": 900})
    context.set_default_timeout(PATIENCE)
    return context.new_page()


def label_all_tasks(page: Page, project_id: int) -> dict[str, Any]:
    """Press the button; the task that is served."""
    page.goto(f"/projects/{project_id}/data")
    with page.expect_response(_serves_a_task) as served:
        page.get_by_text("Label All Tasks").first.click()
    return shows(page, served.value)


def label_as_displayed(page: Page, project_id: int) -> dict[str, Any]:
    """What a link with ``labeling=1`` opens in a browser that has not labelled before; the task served."""
    with page.expect_response(_serves_a_task) as served:
        page.goto(f"/projects/{project_id}/data?labeling=1")
    task = shows(page, served.value)
    assert task["queue"] == "Data manager queue"
    return task


def open_task(page: Page, project_id: int, task_id: int) -> None:
    """In the Data Manager's Quick View."""
    with page.expect_response(lambda answer: f"/api/tasks/{task_id}?" in answer.url) as opened:
        page.goto(f"/projects/{project_id}/data?task={task_id}")
    shows(page, opened.value)


def shows(page: Page, answer: Response) -> dict[str, Any]:
    """Wait until the editor shows the task of the answer."""
    assert answer.ok, answer.text()
    task: dict[str, Any] = answer.json()
    page.wait_for_function(READY, arg=[task["id"], bool(task["predictions"])])
    return task


def highlights(page: Page) -> list[str]:
    page.wait_for_selector("[class*=htx-highlight]")
    words: list[str] = page.eval_on_selector_all(
        "[class*=htx-highlight]", "all => all.map(e => e.textContent)"
    )
    return words


def shown(page: Page) -> tuple[int | None, list[dict[str, Any]]]:
    """The prediction that the annotation in the editor began from, and the annotation's regions now."""
    prediction, regions = page.evaluate(
        """() => {
          const { selected } = window.Htx.annotationStore;
          return [selected.parent_prediction, selected.serializeAnnotation()];
        }"""
    )
    return prediction, regions


def draw(page: Page) -> str:
    """Mark the first word that is not marked yet, with the first label; the word."""
    page.keyboard.press("1")
    place = page.evaluate(WHERE_TO_DRAW)
    assert place, "no word is left to mark"
    middle = place["y"] + place["height"] / 2
    page.mouse.move(place["x"] + 1, middle)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] / 2, middle, steps=5)
    page.mouse.move(place["x"] + place["width"] - 1, middle, steps=5)
    page.mouse.up()
    page.wait_for_function(
        "word => window.Htx.annotationStore.selected.regions.some(region => region.text === word)",
        arg=place["word"],
    )
    return str(place["word"])


def draw_until_saved_as_draft(page: Page) -> str:
    with page.expect_response(
        lambda r: "/drafts" in r.url and r.request.method in ("POST", "PATCH")
    ) as answer:
        word = draw(page)
    assert answer.value.ok, answer.value.text()
    return word


def press_submit(page: Page) -> Response:
    """Whatever Label Studio answers."""
    with page.expect_response(_saves_annotation) as answer:
        page.get_by_label("Submit current annotation").click()
    return answer.value


def press_skip(page: Page) -> Response:
    with page.expect_response(_saves_annotation) as answer:
        page.locator("button:has-text('Skip')").first.click()
    return answer.value


def press_update(page: Page) -> Response:
    with page.expect_response(
        lambda answer: "/api/annotations/" in answer.url and answer.request.method == "PATCH"
    ) as answer:
        page.locator("button:has-text('Update')").last.click()
    return answer.value


def _saves_annotation(answer: Response) -> bool:
    return "/annotations" in answer.url and answer.request.method == "POST"


def _serves_a_task(answer: Response) -> bool:
    return "id=next_task" in answer.url
