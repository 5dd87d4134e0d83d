"""1, 5, 20 and 50 people annotate 10,000 tasks at a person's pace, then as fast as Label Studio lets them.

Everything is real but the people and the model, which answers in 200 ms: Label Studio on SQLite (or, with
``--postgres``, on PostgreSQL with two processes), Redis, backend, one worker. All of it runs on this
machine's loopback interface. Beside each run the same people annotate a project without us, half of the
time before it and half after. Afterwards a batch of 100 tasks is asked of a slow model. Run from the
repository's root: ``python -m bench.load --people 5 20 --seconds 60``; the figures go to
``bench/out/load.json``, the memory over time to ``bench/out/load.png``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from bench.annotators import Annotators, Work, sign_up
from bench.corpus import make_texts
from bench.load_checks import wrong
from bench.processes import MemoryWatch
from bench.scripted_model import LABEL_CONFIG
from bench.services import OUT, Services, place, running, settled, wait_for
from bench.slow_model import MODEL_SECONDS, slow_model

FRONT = 150
"""How far from the queue's front it is looked for what nobody has open."""

ALONE_TASKS = 2_000
QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
OURS = re.compile(r'"(GET|POST|PATCH|PUT|DELETE) (/api/[^ ?]*)')
DJANGO = "[django.server::"
OF_PEOPLE = re.compile(r"/api/(dm/actions|tasks/ID/annotations|current-user/token)/?$")


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    """Count, some quantiles and the greatest."""
    values = sorted(milliseconds)
    if not values:
        return {"count": 0}
    at = {name: values[min(len(values) - 1, int(share * len(values)))] for name, share in QUANTILES}
    return {"count": len(values), **at, "max": values[-1]}


def new_project(services: Services, title: str, tasks: int) -> int:
    project_id = services.client.create_project(title, LABEL_CONFIG)
    services.client.import_tasks(project_id, [{"text": text} for text in make_texts(tasks, tokens=60)])
    return project_id


def summary(work: Work, seconds: float) -> dict[str, Any]:
    return {
        "annotations_per_second": len(work.submitted) / seconds,
        "requests_per_second": (len(work.next_ms) + len(work.submit_ms)) / seconds,
        "answered": work.served / max(1, work.asked),
        "served_to_two": work.twice,
        "next_task_ms": percentiles(work.next_ms),
        "submit_ms": percentiles(work.submit_ms),
        "refused": dict(work.refused),
        "failed": dict(work.failed),
    }


