"""What an annotator does and sees, in a real browser on the real Label Studio."""

from __future__ import annotations

from typing import Any

from editor import highlights, open_task
from playwright.sync_api import Page

from allabel_core.types import Document, Span
from backend.labeling.label_config import parse_label_config
from backend.labeling.results import result_from_spans
from stack import SAMPLES, Stack


def marked(text: str, *entities: tuple[str, str]) -> Document:
    spans = []
    for words, label in entities:
        start = text.index(words)
        spans.append(Span(start, start + len(words), label))
    return Document(text, tuple(spans))


# Twins: the model sees the first of each pair as the nearest demonstration of the second.
EMOJI = [
    marked(
        f"🧪👩🏽‍🔬 {i}: Stirred the zinc nitrate in the autoclave 🔥 for 14 h.",
        ("zinc nitrate", "Chemical"),
        ("autoclave", "Equipment"),
    )
    for i in range(2)
]
COMBINING = [
    marked(
        f"Cafe\u0301 no\u0308te {i}: rinsed the Bu\u0308chner funnel with ethanol.",
        ("Bu\u0308chner funnel", "Equipment"),
        ("ethanol", "Chemical"),
    )
    for i in range(2)
]


def task_shown(page: Page) -> int:
    page.wait_for_url("**task=*", timeout=30_000)
    return int(page.url.split("task=")[1].split("&")[0])


def submit(page: Page) -> None:
    with page.expect_response(lambda r: "/annotations" in r.url and r.request.method == "POST") as answer:
        page.get_by_label("Submit current annotation").click()
    assert answer.value.status == 201


def stored(stack: Stack, task_id: int) -> list[dict[str, Any]]:
    [annotation] = stack.raw("GET", f"api/tasks/{task_id}/annotations/")
    return [region["value"] for region in annotation["result"]]


def test_connecting_through_the_settings_page_is_all_that_a_person_does(page: Page, stack: Stack) -> None:
    project_id = stack.project("Connected by hand", SAMPLES[20:32])
    page.goto(f"/projects/{project_id}/settings/ml")
    page.get_by_text("Connect Model").first.click()
    page.fill("input[name=title]", "ALLabel")
    page.fill("input[name=url]", stack.backend.base_url)
    page.fill("textarea[name=extra_params]", '{"budget": "4", "window": 4, "k": 1}')
    page.click("form button[type=submit]")
    stack.wait_for(lambda: stack.tools.store.knows(project_id))
    stack.settle(project_id)
    queue = stack.queue(project_id)
    assert len(queue) == 4

    page.goto(f"/projects/{project_id}/data?labeling=1")
    page.locator(".lsf-modal-ls button").last.click()  # the annotator instructions
    for expected in queue:
        page.wait_for_selector(f"text={stack.golds[expected].text[:30]}")
        submit(page)
    stack.wait_for(lambda: stack.tools.store.fact(project_id, "state") == "budget_used")


def test_suggestions_stand_at_the_right_words_and_come_back_unchanged(page: Page, stack: Stack) -> None:
    project_id = stack.project("Offsets", [EMOJI[0], COMBINING[0], EMOJI[1], COMBINING[1]])
    ids = list(stack.client.tasks(project_id))
    for task in ids[:2]:
        stack.annotate(task.id)
    stack.connect(project_id, budget="4", window=4, k=1)
    for task in ids[2:]:
        text = stack.golds[task.id].text
        expected = [text[span.start : span.end] for span in stack.golds[task.id].spans]
        open_task(page, project_id, task.id)
        shown = highlights(page)
        assert set(expected) <= set(shown)
        submit(page)
        values = stored(stack, task.id)
        assert sorted(value["text"] for value in values) == sorted(shown)
        for value in values:
            assert text[value["start"] : value["end"]] == value["text"]


def test_a_span_drawn_by_hand_after_emoji_is_stored_in_code_points(page: Page, stack: Stack) -> None:
    project_id = stack.project("By hand", [EMOJI[0]])
    [task] = stack.client.tasks(project_id)
    open_task(page, project_id, task.id)
    page.locator(".lsf-label_clickable", has_text="Equipment").click()
    box = page.evaluate(
        """() => {
          const line = document.querySelector('.lsf-richtext__line');
          const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
          while (walker.nextNode()) {
            const at = walker.currentNode.data.indexOf('autoclave');
            if (at < 0) continue;
            const range = document.createRange();
            range.setStart(walker.currentNode, at);
            range.setEnd(walker.currentNode, at + 9);
            const { x, y, width, height } = range.getBoundingClientRect();
            return { x, y, width, height };
          }
        }"""
    )
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 1, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, middle, steps=5)
    page.mouse.move(box["x"] + box["width"] - 1, middle, steps=5)
    page.mouse.up()
    assert highlights(page) == ["autoclave"]
    submit(page)
    [value] = stored(stack, task.id)
    assert EMOJI[0].text[value["start"] : value["end"]] == "autoclave"


DIALOGUE = """<View><ParagraphLabels name="label" toName="talk">
<Label value="Chemical"/><Label value="Equipment"/></ParagraphLabels>
<Paragraphs name="talk" value="$talk" nameKey="who" textKey="said" layout="dialogue"/></View>"""


def test_suggestions_in_a_dialogue_stand_at_the_right_words(page: Page, stack: Stack) -> None:
    golds = [[marked(f"Which oven for batch {i}?"), EMOJI[i]] for i in range(2)]
    interface = parse_label_config(DIALOGUE)
    project_id = stack.client.create_project("Dialogue", DIALOGUE)
    first, second = stack.client.import_tasks(
        project_id,
        [{"data": {"talk": [{"who": "AB"[n], "said": d.text} for n, d in enumerate(g)]}} for g in golds],
    )
    question, answer = golds[0]
    whole = marked(
        f"{question.text}\n{answer.text}", ("zinc nitrate", "Chemical"), ("autoclave", "Equipment")
    )
    stack.client.submit_annotation(first, result_from_spans(interface, whole.text, whole.spans), 0.1)
    stack.connect(project_id, budget="2", window=2, k=1)
    open_task(page, project_id, second)
    shown = highlights(page)
    assert {"zinc nitrate", "autoclave"} <= set(shown)
    submit(page)
    said = [document.text.encode("utf-16-le") for document in golds[1]]
    values = stored(stack, second)
    assert sorted(value["text"] for value in values) == sorted(shown)
    for value in values:
        # Label Studio counts UTF-16 units within a paragraph.
        at = slice(2 * value["startOffset"], 2 * value["endOffset"])
        assert said[int(value["start"])][at].decode("utf-16-le") == value["text"]
