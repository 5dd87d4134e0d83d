"""The pages in a real browser, over a project that the real parts have brought up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from allabel_core.types import Document
from backend.demo.processes import free_port
from backend.demo.product import BackendServer
from stack import SAMPLES, Stack

HOSTILE = Document("<script>document.title = 'broken in'</script> Stirred the zinc nitrate for 14 h.")
FORMULA = Document('=HYPERLINK("http://127.0.0.1:1/leak") Rinsed the funnel with ethanol.')
PAGES = ("", "/queue", "/tasks/{task}", "/map", "/consistency", "/review", "/finish")
LOGIN = ("ann", "a pass word")


@pytest.fixture(scope="module")
def project(stack: Stack) -> int:
    """Some of its budget annotated, two hostile texts in its queue."""
    project_id = stack.project("Seen <b>in</b> a browser", [*SAMPLES[:8], HOSTILE, FORMULA])
    stack.connect(project_id, budget="7", window=2, k=1, strategy="random")
    for task_id in stack.queue(project_id)[:3]:
        stack.annotate(task_id)
    stack.wait_for(lambda: stack.tools.store.fact(project_id, "annotated") == "3")
    stack.settle(project_id)
    return project_id


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """Fails where a page breaks its content security policy, throws, or asks for what is not there."""
    context = browser.new_context(base_url=stack.backend.base_url, viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    errors: list[str] = []
    opened.on("console", lambda said: errors.append(said.text) if "Security" in said.text else None)
    opened.on("response", lambda answer: errors.append(answer.url) if answer.status == 404 else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert errors == []


def figures(stack: Stack, path: str) -> Any:
    return httpx.get(f"{stack.backend.base_url}/api/projects/{path}").raise_for_status().json()


def addresses(stack: Stack, project: int) -> list[str]:
    [task] = [entry["task_id"] for entry in figures(stack, f"{project}/queue")[:1]]
    return ["/projects", *(f"/projects/{project}{page.format(task=task)}" for page in PAGES)]


def test_the_project_page_shows_the_figures_of_the_api(page: Page, stack: Stack, project: int) -> None:
    shown = figures(stack, str(project))
    page.goto(f"/projects/{project}")
    assert f"{shown['annotated']} of {shown['budget']} texts annotated" in page.inner_text("#budget")
    assert page.inner_text("#advice .statement") == shown["advice"]["sentence"]
    assisted = shown["quality"]["assisted"]
    row = page.locator(".whiskers tbody tr").first
    expected = [100 * assisted[name] for name in ("f1", "precision", "recall")]
    cells = [row.locator("td").nth(place).inner_text() for place in (0, 3, 4)]
    assert cells == [f"{value:.1f}" for value in expected]
    assert (
        row.locator("td").nth(1).inner_text()
        == f"{100 * assisted['low']:.1f} to {100 * assisted['high']:.1f}"
    )
    assert row.locator("td").last.inner_text() == str(assisted["tasks"])
    labels = page.locator(".labels tbody tr")
    assert [labels.nth(n).locator("th").inner_text() for n in range(labels.count())] == [
        label["label"] for label in shown["quality"]["labels"]
    ]
    spent = page.locator("#spending tbody tr").first.inner_text().replace(",", "").split()
    assert [
        str(shown["spending"][part]) for part in ("calls", "prompt_tokens", "completion_tokens")
    ] == spent[2:5]


def test_the_queue_shows_reasons_demonstrations_and_links(page: Page, stack: Stack, project: int) -> None:
    page.goto(f"/projects/{project}/queue")
    for entry in figures(stack, f"{project}/queue"):
        item = page.locator(f"#task-{entry['task_id']}")
        assert entry["reason"] in item.inner_text()
        assert item.locator(".demonstrations li").count() == len(entry["demonstrations"])
        assert item.get_by_text(f"Annotate task {entry['task_id']}").get_attribute("href") == entry["url"]


def test_hostile_texts_are_text(page: Page, stack: Stack, project: int) -> None:
    for task in stack.client.tasks(project):
        text = task.data["text"]
        if text in (HOSTILE.text, FORMULA.text):
            page.goto(f"/projects/{project}/tasks/{task.id}")
            assert page.inner_text(".whole") == text
            assert "broken in" not in page.title()
            assert page.locator("main script, main a[href*=leak]").count() == 0


def test_the_page_follows_without_being_loaded_again(page: Page, stack: Stack, project: int) -> None:
    page.goto(f"/projects/{project}")
    before = figures(stack, str(project))["annotated"]
    page.evaluate("window.notLoadedAgain = true")
    page.locator("#curve-table summary, .actions button").first.focus()
    focused = page.evaluate("document.activeElement.textContent")
    stack.annotate(stack.queue(project)[0])
    page.wait_for_selector(f"#budget .headline b:text-is('{before + 1}')", timeout=60_000)
    assert page.evaluate("window.notLoadedAgain") is True
    assert page.evaluate("document.activeElement.textContent") == focused
    stack.settle(project)


def test_it_says_so_when_the_backend_is_gone(page: Page, project: int) -> None:
    page.goto(f"/projects/{project}")
    page.route("**/projects/*", lambda route: route.fulfill(status=503, body="gone"))
    page.wait_for_selector("#connection:visible", timeout=30_000)
    page.unroute("**/projects/*")
    page.wait_for_selector("#connection", state="hidden", timeout=30_000)


def test_everything_can_be_reached_by_keyboard(page: Page, stack: Stack, project: int) -> None:
    page.goto(f"/projects/{project}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
    page.goto(f"/projects/{project}")
    reached = []
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement !== document.body"):
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", f"no visible focus on {reached[-1]}"
        page.keyboard.press("Tab")
    assert {"Projects", "Queue", "Map", "Rank again now", "Label the rest …", "Open in Label Studio"} <= set(
        reached
    )


def test_the_map_is_drawn_and_goes_from_point_to_point_by_keyboard(
    page: Page, stack: Stack, project: int
) -> None:
    found = figures(stack, f"{project}/map")
    assert found["computed"]
    page.goto(f"/projects/{project}/map")
    page.wait_for_selector(f"#map[data-drawn='{len(found['points'])}']")
    counted = page.locator("#map-table tbody tr").all_inner_texts()
    assert sum(int(line.split("\t")[1]) for line in counted) == len(found["points"])
    page.focus("#map")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#point a")
    first = page.inner_text("#point a")
    seen = {first}
    for key in ("ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
        page.wait_for_timeout(300)
        seen.add(page.inner_text("#point a"))
    assert len(seen) > 1
    last = page.inner_text("#point a").removeprefix("Task ")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/tasks/{last}")


def test_pointing_at_a_text_shows_it(page: Page, stack: Stack, project: int) -> None:
    x, y, task_id, _ = figures(stack, f"{project}/map")["points"][0]
    page.goto(f"/projects/{project}/map")
    page.wait_for_selector("#map[data-drawn]")
    box = page.locator("#map").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * (0.5 + 0.47 * x), box["y"] + box["height"] * (0.5 - 0.47 * y))
    page.wait_for_selector(f"#point a:text-is('Task {task_id}')")
    assert page.inner_text("#tip")[:20] == " ".join(stack.tools.store.texts(project)[task_id].split())[:20]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(page: Page, stack: Stack, project: int, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    for address in addresses(stack, project):
        page.goto(address)
        assert serious_faults(page) == [], address


def serious_faults(page: Page) -> list[tuple[str, list[str]]]:
    return [
        (fault["id"], [node["html"] for node in fault["nodes"]])
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


def test_nothing_is_wider_than_a_phone(page: Page, stack: Stack, project: int) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    for address in addresses(stack, project):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, address


@pytest.fixture(scope="module")
def guarded(stack: Stack) -> Iterator[BackendServer]:
    """A second web process beside the first, which asks people to sign in."""
    environment = {**stack.environment, "BASIC_AUTH_USER": LOGIN[0], "BASIC_AUTH_PASS": LOGIN[1]}
    port = free_port()
    with BackendServer(stack.directory / "guarded", port, {**environment, "PORT": str(port)}) as server:
        yield server


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_where_one_signs_in(
    page: Page, guarded: BackendServer, scheme: Any
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{guarded.base_url}/projects")
    assert serious_faults(page) == []
    page.get_by_label("Name").fill(LOGIN[0])
    page.get_by_label("Password").fill("not the pass word")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=The name or the password is wrong.")
    assert serious_faults(page) == []


def test_signing_in_pressing_a_button_signing_out(
    page: Page, stack: Stack, project: int, guarded: BackendServer
) -> None:
    page.goto(f"{guarded.base_url}/projects/{project}")
    page.get_by_label("Name").fill(LOGIN[0])
    page.get_by_label("Password").fill(LOGIN[1])
    page.keyboard.press("Enter")
    page.wait_for_url(f"{guarded.base_url}/projects/{project}")
    before = int(stack.tools.store.fact(project, "rankings") or 0)
    page.get_by_role("button", name="Rank again now").click()
    page.wait_for_url(f"{guarded.base_url}/projects/{project}")
    stack.wait_for(lambda: int(stack.tools.store.fact(project, "rankings") or 0) > before)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    page.goto(f"{guarded.base_url}/projects")
    page.wait_for_url("**/login?next=/projects")
    stack.settle(project)
