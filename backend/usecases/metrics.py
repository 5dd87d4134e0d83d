"""The figures of all projects in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from .tools import Tools

GAUGES = {
    "tasks": "Tasks of the project.",
    "annotated": "Tasks with a submitted annotation.",
    "budget": "Tasks that people are to annotate.",
    "sync_seconds": "How long the last sync took.",
    "rank_seconds": "How long the last ranking took.",
}
COUNTERS = {"rankings": "Rankings so far.", "publications": "Published queues so far."}


class _Collector:
    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def collect(self) -> Iterator[Metric]:
        store = self._tools.store
        projects = {project_id: store.facts(project_id) for project_id in store.projects()}
        for name, text in GAUGES.items():
            gauge = GaugeMetricFamily(f"allabel_{name}", text, labels=["project"])
            for project_id, facts in projects.items():
                if name in facts:
                    gauge.add_metric([str(project_id)], float(facts[name]))
            yield gauge
        for name, text in COUNTERS.items():
            counter = CounterMetricFamily(f"allabel_{name}", text, labels=["project"])
            for project_id, facts in projects.items():
                counter.add_metric([str(project_id)], float(facts.get(name, 0)))
            yield counter
        waiting = GaugeMetricFamily(
            "allabel_wanted_suggestions", "Tasks that wait for the model.", labels=["project"]
        )
        for project_id in projects:
            waiting.add_metric([str(project_id)], len(store.wanted(project_id)))
        yield waiting
        yield from self._spending(list(projects))

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


def render_metrics(tools: Tools) -> bytes:
    """All figures, in the text format."""
    registry = CollectorRegistry()
    registry.register(_Collector(tools))
    return generate_latest(registry)
