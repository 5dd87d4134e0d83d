"""The figures of all projects and processes in Prometheus' text format."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from .meter import FAMILIES, SUM, Family
from .tools import Tools

GAUGES = {
    "tasks": "Tasks of the project.",
    "annotated": "Tasks with a submitted annotation.",
    "budget": "Tasks that people are to annotate.",
    "sync_seconds": "How long the last sync took.",
    "rank_seconds": "How long the last ranking took.",
}
COUNTERS = {"rankings": "Rankings so far.", "publications": "Published queues so far."}
QUEUES = ("allabel-rank", "allabel-suggest", "allabel-learn")


class _Collector:
    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def collect(self) -> Iterator[Metric]:
        projects = self._tools.store.projects()
        yield from self._projects(projects)
        yield from self._spending(projects)
        yield from self._work()
        yield from _processes(self._tools.store.figures())

    def _projects(self, projects: list[int]) -> Iterator[Metric]:
        store = self._tools.store
        facts = {project_id: store.facts(project_id) for project_id in projects}
        for name, text in GAUGES.items():
            known = {number: float(values[name]) for number, values in facts.items() if name in values}
            yield _by_project(name, text, known)
        for name, text in COUNTERS.items():
            counter = CounterMetricFamily(f"allabel_{name}", text, labels=["project"])
            for number, values in facts.items():
                counter.add_metric([str(number)], float(values.get(name, 0)))
            yield counter
        wanted = {number: store.wanted_count(number) for number in projects}
        yield _by_project("wanted_suggestions", "Tasks that wait for the model.", wanted)
        waiting = {number: store.waiting_seconds(number) for number in projects}
        yield _by_project("event_waiting_seconds", "Age of the oldest change not taken in yet.", waiting)
        degraded = {number: float(values.get("state") == "degraded") for number, values in facts.items()}
        yield _by_project("degraded", "1 where the last sync failed.", degraded)

    def _spending(self, projects: list[int]) -> Iterator[Metric]:
        if self._tools.model is None:
            return
        tokens = CounterMetricFamily("allabel_model_tokens", "Tokens, by kind.", labels=["project", "kind"])
        calls = CounterMetricFamily("allabel_model_calls", "Calls of the model.", labels=["project"])
        for project_id in projects:
            spent = self._tools.model.spending(project_id)
            calls.add_metric([str(project_id)], spent.calls)
            for kind in ("prompt", "completion", "cached"):
                tokens.add_metric([str(project_id), kind], getattr(spent, f"{kind}_tokens"))
        yield calls
        yield tokens

    def _work(self) -> Iterator[Metric]:
        store = self._tools.store
        depth = GaugeMetricFamily("allabel_queue_jobs", "Jobs that no worker has begun.", labels=["queue"])
        for queue in QUEUES:
            depth.add_metric([queue], store.jobs_waiting(queue))
        yield depth
        yield GaugeMetricFamily("allabel_workers", "Workers alive.", store.workers_alive())


def _by_project(name: str, text: str, values: dict[int, float] | dict[int, int]) -> Metric:
    gauge = GaugeMetricFamily(f"allabel_{name}", text, labels=["project"])
    for project_id, value in values.items():
        gauge.add_metric([str(project_id)], value)
    return gauge


def _processes(figures: dict[str, float]) -> Iterator[Metric]:
    """What the processes have counted; see ``Meter``."""
    found: dict[str, dict[tuple[str, ...], dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for stored, value in figures.items():
        name, part, *labels = json.loads(stored)
        found[name][tuple(labels)][part] = value
    for name, family in FAMILIES.items():
        yield (_histogram if family.buckets else _counter)(name, family, found[name])


def _counter(name: str, family: Family, found: dict[tuple[str, ...], dict[str, float]]) -> Metric:
    metric = CounterMetricFamily(f"allabel_{name}", family.text, labels=family.labels)
    for labels, parts in found.items():
        metric.add_metric(labels, parts[""])
    return metric


def _histogram(name: str, family: Family, found: dict[tuple[str, ...], dict[str, float]]) -> Metric:
    metric = HistogramMetricFamily(f"allabel_{name}", family.text, labels=family.labels)
    bounds = [*map(str, family.buckets), "+Inf"]
    for labels, parts in found.items():
        total = 0.0
        buckets = []
        for index, bound in enumerate(bounds):
            total += parts.get(str(index), 0)
            buckets.append((bound, total))
        metric.add_metric(labels, buckets, parts.get(SUM, 0))
    return metric


def render_metrics(tools: Tools) -> bytes:
    """All figures, in the text format.

    :raises redis.exceptions.RedisError: Redis does not answer.
    """
    registry = CollectorRegistry()
    registry.register(_Collector(tools))
    return generate_latest(registry)
