"""Every kind of text and label config, through the use cases, to the regions an annotator sees."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from projects import (
    PROJECT,
    AnyLabelStudio,
    FullModel,
    asked_text,
    connected,
    entities,
    gold,
    make_tools,
    settle,
    spot_fruits,
)

from allabel_core.chunking import estimate_tokens
from allabel_core.errors import MissingExtraError
from allabel_core.prompting import LabelSet, Prompt, build_prompt, prompt_tokens
from allabel_core.types import Document, Relation, Span
from backend.adapters.store import Store
from backend.errors import LabelStudioUnreachableError
from backend.usecases.connect import register
from backend.usecases.events import Event, receive
from backend.usecases.preannotator import passages
from backend.usecases.predict import predict
from backend.usecases.report import report
from backend.usecases.suggest import suggest
from backend.usecases.sync import sync

TWO_TAGS = (
    '<View><Labels name="food" toName="text"><Label value="Fruit"/></Labels>'
    '<Labels name="beings" toName="text"><Label value="Animal" hint="also birds"/></Labels>'
    '<Text name="text" value="$doc.body[0]"/></View>'
)
DIALOGUE = (
    '<View><ParagraphLabels name="label" toName="talk"><Label value="Fruit"/></ParagraphLabels>'
    '<Paragraphs name="talk" value="$talk" nameKey="who" textKey="said"/></View>'
)
BEHIND_URL = (
    '<View><Labels name="label" toName="text"><Label value="Fruit"/></Labels>'
    '<Text name="text" value="$url" valueType="url"/></View>'
)
RELATED = (
    '<View><Relations><Relation value="needs"/></Relations>'
    '<Labels name="label" toName="text"><Label value="Fruit"/><Label value="Amount"/></Labels>'
    '<Text name="text" value="$text"/></View>'
)


def words_of(region: dict[str, dict[str, str]]) -> str:
    return region["value"]["text"]


def test_several_labels_tags_and_nested_keys(store: Store) -> None:
    tasks = {n: {"doc": {"body": [f"A hen ate apple {n}"], "other": "x"}} for n in range(1, 4)}
    label_studio = AnyLabelStudio(tasks, TWO_TAGS)
    model = FullModel(lambda prompt: entities(("hen", "animal"), ("apple", "FRUIT"), ("hen", "Beast")))
    connected(make_tools(store, label_studio, model))

    shown = label_studio.shown(1)
    assert [(r["from_name"], r["to_name"], r["value"]["labels"]) for r in shown] == [
        ("beings", "text", ["Animal"]),
        ("food", "text", ["Fruit"]),
    ]
    assert "- Animal: also birds" in model.prompts[0].messages[0].content
    assert report(make_tools(store, label_studio, model), PROJECT).rejected == {"unknown_label": 3}


def test_paragraphs(store: Store) -> None:
    talk = [{"who": "Ann", "said": "Who took it?"}, {"who": "Bo", "said": "😀 the plum is mine"}]
    label_studio = AnyLabelStudio({1: {"talk": talk}}, DIALOGUE)
    model = FullModel(spot_fruits)
    tools = connected(make_tools(store, label_studio, model))

    [region] = label_studio.shown(1)
    assert region["type"] == "paragraphlabels"
    # Label Studio counts UTF-16 units in paragraphs: the emoji is two.
    assert region["value"] | {"start": "1", "end": "1", "startOffset": 7, "endOffset": 11} == region["value"]

    label_studio.annotate(1, label_studio.shown(1))
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    settle(tools)
    [shown] = store.demonstrations(PROJECT)
    assert shown.document.text == "Who took it?\n😀 the plum is mine"
    assert [shown.document.text[s.start : s.end] for s in shown.document.spans] == ["plum"]


def test_texts_behind_addresses(store: Store) -> None:
    tasks = {1: {"url": "/data/upload/1/a.txt"}, 2: {"url": "/data/upload/1/gone.txt"}}
    label_studio = AnyLabelStudio(tasks, BEHIND_URL, {"/data/upload/1/a.txt": "İ one quince"})
    tools = connected(make_tools(store, label_studio, FullModel(spot_fruits)))

    [region] = label_studio.shown(1)
    assert (region["value"]["start"], region["value"]["end"]) == (6, 12)
    found = report(tools, PROJECT)
    assert found.unusable_tasks == 1
    assert "no such file" in found.unusable_reason
    assert store.projects() == [PROJECT], "a missing file is not a missing project"


def test_label_studio_away_while_texts_are_read_is_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_studio = AnyLabelStudio({1: {"url": "/a"}}, BEHIND_URL, {"/a": "a pear"})
    tools = make_tools(store, label_studio, FullModel(spot_fruits))

    def away(address: str) -> str:
        raise LabelStudioUnreachableError("Label Studio does not answer.")

    monkeypatch.setattr(label_studio, "text_at", away)
    store.add_project(PROJECT)
    store.mark_dirty(PROJECT, "tasks")
    sync(tools, PROJECT)
    assert store.fact(PROJECT, "state") == "degraded"
    monkeypatch.undo()
    settle(tools)
    assert store.texts(PROJECT) == {1: "a pear"}


def test_predict_reads_a_text_behind_an_address(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    label_studio = AnyLabelStudio({1: {"url": "/a"}, 2: {"url": "/b"}}, BEHIND_URL, {"/a": "a pear"})
    tools = connected(make_tools(store, label_studio, FullModel(spot_fruits)))
    label_studio.files["/b"] = "a plum"
    monkeypatch.setattr("backend.usecases.predict.ANSWER_WITHIN", 0.2)
    predict(tools, PROJECT, [(2, {"url": "/b"})], label_config=BEHIND_URL)
    assert store.texts(PROJECT)[2] == "a plum"


def test_relations_are_shown_to_the_model_and_come_back_as_relations(store: Store) -> None:
    texts = {n: f"Take {n} g of pear and {n + 1} g of plum" for n in range(1, 9)}
    label_studio = AnyLabelStudio({n: {"text": text} for n, text in texts.items()}, RELATED)

    def reply(prompt: Prompt) -> str:
        n = int(asked_text(prompt).split()[1])
        found = [(f"{n} g", "Amount"), ("pear", "Fruit"), (f"{n + 1} g", "Amount"), ("plum", "Fruit")]
        named = [{"id": i, "text": words, "label": label} for i, (words, label) in enumerate(found, 1)]
        links = [{"from": 2, "to": 1, "label": "needs"}, {"from": 4, "to": 9, "label": "needs"}]
        return json.dumps({"entities": named, "relations": links})

    model = FullModel(reply)
    tools = connected(make_tools(store, label_studio, model))
    assert '"relations"' in model.prompts[0].messages[0].content

    done = label_studio.served()[0]
    shown = label_studio.shown(done)
    ids = {region["value"]["text"]: region["id"] for region in shown if region["type"] != "relation"}
    [link] = [item for item in shown if item["type"] == "relation"]
    assert (link["from_id"], link["to_id"], link["labels"]) == (ids["pear"], ids[f"{done} g"], ["needs"])

    label_studio.annotate(done, shown)
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    model.prompts.clear()
    settle(tools)
    demonstration = json.loads(model.prompts[0].messages[2].content)
    assert demonstration["relations"] == [{"from": 2, "to": 1, "label": "needs"}]
    assert report(tools, PROJECT).rejected["malformed"] > 0


def test_relations_without_names(store: Store) -> None:
    label_studio = AnyLabelStudio({1: {"text": "one pear"}}, RELATED.replace('<Relation value="needs"/>', ""))
    answer = {
        "entities": [
            {"id": 1, "text": "one", "label": "Amount"},
            {"id": 2, "text": "pear", "label": "Fruit"},
        ],
        "relations": [{"from": 2, "to": 1, "label": ""}],
    }
    connected(make_tools(store, label_studio, FullModel(lambda prompt: json.dumps(answer))))
    assert [item["labels"] for item in label_studio.shown(1) if item["type"] == "relation"] == [[]]


SENTENCES = [f"Line {n} tells of a {'plum' if n % 7 == 0 else 'stone'} and nothing else." for n in range(300)]
LONG = "😀 " + " ".join(SENTENCES)


def test_a_long_text_is_asked_about_in_parts_and_stitched(store: Store) -> None:
    label_studio = AnyLabelStudio({1: {"text": LONG}, 2: {"text": "A short pear"}})
    model = FullModel(spot_fruits, context_window=1500)
    connected(make_tools(store, label_studio, model))

    long_prompts = [prompt for prompt in model.prompts if "Line" in prompt.messages[-1].content]
    assert len(long_prompts) > 3
    for prompt in model.prompts:
        assert prompt_tokens(prompt, form="chat") + prompt.max_answer_tokens <= 1500
    for prompt in long_prompts:
        assert asked_text(prompt) in LONG
        assert asked_text(prompt).rstrip().endswith(".")
    marked = [(r["value"]["start"], r["value"]["end"]) for r in label_studio.shown(1)]
    assert all(LONG[start:end] == "plum" for start, end in marked)
    assert len(marked) == len(set(marked)) == LONG.count("plum")


TOPICS = ("stones river", "ships harbour", "bread oven", "wool loom", "glass furnace", "ink press")


def test_each_part_has_demonstrations_of_its_own_and_long_ones_are_shown_in_part(store: Store) -> None:
    stretches = [" ".join([f"Much {topic} is told of."] * 14) + " " for topic in TOPICS]
    tasks = {1: {"text": "".join(stretches)}, 2: {"text": "".join(stretches[::-1])}}
    label_studio = AnyLabelStudio(tasks)
    model = FullModel(lambda prompt: entities(("loom", "Fruit")), context_window=1540)
    tools = connected(make_tools(store, label_studio, model, k=1))
    done, left = (1, 2) if label_studio.served()[0] == 1 else (2, 1)
    label_studio.annotate(done, gold(label_studio, tasks[done]["text"], ("loom", "Fruit")))
    receive(tools, Event("ANNOTATION_CREATED", PROJECT))
    model.prompts.clear()
    settle(tools)

    assert len(model.prompts) > 3
    for prompt in model.prompts:
        asked, [demonstration] = asked_text(prompt), shown_texts(prompt)
        main_topic = max(TOPICS, key=asked.count)
        assert max(TOPICS, key=demonstration.count) == main_topic
        assert len(demonstration) < len(tasks[done]["text"]) / 2
    assert store.suggestions(PROJECT, [left])[left].demonstrations == [done]


def test_a_text_that_leaves_no_room_for_a_demonstration_is_asked_about_in_parts(store: Store) -> None:
    text = " ".join(f"Line {n} tells of stones." for n in range(36))
    tasks = {1: {"text": " ".join(f"Row {n} tells of a plum." for n in range(15))}, 2: {"text": text}}
    label_studio = AnyLabelStudio(tasks)
    label_studio.annotate(1, gold(label_studio, tasks[1]["text"], ("plum", "Fruit")))
    roomy, tight = FullModel(spot_fruits), FullModel(spot_fruits, context_window=1500)
    connected(make_tools(store, label_studio, roomy, k=1))
    assert [len(prompt.messages) for prompt in roomy.prompts] == [4]
    alone = build_prompt(LabelSet(("Fruit", "Animal")), [], text)
    assert prompt_tokens(alone, form="chat") + alone.max_answer_tokens < 1500

    store.redis.flushall()
    connected(make_tools(store, label_studio, tight, k=1))
    assert len(tight.prompts) > 1
    assert all(len(prompt.messages) == 4 for prompt in tight.prompts)


def test_passages_keep_spans_and_relations_inside_them() -> None:
    text = "One pear here. Two plums there. Three figs."
    spans = (Span(4, 8, "F"), Span(19, 24, "F"), Span(38, 42, "F"))
    relations = (Relation(0, 1, "a"), Relation(1, 2, "b"))
    found = passages(Document(text, spans, relations), estimate_tokens(text) - 3)
    assert [piece.text for piece in found] == ["One pear here. Two plums there. ", "Three figs."]
    assert [[piece.text[s.start : s.end] for s in piece.spans] for piece in found] == [
        ["pear", "plums"],
        ["figs"],
    ]
    assert [piece.relations for piece in found] == [(Relation(0, 1, "a"),), ()]
    whole = Document(text, spans, relations)
    assert passages(whole, 1000) == [whole]


def test_an_empty_text_is_asked_about_once(store: Store) -> None:
    model = FullModel(lambda prompt: entities())
    connected(make_tools(store, AnyLabelStudio({1: {"text": ""}}), model))
    assert len(model.prompts) == 1


@pytest.mark.parametrize(("occurrences", "places"), [("learned", [2, 14]), ("all", [2, 14]), ("first", [2])])
def test_other_occurrences_by_the_projects_setting(store: Store, occurrences: str, places: list[int]) -> None:
    label_studio = AnyLabelStudio({1: {"text": "A pear is not pear tart"}})
    model = FullModel(lambda prompt: entities(("pear", "Fruit")))
    connected(make_tools(store, label_studio, model, occurrences=occurrences))
    assert [region["value"]["start"] for region in label_studio.shown(1)] == places


def test_annotators_who_mark_once_teach_it(store: Store) -> None:
    texts = {n: f"pear {n} and pear {n} and pear {n}" for n in range(1, 13)}
    label_studio = AnyLabelStudio({n: {"text": text} for n, text in texts.items()})
    tools = connected(make_tools(store, label_studio, FullModel(lambda prompt: entities(("pear", "Fruit")))))
    assert len(label_studio.shown(label_studio.served()[0])) == 3
    for task_id in label_studio.served()[:4]:
        label_studio.annotate(task_id, gold(label_studio, texts[task_id], ("pear", "Fruit")))
    receive(tools, Event("ANNOTATIONS_CREATED", PROJECT))
    settle(tools)
    assert len(label_studio.shown(label_studio.served()[0])) == 1


def shown_texts(prompt: Prompt) -> list[str]:
    return [message.content.split("\n")[1] for message in prompt.messages[1:-1:2]]


CORPUS = {
    1: "red pear on a plate",
    2: "red pear on a plate!",
    3: "red pear on a plate?",
    4: "blue plum in a bowl on a shelf",
    5: "a cat on a plate of tin",
    9: "red pear on a plate today",
}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"k": 3}, {1, 2, 3}),
        ({"k": 3, "varied": True}, {1, 2, 5}),
        ({"k": 2, "demonstration_tokens": 10_000}, {1, 2, 3, 4, 5}),
        ({"demonstration_tokens": 40}, {1, 2}),
    ],
)
def test_retrieval_by_the_projects_settings(
    store: Store, settings: dict[str, int | bool], expected: set[int]
) -> None:
    label_studio = AnyLabelStudio({n: {"text": text} for n, text in CORPUS.items()})
    model = FullModel(spot_fruits)
    for task_id in (1, 2, 3, 4, 5):
        label_studio.annotate(task_id, gold(label_studio, CORPUS[task_id]))
    connected(make_tools(store, label_studio, model, **settings))
    [prompt] = model.prompts
    assert {n for n, text in CORPUS.items() if text in shown_texts(prompt)} == expected


def test_labels_likely_in_the_text_are_covered(store: Store) -> None:
    label_studio = AnyLabelStudio({n: {"text": text} for n, text in CORPUS.items()})
    model = FullModel(spot_fruits)
    for task_id, word in ((1, "pear"), (2, "pear"), (3, "pear")):
        label_studio.annotate(task_id, gold(label_studio, CORPUS[task_id], (word, "Fruit")))
    for task_id, word in ((4, "shelf"), (5, "cat")):
        label_studio.annotate(task_id, gold(label_studio, CORPUS[task_id], (word, "Animal")))
    connected(make_tools(store, label_studio, model, k=2, cover_labels=True))
    [prompt] = model.prompts
    assert '"Animal"' in prompt.messages[2].content + prompt.messages[4].content


@pytest.mark.parametrize("retrieval", ["sbert", "fused"])
def test_retrieval_by_meaning_uses_the_workers_encoder_once_per_text(
    store: Store, retrieval: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    from backend.usecases import encoder

    encoded: list[str] = []

    def encode(texts: list[str], *, model: object) -> np.ndarray:
        encoded.extend(texts)
        return np.array(
            [["plum" in t or "bowl" in t, "pear" in t or "today" in t, 1] for t in texts], dtype=float
        )

    monkeypatch.setattr(encoder, "load_model", lambda: "a model")
    monkeypatch.setattr(encoder, "encode", encode)
    label_studio = AnyLabelStudio({n: {"text": text} for n, text in CORPUS.items()})
    model = FullModel(spot_fruits)
    for task_id in (1, 4):
        label_studio.annotate(task_id, gold(label_studio, CORPUS[task_id]))
    connected(make_tools(store, label_studio, model, k=1, retrieval=retrieval))
    [prompt] = [prompt for prompt in model.prompts if "today" in asked_text(prompt)]
    assert shown_texts(prompt) == [CORPUS[1]]
    assert len(encoded) == len(set(encoded))


@pytest.mark.slow
def test_the_http_process_never_imports_torch() -> None:
    heavy = "{'torch', 'sentence_transformers'}"
    code = f"import sys, backend.app, backend.cli; sys.exit(len({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_worker_without_sentence_embeddings_says_so_and_leaves_the_tasks_to_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backend.usecases import encoder

    def missing() -> None:
        raise MissingExtraError("sentence_transformers is not installed")

    monkeypatch.setattr(encoder, "load_model", missing)
    label_studio = AnyLabelStudio({n: {"text": text} for n, text in CORPUS.items()})
    label_studio.annotate(1, gold(label_studio, CORPUS[1]))
    tools = connected(make_tools(store, label_studio, FullModel(spot_fruits)))
    assert store.fact(PROJECT, "state") == "ready"
    register(tools, PROJECT, backend_url="", extra_params={"retrieval": "sbert"})
    for work in (sync, suggest):
        store.set_facts(PROJECT, state="ready", problem="", remedy="")
        store.replace_wanted(PROJECT, [2])
        work(tools, PROJECT)
        assert store.fact(PROJECT, "state") == "degraded"
        assert store.fact(PROJECT, "problem") == "sentence_transformers is not installed"
        assert "beside every worker" in (store.fact(PROJECT, "remedy") or "")
        assert store.wanted(PROJECT) == [2]
