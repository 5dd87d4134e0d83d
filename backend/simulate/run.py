"""`allabel simulate`: from options to runs, results and report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from allabel_core.errors import InvalidInputError
from allabel_core.prompting import Form
from allabel_core.simulation.extractors import Copying, Extractor
from allabel_core.simulation.learned import Learned
from allabel_core.simulation.runs import Replay
from allabel_core.types import FloatArray

from ..bootstrap import build_model_on, read_templates
from ..errors import SettingsError
from ..ports import LanguageModel
from ..settings import Settings
from ..usecases.encoder import Encoder
from .cache import FileKeyValue
from .llm import PROJECT, ModelExtractor
from .plan import Grid
from .reading import Dataset
from .records import Finished
from .report import write_report
from .study import Estimate, Study, write_results

EXTRACTORS = ("copy", "tagger", "llm", "joined")
_ASKING = ("llm", "joined")


@dataclass(frozen=True, slots=True)
class Options:
    """What a person asked for. ``command``: how to do it again, for the report."""

    datasets: Sequence[Dataset]
    grid: Grid
    extractor: str
    out: Path
    test_texts: int | None = None
    fixed_test: bool = False
    command: str = ""
    encode: Callable[[Sequence[str]], FloatArray] = field(default_factory=Encoder)


def simulate(options: Options, settings: Settings, console: Console) -> list[Finished]:
    """Make every run that is not finished, then write results.csv and the report.

    :raises InvalidInputError: an unknown extractor, or a grid that does not fit the data.
    :raises SettingsError: the language model is asked for and not configured.
    :raises LanguageModelError: it cannot be used now; the same command goes on from there.
    """
    finished: list[Finished] = []
    with _studies(options, settings) as (studies, model):
        with _Bar(console, model, settings) as bar:
            bar.expect(sum(study.unfinished() for study in studies))
            try:
                for study in studies:
                    for run in study.finish(bar):
                        finished.append(run)
            finally:
                write_results(options.out, finished)
        if note := write_report(options.out, finished, options.command):
            console.print(note, highlight=False)
    return finished


def dry_run(options: Options, settings: Settings) -> list[tuple[str, Estimate, float | None]]:
    """Per data set its name, what is left to do, and what it would cost (None without prices)."""
    form: Form = "completion" if settings.openai_api_style == "completion" else "chat"
    with _studies(options, settings) as (studies, _):
        found = []
        for study in studies:
            estimate = study.estimate(form)
            found.append((study.dataset.name, estimate, _cost(settings, estimate)))
        return found


def _cost(settings: Settings, estimate: Estimate) -> float | None:
    if settings.price_prompt is None or settings.price_completion is None:
        return None
    asked = estimate.prompt_tokens * settings.price_prompt
    return (asked + estimate.answer_tokens * settings.price_completion) / 1e6


@contextmanager
def _studies(options: Options, settings: Settings) -> Iterator[tuple[list[Study], LanguageModel | None]]:
    if options.extractor not in EXTRACTORS:
        raise InvalidInputError(f"extractor {options.extractor!r} is none of {', '.join(EXTRACTORS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    store = FileKeyValue(options.out / "cache.sqlite") if options.extractor in _ASKING else None
    try:
        model = build_model_on(settings, store) if store is not None else None
        if store is not None and model is None:
            raise SettingsError("No model is configured: set OPENAI_API_KEY or OPENAI_BASE_URL.")

        def extractor(replay: Replay) -> Extractor:
            if model is None:
                return Copying() if options.extractor == "copy" else Learned()
            asking = ModelExtractor(model, replay.labels, read_templates(settings))
            return asking if options.extractor == "llm" else Learned(asking)

        yield (
            [
                Study(
                    dataset,
                    options.grid,
                    extractor,
                    options.out,
                    test_texts=options.test_texts,
                    fixed_test=options.fixed_test,
                    encode=options.encode,
                )
                for dataset in options.datasets
            ],
            model,
        )
    finally:
        if store is not None:
            store.close()


class _Bar:
    """A progress bar with the time left and, where prices are known, the cost so far and left."""

    def __init__(self, console: Console, model: LanguageModel | None, settings: Settings) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, TextColumn("{task.fields[cost]}"), console=console)
        self._task = self._progress.add_task("planning", total=None, cost="")
        self._model = model if settings.price_prompt is not None else None
        self._spent_before = model.spending(PROJECT).cost if self._model is not None and model else 0.0
        self._texts = self._done = 0

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def expect(self, texts: int) -> None:
        self._texts = texts
        self._progress.update(self._task, total=texts)

    def doing(self, words: str) -> None:
        self._progress.update(self._task, description=words)

    def done(self, texts: int) -> None:
        self._done += texts
        self._progress.update(self._task, advance=texts, cost=self._cost())

    def _cost(self) -> str:
        if self._model is None:
            return ""
        spent = self._model.spending(PROJECT).cost - self._spent_before
        left = spent * (self._texts - self._done) / self._done
        return f"cost {spent:.2f}, about {left:.2f} left"
