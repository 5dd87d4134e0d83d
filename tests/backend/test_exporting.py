"""What is written down, of people and of the model, in each format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from projects import PROJECT, AnyLabelStudio, FullModel, connected, gold, make_tools, spot_fruits

from allabel_core.types import Document, Span
from backend.adapters.store import Store
from backend.exporting.formats import FORMATS, Written
from backend.exporting.tasks import exported_tasks
from backend.importers import read_file
from backend.usecases.tools import Tools

APPLE, PEAR, NOTHING = "an apple and rice", "one pear", "no fruit at all"


@pytest.fixture
def tools(store: Store) -> Tools:
    """Task 1 annotated by a person, 2 and 3 by the model, 4 without a text."""
    tasks = {1: {"text": APPLE, "n": 7}, 2: {"text": PEAR}, 3: {"text": NOTHING}, 4: {"other": "x"}}
    label_studio = AnyLabelStudio(tasks)
    label_studio.annotate(1, gold(label_studio, APPLE, ("rice", "Fruit")))
    return connected(make_tools(store, label_studio, FullModel(spot_fruits), budget="3"))


def export(tools: Tools, format: str, folder: Path, *, people_only: bool = False) -> tuple[Path, Written]:
    written = Written()
    path = folder / f"out.{'conll' if format == 'conll' else 'json'}"
    lines = FORMATS[format](exported_tasks(tools, PROJECT, people_only=people_only), written)
    path.write_text("".join(lines), "utf-8")
    return path, written


@pytest.mark.parametrize("format", ["conll", "spacy", "hf"])
def test_each_text_says_who_annotated_it(tools: Tools, tmp_path: Path, format: str) -> None:
    path, written = export(tools, format, tmp_path)
    assert [(d.text, d.spans) for d in read_file(path).documents] == [
        (APPLE, (Span(13, 17, "Fruit"),)),
        (PEAR, (Span(4, 8, "Fruit"),)),
        (NOTHING, ()),
    ]
    version = tools.store.fact(PROJECT, "version")
    content = path.read_text("utf-8")
    assert (content.count("people"), content.count(f"model {version}")) == (1, 2)
    assert (written.people, written.model, written.without_text) == (1, 2, 1)
    path, written = export(tools, format, tmp_path, people_only=True)
    assert [d.text for d in read_file(path).documents] == [APPLE]
    assert (written.people, written.model, written.unannotated) == (1, 0, 2)


def test_label_studios_json_has_annotations_of_people_and_predictions_of_the_model(
    tools: Tools, tmp_path: Path
) -> None:
    path, _ = export(tools, "json", tmp_path)
    first, second, third, fourth = json.loads(path.read_text("utf-8"))
    assert first["data"] == {"text": APPLE, "n": 7}
    assert [region["value"]["text"] for region in first["annotations"][0]["result"]] == ["rice"]
    assert first["predictions"] == []
    assert (second["annotations"], third["annotations"]) == ([], [])
    (prediction,) = second["predictions"]
    assert prediction["model_version"] == tools.store.fact(PROJECT, "version")
    assert [region["value"]["text"] for region in prediction["result"]] == ["pear"]
    assert third["predictions"][0]["result"] == []
    assert (fourth["annotations"], fourth["predictions"]) == ([], [])


@pytest.mark.parametrize("format", FORMATS)
def test_a_project_without_tasks(store: Store, tmp_path: Path, format: str) -> None:
    path, written = export(make_tools(store, AnyLabelStudio({}), None), format, tmp_path)
    assert written == Written()
    if format == "json":
        assert json.loads(path.read_text()) == []


def test_tokens_are_parted_at_spans_and_keep_their_vowel_signs(tmp_path: Path, store: Store) -> None:
    text = "unapple हिन्दी 😀apple-pear"
    label_studio = AnyLabelStudio({1: {"text": text}})
    label_studio.annotate(1, gold(label_studio, text, ("apple", "Fruit"), ("apple-pear", "Fruit")))
    tools = make_tools(store, label_studio, None)
    path, written = export(tools, "hf", tmp_path)
    (row,) = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert row["tokens"] == ["un", "apple", "हिन्दी", "😀", "apple", "-", "pear"]
    assert row["ner_tags"] == ["O", "B-Fruit", "O", "O", "B-Fruit", "I-Fruit", "I-Fruit"]
    assert written.overlapping == 0


def test_of_spans_across_one_another_the_longest_is_kept_and_the_others_told(
    tmp_path: Path, store: Store
) -> None:
    text = "pear tree"
    label_studio = AnyLabelStudio({1: {"text": text}})
    label_studio.annotate(1, gold(label_studio, text, ("pear", "Fruit"), ("pear tree", "Fruit")))
    tools = make_tools(store, label_studio, None)
    path, written = export(tools, "spacy", tmp_path)
    assert read_file(path).documents == [Document(text, (Span(0, 9, "Fruit"),))]
    assert written.overlapping == 1
