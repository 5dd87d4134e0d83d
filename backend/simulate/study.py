"""A study: every planned run on every data set, finished ones remembered."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from allabel_core.prompting import Form
from allabel_core.simulation.extractors import Extractor, Question
from allabel_core.simulation.learned import Learned, asked_about
from allabel_core.simulation.runs import Replay, Run, RunScores
from allabel_core.types import FloatArray

from .llm import ModelExtractor
from .plan import Grid, PlannedRun, planned_runs
from .reading import Dataset
from .records import Finished, Records, Row, run_key, write_rows

logger = logging.getLogger(__name__)


class Watch(Protocol):
    """Who follows a study."""

    def expect(self, texts: int) -> None:
        """So many texts will have to be asked about, in all."""

    def done(self, texts: int) -> None: ...

    def doing(self, words: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left to do. ``prompts``: different ones; the tokens are estimates, both 0 offline.

    ``seconds``: at the speed of the finished runs; None where none is.
    """

    runs: int
    finished: int
    texts: int
    prompts: int
    prompt_tokens: int
    answer_tokens: int
    seconds: float | None


@dataclass(frozen=True)
class _Job:
    """A run to make; ``full`` where it is full annotation."""

    key: str
    planned: PlannedRun
    run: Run
    full: bool = False


class Study:
    """The runs of one grid on one data set by one extractor.

    :param out: folder of the results; ``runs`` inside it remembers finished runs.
    """

    def __init__(
        self,
        dataset: Dataset,
        grid: Grid,
        make_extractor: Callable[[Replay], Extractor],
        out: Path,
        *,
        test_texts: int | None = None,
        fixed_test: bool = False,
        encode: Callable[[Sequence[str]], FloatArray],
    ) -> None:
        self.dataset = dataset
        self.replay = Replay(dataset.documents, test_texts=test_texts, fixed_test=fixed_test, encode=encode)
        self.extractor = make_extractor(self.replay)
        self._records = Records(out / "runs")
        self._planned = planned_runs(grid, len(self.replay.choosable))
        self._known_jobs: list[_Job] | None = None

    def unfinished(self) -> int:
        """Texts that have to be asked about."""
        return sum(len(job.run.evaluated) for job in self._jobs() if self._records.get(job.key) is None)

    def estimate(self, form: Form) -> Estimate:
        """What is left, without asking anybody anything; prompts already in the cache count, too."""
        found = [(job, self._records.get(job.key)) for job in self._jobs()]
        left = [job for job, finished in found if finished is None]
        texts = sum(len(job.run.evaluated) for job in left)
        asked = said = 0
        prompts: set[str] = set()
        if (model := _model_of(self.extractor)) is not None:
            for text, question in (each for job in left for each in self._model_questions(job.run)):
                prompt = model.prompt(question, form)
                if prompt.completion not in prompts:
                    prompts.add(prompt.completion)
                    more, answer = model.estimated_tokens(prompt, self.replay.documents[text], form)
                    asked, said = asked + more, said + answer
        made = [(len(job.run.evaluated), finished.row.seconds) for job, finished in found if finished]
        speed = sum(seconds for _, seconds in made) / sum(n for n, _ in made) if made else None
        return Estimate(
            runs=len(found),
            finished=len(made),
            texts=texts,
            prompts=len(prompts),
            prompt_tokens=asked,
            answer_tokens=said,
            seconds=None if speed is None else speed * texts,
        )

    def _model_questions(self, run: Run) -> Iterator[tuple[int, Question]]:
        """The texts that a model is asked about, and the questions."""
        yield from zip(run.evaluated, self.replay.questions(run), strict=True)
        if isinstance(self.extractor, Learned):
            questions = self.replay.asked_before(run)
            yield from ((run.corpus[i], questions[i]) for i in asked_about(len(questions)))

    def finish(self, watch: Watch) -> Iterator[Finished]:
        """Every run, made where it is not finished; full annotation first, which the others need."""
        full: dict[tuple[str, int], RunScores] = {}
        for job in self._jobs():
            spec = job.run.spec
            watch.doing(f"{self.dataset.name} {spec.strategy} {job.planned.budget}")
            against = full.get((spec.similarity, spec.k))
            found = self._records.get(job.key)
            if found is None:
                found = self._made(job, watch)
                self._records.put(job.key, found)
            if job.full:
                against = full[spec.similarity, spec.k] = found.scores
            # The same data, or budget, may have been given by another name since.
            row = replace(found.row, dataset=self.dataset.name, budget=job.planned.budget)
            if against is not None:
                row = replace(row, full_f1=against.on(job.run.evaluated).f1)
            yield replace(found, row=row)

    def _made(self, job: _Job, watch: Watch) -> Finished:
        start = time.monotonic()
        scores = self.replay.score(job.run, self.replay.extract(job.run, self.extractor, watch.done))
        spec, total = job.run.spec, scores.total
        row = Row(
            dataset=self.dataset.name,
            strategy=spec.strategy,
            budget=job.planned.budget,
            n_annotated=len(job.run.corpus) - (job.full and not self.replay.is_fixed),
            similarity=spec.similarity,
            k=spec.k,
            seed=spec.seed,
            extractor=self.extractor.name,
            precision=total.precision,
            recall=total.recall,
            f1=total.f1,
            span_f1=scores.span_f1,
            full_f1=total.f1,
            seconds=time.monotonic() - start,
            tokens=scores.tokens,
        )
        return Finished(row, scores, len(self.dataset.documents))

    def _jobs(self) -> list[_Job]:
        """Per similarity and k: full annotation on every text that any run evaluates, then the runs."""
        if self._known_jobs is None:
            runs = [(planned, self.replay.run(planned.spec)) for planned in self._planned]
            jobs = []
            for similarity, k in dict.fromkeys((p.spec.similarity, p.spec.k) for p, _ in runs):
                here = [(p, run) for p, run in runs if (p.spec.similarity, p.spec.k) == (similarity, k)]
                evaluated = sorted({text for _, run in here for text in run.evaluated})
                full = self.replay.full_run(similarity, k, evaluated)
                jobs.append(self._job(PlannedRun(full.spec, "100%"), full, full=True))
                jobs += [self._job(planned, run) for planned, run in here]
            self._known_jobs = jobs
        return self._known_jobs

    def _job(self, planned: PlannedRun, run: Run, *, full: bool = False) -> _Job:
        key = run_key(self.dataset.fingerprint, self._extractor_identity(), run.spec, run.evaluated)
        return _Job(key, planned, run, full)

    def _extractor_identity(self) -> str:
        model = _model_of(self.extractor)
        if model is None:
            return self.extractor.name
        return model.identity if model is self.extractor else f"joined {model.identity}"


def _model_of(extractor: Extractor) -> ModelExtractor | None:
    """The language model that an extractor asks."""
    asking = extractor.model if isinstance(extractor, Learned) else extractor
    return asking if isinstance(asking, ModelExtractor) else None


def write_results(out: Path, finished: Sequence[Finished]) -> None:
    """results.csv, in the order of the runs."""
    write_rows(out / "results.csv", (run.row for run in finished))
