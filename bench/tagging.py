"""What is learnt from annotations: seconds, memory and F1, beside spaCy's entity recogniser.

``python -m bench.tagging``: cost at 100, 1,000 and 10,000 annotated texts. ``python -m bench.tagging --data
FILE ...``: F1 on annotated files, 10% of them chosen by coverage, and all, on test texts drawn before.

Each figure is made by a process of its own, so that its peak memory is its own. Neither side sees a
language model. spaCy: a blank English pipeline with ``ner``, Adam, dropout .1, batches of 4 to 32,
``EPOCHS`` passes; at 10,000 texts one pass is timed and multiplied.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from allabel_core.metrics import score_entities
from allabel_core.simulation.runs import Replay, RunSpec
from allabel_core.tagging import Suggester, dump
from allabel_core.types import Document, Span
from bench.corpus import make_texts
from bench.whole import peak_mb

SIZES = (100, 1_000, 10_000)
TAGGED = 500
EPOCHS = 20
MOST_TIMED = 1_000
LABELS = ("A", "B", "C", "D", "E", "F")
TEST_TEXTS = 150
_AS_LETTERS = str.maketrans("0123456789", "abcdefghij")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    options = parser.parse_args()
    if options.data:
        quality_table(options.data)
    else:
        cost_table(options.sizes)


def cost_table(sizes: Sequence[int]) -> None:
    print("\nLearning from annotated texts of 100 words, 6 labels (core seconds; then ms a text, and MB)")
    columns = ("texts", "who", "train", "again", "tag a text", "peak MB", "stored MB")
    print("".join(f"{column:>12}" for column in columns))
    for size in sizes:
        for who in ("allabel", "spacy"):
            found = child("cost", who, str(size))
            figures = (found["train"], found["again"], found["tag"], found["peak_mb"], found["stored_mb"])
            print(f"{size:12,}{who:>12}" + "".join(f"{figure:12.2f}" for figure in figures), flush=True)


def quality_table(paths: Sequence[Path]) -> None:
    print(f"\n{TEST_TEXTS} test texts that nobody chose; entity F1 (core seconds to train)")
    print(f"{'data':>12}{'annotated':>12}{'allabel':>20}{'spacy':>20}")
    for path in paths:
        for share in ("0.1", "1"):
            found = {who: child("quality", who, str(path), share) for who in ("allabel", "spacy")}
            cells = [f"{each['f1']:.3f} ({each['train']:.1f} s)" for each in found.values()]
            print(
                f"{path.parent.name:>12}{found['allabel']['texts']:12.0f}{cells[0]:>20}{cells[1]:>20}",
                flush=True,
            )


def child(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.tagging", "child", *arguments]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(answer.stdout.splitlines()[-1])


def core_seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def annotated(n: int) -> list[Document]:
    """Made-up texts in which every tenth kind of word is an entity."""
    documents = []
    for text in make_texts(n):
        spans, words, at = [], [], 0
        for number in (int(word[1:]) for word in text.split()):
            # Words of letters alone, as words are.
            word = "w" + str(number).translate(_AS_LETTERS)
            if number % 10 == 3:
                spans.append(Span(at, at + len(word), LABELS[number // 10 % len(LABELS)]))
            words.append(word)
            at += len(word) + 1
        documents.append(Document(" ".join(words), tuple(spans)))
    return documents


class Ours:
    """Tagger, lexicon and arbiter, cross-validation included."""

    def train(self, documents: Sequence[Document], epochs: int = 0) -> None:
        self._suggester = Suggester.train(documents)

    def train_again(self, documents: Sequence[Document]) -> None:
        """After one more annotation."""
        Suggester.train(documents, previous=self._suggester)

    def find(self, text: str) -> Document:
        return Document(text, tuple(each.span for each in self._suggester.suggest(text).spans))

    def size(self) -> int:
        return len(dump(self._suggester))


class Spacy:
    """It knows no cheaper way than to train once more."""

    def train(self, documents: Sequence[Document], epochs: int = EPOCHS) -> None:
        import spacy
        from spacy.training import Example
        from spacy.util import compounding, filter_spans, minibatch

        self._nlp = spacy.blank("en")
        ner = self._nlp.add_pipe("ner")
        examples = []
        for document in documents:
            doc = self._nlp.make_doc(document.text)
            found = [doc.char_span(s.start, s.end, s.label, alignment_mode="expand") for s in document.spans]
            spans = filter_spans([span for span in found if span is not None])
            for span in spans:
                ner.add_label(span.label_)
            doc.ents = spans
            examples.append(Example(self._nlp.make_doc(document.text), doc))
        order = random.Random(0)
        optimizer = self._nlp.initialize(lambda: examples[:100])
        for _ in range(epochs):
            order.shuffle(examples)
            for batch in minibatch(examples, compounding(4.0, 32.0, 1.001)):
                self._nlp.update(batch, drop=0.1, sgd=optimizer)

    def train_again(self, documents: Sequence[Document]) -> None:
        pass

    def find(self, text: str) -> Document:
        ents = self._nlp(text).ents
        return Document(text, tuple(Span(ent.start_char, ent.end_char, ent.label_) for ent in ents))

    def size(self) -> int:
        return len(self._nlp.to_bytes())


def cost(who: str, n: int) -> dict[str, float]:
    documents = annotated(n + TAGGED)
    learner = Ours() if who == "allabel" else Spacy()
    if who == "spacy" and n > MOST_TIMED:
        seconds = core_seconds(lambda: learner.train(documents[:n], epochs=1)) * EPOCHS
    else:
        seconds = core_seconds(lambda: learner.train(documents[:n]))
    again = core_seconds(lambda: learner.train_again(documents[:n])) or seconds
    tag = core_seconds(lambda: [learner.find(document.text) for document in documents[n:]])
    return {
        "train": seconds,
        "again": again if who == "allabel" else seconds,
        "tag": 1e3 * tag / TAGGED,
        "peak_mb": peak_mb(),
        "stored_mb": learner.size() / 1e6,
    }


def quality(who: str, path: Path, share: float) -> dict[str, float]:
    from backend.simulate.reading import read_dataset

    replay = Replay(read_dataset(path).documents, test_texts=TEST_TEXTS, fixed_test=True)
    spec = RunSpec("coverage", round(0.1 * len(replay.choosable)), "bm25", 3, 0)
    run = replay.run(spec)
    chosen = run.corpus if share < 1 else replay.choosable
    documents = [replay.documents[i] for i in chosen]
    learner = Ours() if who == "allabel" else Spacy()
    seconds = core_seconds(lambda: learner.train(documents))
    gold = [replay.documents[i] for i in run.evaluated]
    f1 = score_entities([learner.find(document.text) for document in gold], gold).f1
    return {"f1": f1, "train": seconds, "texts": len(documents)}


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        what, who, *given = sys.argv[2:]
        found = cost(who, int(given[0])) if what == "cost" else quality(who, Path(given[0]), float(given[1]))
        print(json.dumps(found))
    else:
        main()
