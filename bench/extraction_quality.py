"""How well the product pre-annotates: zero-shot, three random demonstrations, the three nearest (BM25).

The first ``--texts`` documents of each annotated data set are asked about, all others are the corpus.
Prompts, grounding and confidence are the product's own (``backend.usecases.preannotator``), the model
is the embedded one, behind the product's client. Prints one Markdown table a data set.

    python bench/extraction_quality.py --texts 100 cdr synthesis
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from allabel_core.confidence import expected_calibration_error, fit_calibration  # noqa: E402
from allabel_core.metrics import f1_interval, score_entities, score_spans  # noqa: E402
from allabel_core.prompting import DEFAULT_TEMPLATES  # noqa: E402
from allabel_core.types import Document  # noqa: E402
from backend.adapters.llm import OpenAiModel  # noqa: E402
from backend.adapters.llm_config import LlmConfig  # noqa: E402
from backend.adapters.llm_store import MemoryKeyValue  # noqa: E402
from backend.demo.services import ModelServer  # noqa: E402
from backend.importers import read_documents  # noqa: E402
from backend.labeling.label_config import parse_label_config  # noqa: E402
from backend.labeling.results import document_from_annotation, region_id  # noqa: E402
from backend.ports import Answer, ProjectSettings, StoredDemonstration  # noqa: E402
from backend.usecases.preannotator import Preannotator  # noqa: E402
from backend.usecases.ranking import Ranker  # noqa: E402
from backend.usecases.tools import Secrets, Tools  # noqa: E402

DATA = ROOT.parent / "shared" / "data"
HEADER = (
    "| | entity F1 (95%) | precision | recall | span F1 | spans | not shown, by reason "
    "| readable answers | valid JSON | calibration error raw / calibrated | s a text |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)
WAYS = ("zero-shot", "random", "bm25")


class AtRandom(Preannotator):
    """Shows k texts drawn from the corpus in place of the nearest."""

    rng = np.random.default_rng(0)

    def _nearest(self, text: str) -> list[StoredDemonstration]:
        drawn = self.rng.choice(len(self._passages), self._settings.k, replace=False)
        return [self._passages[index] for index in drawn]


@dataclass
class Outcome:
    """What came of one way of asking about the texts; ``judged``: (confidence, in the gold) of spans."""

    predicted: list[Document]
    tally: Counter[str]
    judged: list[tuple[float, bool]]
    seconds: float


def tools_with(model: OpenAiModel) -> Tools:
    """The product's tools as far as questions and answers go: no store, no Label Studio."""
    nothing = cast(Any, None)
    return Tools(
        store=nothing,
        label_studio=nothing,
        model=model,
        ranker=Ranker(),
        templates=DEFAULT_TEMPLATES,
        defaults=ProjectSettings(),
        backend_url="",
        secrets=Secrets(str, str),
        chunk=1,
        samples=1,
        public_url="",
        label_studio_url="",
    )


def ask(
    way: str, tools: Tools, folder: Path, gold: Sequence[Document], corpus: Sequence[Document]
) -> Outcome:
    interface = parse_label_config((folder / "label_config.xml").read_text("utf-8"))
    settings = replace(tools.defaults, k=0 if way == "zero-shot" else 3)
    shown = [StoredDemonstration(number, document) for number, document in enumerate(corpus)]
    kind = AtRandom if way == "random" else Preannotator
    preannotator = kind(tools, interface, "", shown, settings)
    outcome = Outcome([], Counter(), [], 0.0)
    started = time.perf_counter()
    for number, document in enumerate(gold):
        question = preannotator.question(document.text)
        assert tools.model is not None
        answers = tools.model.answer(question.prompts, project_id=1)
        if not all(isinstance(answer, Answer) for answer in answers):
            raise SystemExit(f"the model failed: {answers}")
        outcome.tally["valid_json"] += sum(is_json(cast(Answer, answer).text) for answer in answers)
        reading = preannotator.read(number, document.text, question, cast("list[Answer]", answers))
        outcome.tally.update(reading.tally)
        regions = reading.suggestion.regions
        outcome.predicted.append(document_from_annotation(interface, document.text, regions))
        right = {region_id(span) for span in document.spans}
        outcome.judged += [(region["score"], region["id"] in right) for region in regions]
    outcome.seconds = (time.perf_counter() - started) / len(gold)
    return outcome


def is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def calibrated_error(judged: Sequence[tuple[float, bool]]) -> float | None:
    """Each half of the spans, in turn, calibrated on the other."""
    halves = judged[::2], judged[1::2]
    found: list[tuple[float, bool]] = []
    for learnt, applied in (halves, halves[::-1]):
        calibration = fit_calibration([c for c, _ in learnt], [kept for _, kept in learnt])
        if calibration is None:
            return None
        found += [(calibration(confidence), kept) for confidence, kept in applied]
    return expected_calibration_error(*zip(*found, strict=True))


def row(way: str, gold: Sequence[Document], outcome: Outcome) -> str:
    entities, spans = score_entities(outcome.predicted, gold), score_spans(outcome.predicted, gold)
    interval = f1_interval(entities, np.random.default_rng(0))
    low, high = 100 * interval.low, 100 * interval.high
    tally = outcome.tally
    rejected = {
        name.removeprefix("rejected_"): n for name, n in tally.items() if name.startswith("rejected_")
    }
    unreadable = sum(n for name, n in tally.items() if name.startswith("answers_"))
    raw = expected_calibration_error(*zip(*outcome.judged, strict=True)) if outcome.judged else None
    errors = " / ".join("-" if e is None else f"{e:.3f}" for e in (raw, calibrated_error(outcome.judged)))
    reasons = ", ".join(f"{name} {n}" for name, n in sorted(rejected.items())) or "none"
    return (
        f"| {way} | {100 * entities.f1:.1f} ({low:.1f}-{high:.1f}) | {100 * entities.precision:.1f} "
        f"| {100 * entities.recall:.1f} | {100 * spans.f1:.1f} | {tally['spans']} | {reasons} "
        f"| {100 * (1 - unreadable / tally['answers']):.0f}% "
        f"| {100 * tally['valid_json'] / tally['answers']:.0f}% | {errors} | {outcome.seconds:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", nargs="+", help="folders below ../shared/data, or paths")
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--form", choices=["completion", "chat"], default="completion")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, ModelServer(Path(directory)) as server:
        config = LlmConfig(
            model=server.model_name,
            base_url=server.openai_base_url,
            api_style=arguments.form,
            context_window=server.context_tokens,
            timeout_seconds=600,
            concurrency=1,
        )
        tools = tools_with(OpenAiModel(config, MemoryKeyValue()))
        for name in arguments.datasets:
            documents = read_documents(DATA / name / "gold.jsonl")
            gold, corpus = documents[: arguments.texts], documents[arguments.texts :]
            print(f"\n{name}: {len(gold)} texts, {len(corpus)} in the corpus, {server.model_name}\n")
            print(HEADER, flush=True)
            for way in arguments.ways:
                print(row(way, gold, ask(way, tools, DATA / name, gold, corpus)), flush=True)


if __name__ == "__main__":
    main()