class CallsOfLabelStudio:
    """What it was asked since, by its log, without what the people of this benchmark ask."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._begin = log.stat().st_size

    def since(self) -> Counter[str]:
        with self._log.open("rb") as lines:
            lines.seek(self._begin)
            written = lines.read().decode("utf-8", "replace").splitlines()
        # Django's server writes every line twice; gunicorn, which writes it once, has no such name.
        once = [
            *{line for line in written if DJANGO in line},
            *(line for line in written if DJANGO not in line),
        ]
        asked = OURS.findall("\n".join(once))
        calls = ((method, re.sub(r"/\d+", "/ID", path)) for method, path in asked)
        return Counter(f"{method} {path}" for method, path in calls if not OF_PEOPLE.search(path))


def set_up(services: Services, tasks: int, budget: str) -> tuple[int, float]:
    """A connected project with its first queue, and the seconds that this took."""
    project_id = new_project(services, "Load", tasks)
    started = time.monotonic()
    services.connect(project_id, budget=budget)
    services.start_workers(1)
    wait_for(lambda: settled(services, project_id), seconds=900)
    return project_id, time.monotonic() - started


def under_load(services: Services, annotators: Annotators, project_id: int, seconds: float) -> dict[str, Any]:
    """The figures of the product while people annotate, and what is wrong in the end: nothing, one hopes."""
    store = services.tools.store
    before = httpx.get(f"{services.backend_url}/timings?reset=1").json()
    facts_before = store.facts(project_id)
    calls = CallsOfLabelStudio(services.label_studio.log)
    with MemoryWatch(services.worker_pids()[0]) as memory:
        work = asyncio.run(
            annotators.annotate(
                project_id, seconds, lambda: [entry.task_id for entry in store.queue(project_id, FRONT)]
            )
        )
        asked = calls.since()
        submitted = time.monotonic()
        wait_for(lambda: settled(services, project_id), seconds=900)
    timings = httpx.get(f"{services.backend_url}/timings").json()
    facts = store.facts(project_id)
    publications = int(facts["publications"]) - int(facts_before.get("publications", 0))
    return summary(work, seconds) | {
        "in_order": work.in_order / max(1, work.served),
        "publications": publications,
        "rankings": int(facts["rankings"]) - int(facts_before["rankings"]),
        "calls": dict(asked.most_common()),
        "calls_per_publication": asked.total() / max(1, publications),
        "calls_per_annotation": asked.total() / max(1, len(work.submitted)),
        "seconds_to_converge": time.monotonic() - submitted,
        "last_sync_seconds": float(facts["sync_seconds"]),
        "last_rank_seconds": float(facts["rank_seconds"]),
        "backend_ms": {path: percentiles(took) for path, took in timings["took"].items()},
        "backend_errors": timings["failed"],
        "backend_cpu_ms_per_request": 1000
        * (timings["cpu_seconds"] - before["cpu_seconds"])
        / max(1, sum(map(len, timings["took"].values()))),
        "worker_megabytes": memory.megabytes,
        "wrong": wrong(services, project_id, work.submitted),
    }


def beside_label_studio_alone(
    services: Services, annotators: Annotators, project_id: int, seconds: float
) -> dict[str, Any]:
    """Half of the time without us, then with us, then the other half."""
    alone = Work()

    def without_us() -> None:
        half = asyncio.run(
            annotators.annotate(new_project(services, "Alone", ALONE_TASKS), max(20.0, seconds / 2))
        )
        alone.next_ms.extend(half.next_ms)
        alone.submit_ms.extend(half.submit_ms)
        alone.submitted |= half.submitted
        alone.asked, alone.served = alone.asked + half.asked, alone.served + half.served
        alone.refused += half.refused
        alone.failed += half.failed

    without_us()
    ours = under_load(services, annotators, project_id, seconds)
    without_us()
    theirs = summary(alone, 2 * max(20.0, seconds / 2))
    times = {
        name: round(ours[name]["p50"] / theirs[name]["p50"], 2)
        for name in ("next_task_ms", "submit_ms")
        if ours[name]["count"] and theirs[name]["count"]
    }
    return {
        "people": len(annotators.tokens),
        "pauses": annotators.pauses,
        "with_us": ours,
        "label_studio_alone": theirs,
        "times_label_studio_alone": times,
    }


def plot(megabytes: list[float]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3), layout="constrained")
    axes.plot(megabytes)
    axes.set(xlabel="seconds", ylabel="worker, resident MB", ylim=(0, None))
    figure.savefig(OUT / "load.png", dpi=150)


COLUMNS = "{:>6} {:>7} {:>8} {:>7} {:>8}  {:>21}  {:>21} {:>9}  {}"
HEAD = ("people", "pauses", "answered", "refused", "in order", "next task", "Submit", "calls/pub", "wrong")


def table(runs: list[dict[str, Any]]) -> str:
    """One line a run; latencies are median and 95th percentile in seconds, and times Label Studio alone."""
    lines = [COLUMNS.format(*HEAD)]
    for run in runs:
        ours, low, high = run["with_us"], *run["pauses"]
        latencies = []
        for name in ("next_task_ms", "submit_ms"):
            p50, p95 = (ours[name].get(at, 0) / 1000 for at in ("p50", "p95"))
            latencies.append(f"{p50:.2f} {p95:.2f} ({run['times_label_studio_alone'].get(name, '-')}x)")
        refused = sum(ours["refused"].values())
        shares = f"{100 * ours['answered']:.0f}%", refused, f"{100 * ours['in_order']:.0f}%"
        calls = f"{ours['calls_per_publication']:.1f}"
        wrongs = "; ".join(ours["wrong"]) or "nothing"
        lines.append(
            COLUMNS.format(run["people"], f"{low:.0f}-{high:.0f}", *shares, *latencies, calls, wrongs)
        )
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, nargs="+", default=[1, 5, 20, 50])
    parser.add_argument("--seconds", type=float, default=60, help="of each run")
    parser.add_argument(
        "--pauses", type=float, nargs=2, default=(5, 20), help="seconds over a text, least and most"
    )
    parser.add_argument("--only-pauses", action="store_true", help="leave out the runs without pauses")
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--budget", default="50%")
    parser.add_argument("--postgres", action="store_true", help="Label Studio on PostgreSQL, two processes")
    parser.add_argument("--no-slow-model", action="store_true", help="leave out the slow model's batch")
    parser.add_argument("--directory", type=Path, help="kept, so that Label Studio starts sooner next time")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    pauses = [tuple(given.pauses), *([] if given.only_pauses else [(0.0, 0.0)])]
    runs: list[dict[str, Any]] = []
    with (
        place(given.directory) as folder,
        running(folder, model_seconds=MODEL_SECONDS, postgres=given.postgres) as services,
    ):
        tokens = sign_up(services.label_studio.base_url, max(given.people))
        project_id, first_queue = set_up(services, given.tasks, given.budget)
        team = Annotators(services.label_studio.base_url, tokens)
        for pause in pauses:
            for people in given.people:
                annotators = replace(team, tokens=tokens[:people], pauses=pause)
                runs.append(beside_label_studio_alone(services, annotators, project_id, given.seconds))
                print(table(runs[-1:]), flush=True)
        figures: dict[str, Any] = {
            "seconds": given.seconds,
            "tasks": given.tasks,
            "database": "PostgreSQL" if given.postgres else "SQLite",
            "seconds_to_first_queue": first_queue,
            "runs": runs,
        }
        if not given.no_slow_model:
            figures["slow_model"] = slow_model(services, new_project)
    OUT.mkdir(parents=True, exist_ok=True)
    plot([megabytes for run in runs for megabytes in run["with_us"]["worker_megabytes"]])
    (OUT / "load.json").write_text(json.dumps(figures, indent=1))
    print(json.dumps({name: value for name, value in figures.items() if name != "runs"}, indent=1))
    print(table(runs))


if __name__ == "__main__":
    main()
