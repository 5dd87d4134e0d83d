"""What a project's model calls will come to, before they are made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from allabel_core.chunking import estimate_tokens
from allabel_core.errors import InvalidInputError
from allabel_core.prompting import prompt_tokens
from allabel_core.tagging import Figures

from ..ports import LanguageModel, ProjectSettings
from .asking import stored_figures
from .figures import AskedShare, Cost
from .plan import asks_model
from .preannotator import Part, Preannotator
from .tools import Tools

SAMPLE_TEXTS = 20
ENOUGH_CALLS = 20
"""From so many calls on, the ledger's averages are worth more than estimates of prompts."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """``basis``: whence the tokens of a call are known. ``costs``: of the window, the rest of the budget
    and ``finish``, each without the ones before it; ``finish_now``: of ``finish`` at this moment.
    ``shares``: what that would bring and take if the model were asked about a part of the texts
    only; empty while too few annotations have told."""

    project_id: int
    basis: str
    costs: tuple[Cost, ...]
    finish_now: Cost
    shares: tuple[AskedShare, ...] = ()

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)


class _PerCall(NamedTuple):
    """``parts``: prompts a text is asked about with, on average; tokens are of one of them."""

    parts: float
    prompt_tokens: float
    completion_tokens: float
    basis: str


def estimate(tools: Tools, project_id: int) -> Estimate:
    """Calls, tokens and money of what lies ahead, from the state that the last sync has left.

    Calls of the budget: every task once, and the window's tasks again whenever a new annotation is
    among their demonstrations; the j-th annotation is among the k best of j with probability k / j.

    :raises InvalidInputError: the project has not been ranked yet.
    """
    model, store = tools.model, tools.store
    if model is None:
        return Estimate(
            project_id, "no model is configured, so nothing is asked", (), Cost("finish", 0, 0, 0, None)
        )
    if "budget" not in (facts := store.facts(project_id)):
        raise InvalidInputError(f"Project {project_id} has not been ranked yet; is a worker running?")
    settings = _by_words(store.settings(project_id))
    task_ids = store.task_ids(project_id)
    texts = store.some_texts(project_id, _spread(task_ids))
    annotated, budget = int(facts["annotated"]), int(facts["budget"])
    queue = [entry.task_id for entry in store.queue(project_id)]
    per_call = _per_call(tools, model, project_id, settings, list(texts.values()))
    finishing = bool(facts.get("finishing"))
    open_queue = [] if finishing else queue[settings.window :]
    asked = store.suggested(project_id)
    again = 0.0 if finishing else _asked_again(settings, annotated, budget)
    probes = asks_model(settings) and not finishing
    rest = 0 if finishing else max(0, store.task_counts(project_id)[0] - max(budget, annotated))
    unprobed = max(0, rest - len(asked)) if probes else 0
    counts = (
        ("to finish" if finishing else "the window", float(store.wanted_count(project_id))),
        ("the rest of the budget", sum(t not in asked for t in open_queue) + again + unprobed),
        ("finish, afterwards", float(rest)),
    )
    seconds = _seconds_per_text(tools, facts)

    def cost(what: str, texts: float) -> Cost:
        return _cost(model, what, texts, texts * per_call.parts * tools.samples, per_call, seconds)

    costs = tuple(cost(what, texts) for what, texts in counts)
    ready = set(queue[: settings.window]) & asked
    wanted = store.wanted_count(project_id)
    unasked = wanted if finishing else len(task_ids) - len(store.done(project_id)) - len(ready) + wanted
    finish_now = cost("finish", max(0, unasked))
    figures = None if finishing else stored_figures(tools, project_id)
    shares = _shares(figures, finish_now) if figures else ()
    return Estimate(project_id, per_call.basis, costs, finish_now, shares)


def _shares(figures: Figures, whole: Cost) -> tuple[AskedShare, ...]:
    worth = figures.share_worth_asking()
    return tuple(
        AskedShare(
            share=share,
            f1=f1,
            calls=round(share * whole.calls),
            tokens=round(share * (whole.prompt_tokens + whole.completion_tokens)),
            money=None if whole.money is None else share * whole.money,
            worth_asking=share == worth,
        )
        for share, f1 in figures.by_share
    )


def _by_words(settings: ProjectSettings) -> ProjectSettings:
    """Demonstrations found by words: close enough for counting tokens, and no model to load."""
    chosen = settings.similarity if settings.retrieval == "similarity" else settings.retrieval
    return settings if chosen == "bm25" else replace(settings, retrieval="bm25")


def _asked_again(settings: ProjectSettings, annotated: int, budget: int) -> float:
    """Expected calls for tasks of the window whose demonstrations change."""
    k = settings.k or (1 if settings.demonstration_tokens else 0)
    return sum(
        min(settings.window, budget - j) * min(1.0, k / j)
        for j in range(annotated + 1, max(annotated, budget))
    )


def _spread(ids: Sequence[int]) -> Sequence[int]:
    return ids[:: max(1, len(ids) // SAMPLE_TEXTS)][:SAMPLE_TEXTS]


def _per_call(
    tools: Tools, model: LanguageModel, project_id: int, settings: ProjectSettings, texts: Sequence[str]
) -> _PerCall:
    preannotator = Preannotator.of_project(tools, project_id, settings)
    asked = [preannotator.question(text) for text in texts]
    parts = [part for question in asked for part in question.parts]
    if not parts:
        return _PerCall(1.0, 0.0, 0.0, "no texts")
    per_text = len(parts) / len(texts)
    spent = model.spending(project_id)
    if spent.calls >= ENOUGH_CALLS:
        basis = f"the average of {spent.calls} calls so far"
        return _PerCall(
            per_text, spent.prompt_tokens / spent.calls, spent.completion_tokens / spent.calls, basis
        )
    said = _tokens_said(tools, project_id, preannotator)
    prompts = [_tokens_asked(part, settings, said, preannotator, model.context_window) for part in parts]
    answers = [
        said * estimate_tokens(text[part.chunk.start : part.chunk.end])
        for text, question in zip(texts, asked, strict=True)
        for part in question.parts
    ]
    basis = f"estimated from the prompts of {len(texts)} texts"
    return _PerCall(per_text, sum(prompts) / len(parts), sum(answers) / len(parts), basis)


def _tokens_said(tools: Tools, project_id: int, preannotator: Preannotator) -> float:
    """Tokens of an answer per token of text, from the annotations; 1 while there are none."""
    shown = [each.document for each in tools.store.demonstrations(project_id)]
    whole = sum(map(preannotator.demonstration_cost, shown))
    read = sum(estimate_tokens(document.text) for document in shown)
    return (whole - read) / read if read else 1.0


def _tokens_asked(
    part: Part, settings: ProjectSettings, said: float, preannotator: Preannotator, context_window: int
) -> float:
    """Of a prompt, with the demonstrations that it lacks only because too few texts are annotated yet."""
    now = prompt_tokens(part.prompt, form=preannotator.form)
    has = [preannotator.demonstration_cost(shown.document) for shown in part.demonstrations]
    if settings.demonstration_tokens:
        lacking = settings.demonstration_tokens - sum(has)
    else:
        question = part.prompt.messages[-1].content
        lacking = max(0, settings.k - len(has)) * int((1 + said) * estimate_tokens(question))
    return min(now + max(0, lacking), context_window)


def _seconds_per_text(tools: Tools, facts: Mapping[str, str]) -> float | None:
    """That all workers together have taken so far."""
    texts = int(facts.get("asked_texts", 0))
    if not texts:
        return None
    return int(facts["asked_milliseconds"]) / 1000 / texts / max(1, tools.store.workers_alive())


def _cost(
    model: LanguageModel, what: str, texts: float, calls: float, per_call: _PerCall, seconds: float | None
) -> Cost:
    asked, said = round(calls * per_call.prompt_tokens), round(calls * per_call.completion_tokens)
    takes = None if seconds is None else texts * seconds
    return Cost(what, round(calls), asked, said, model.price(asked, said), takes)
