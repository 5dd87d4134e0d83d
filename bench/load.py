"""Fifty people annotate one project of 10,000 tasks as fast as Label Studio lets them.

Everything is real but the people and the model, which answers in 200 ms: Label Studio on SQLite, Redis,
backend, one worker. All of it runs on this machine's loopback interface. Afterwards a batch of 100 tasks is
asked of a slow model. Run from the repository's root: ``python -m bench.load --seconds 120``; the figures
go to ``bench/out/load.json``, the memory over time to ``bench/out/load.png``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx

from backend.usecases.publish import VERSION
from bench.annotators import Annotators, Work, sign_up
from bench.corpus import make_texts
from bench.processes import MemoryWatch
from bench.scripted_model import LABEL_CONFIG
from bench.services import OUT, SETTLED, Services, place, running, wait_for

MODEL_SECONDS = 0.2
SLOW_MODEL_SECONDS = 10.0
BATCH = 100
LABEL_STUDIO_WAITS = 100.0
ALONE_TASKS = 2_000


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    """Count, median, 99th percentile and greatest."""
    values = sorted(milliseconds)
    if not values:
        return {"count": 0}
    at = {name: values[min(len(values) - 1, int(share * len(values)))] for name, share in QUANTILES}
    return {"count": len(values), **at, "max": values[-1]}


QUANTILES = (("p50", 0.5), ("p99", 0.99))


def new_project(services: Services, title: str, tasks: int) -> int:
    project_id = services.client.create_project(title, LABEL_CONFIG)
    services.client.import_tasks(project_id, [{"text": text} for text in make_texts(tasks, tokens=60)])
    return project_id


def settled(services: Services, project_id: int) -> bool:
    store = services.tools.store
    return not store.dirty(project_id)[0] and store.fact(project_id, "state") in SETTLED


def summary(work: Work, seconds: float) -> dict[str, Any]:
    return {
        "annotations_per_second": len(work.submitted) / seconds,
        "requests_per_second": (len(work.next_ms) + len(work.submit_ms)) / seconds,
        "next_task_ms": percentiles(work.next_ms),
        "submit_ms": percentiles(work.submit_ms),
        "refused": dict(work.refused),
        "failed": dict(work.failed),
    }


def under_load(services: Services, annotators: Annotators, tasks: int, seconds: float) -> dict[str, Any]:
    """The figures of the product while people annotate, and what is wrong in the end: nothing, one hopes."""
    project_id = new_project(services, "Load", tasks)
    window = 2 * len(annotators.tokens)
    started = time.monotonic()
    services.connect(project_id, budget="50%", window=window)
    services.start_workers(1)
    wait_for(lambda: settled(services, project_id), seconds=600)
    first_queue = time.monotonic() - started
    before = httpx.get(f"{services.backend_url}/timings?reset=1").json()
    with MemoryWatch(services.worker_pids()[0]) as memory:
        work = asyncio.run(annotators.annotate(project_id, seconds))
        submitted = time.monotonic()
        wait_for(lambda: settled(services, project_id), seconds=600)
    timings = httpx.get(f"{services.backend_url}/timings").json()
    facts = services.tools.store.facts(project_id)
    return {
        "seconds_to_first_queue": first_queue,
        "label_studio": summary(work, seconds),
        "backend_ms": {path: percentiles(took) for path, took in timings["took"].items()},
        "backend_errors": timings["failed"],
        "backend_cpu_ms_per_request": 1000
        * (timings["cpu_seconds"] - before["cpu_seconds"])
        / max(1, sum(map(len, timings["took"].values()))),
        "seconds_to_converge": time.monotonic() - submitted,
        "rankings": int(facts["rankings"]),
        "publications": int(facts["publications"]),
        "last_sync_seconds": float(facts["sync_seconds"]),
        "last_rank_seconds": float(facts["rank_seconds"]),
        "worker_megabytes": memory.megabytes,
        "wrong": wrong(services, project_id, list(work.submitted.values()), window),
    }


def wrong(services: Services, project_id: int, submitted: list[int], window: int) -> list[str]:
    """What does not add up between what people submitted, Label Studio and us."""
    store, client = services.tools.store, services.client
    shown = {each.task_id for each in store.demonstrations(project_id)}
    queue = [entry.task_id for entry in store.queue(project_id)]
    version = store.fact(project_id, "version") or ""
    published = list(store.published(project_id))
    open_front = [task_id for task_id in published if task_id not in shown]
    found = []
    if lost := set(submitted) - shown:
        found.append(f"{len(lost)} submitted annotations are no demonstrations")
    annotated = {task.id for task in client.annotated_tasks(project_id)}
    if annotated != shown or not set(submitted) <= annotated:
        found.append(f"{len(annotated)} tasks are annotated in Label Studio, {len(shown)} are demonstrations")
    if len(set(queue)) != len(queue) or set(queue) & shown:
        found.append("a task stands twice in the queue, or in it though annotated")
    if len(queue) + len(shown) != int(store.fact(project_id, "budget") or 0):
        found.append("queue and annotations do not make up the budget")
    if open_front[: len(queue)][:window] != queue[:window]:
        found.append("what is published is not the front of the queue")
    versions = [name for name in client.versions(project_id) if VERSION.fullmatch(name)]
    if versions != [version]:
        found.append(f"versions in Label Studio: {versions}, ours {version}")
    for task_id in published[:10]:
        task = services.call("GET", f"api/tasks/{task_id}/")
        if [each["model_version"] for each in task["predictions"]] != [version]:
            found.append(f"task {task_id} has {len(task['predictions'])} predictions")
    return found


def slow_model(services: Services) -> dict[str, Any]:
    """'Retrieve predictions' for a batch that the model cannot do in time, and what comes of it."""
    store = services.tools.store
    project_id = new_project(services, "Slow model", 2 * BATCH)
    services.connect(project_id, budget="30")
    wait_for(lambda: settled(services, project_id), seconds=600)
    ids = [task_id for task_id in store.task_ids(project_id) if task_id not in store.published(project_id)]
    services.set_model_seconds(SLOW_MODEL_SECONDS)
    selected = {"all": False, "included": ids[:BATCH]}
    httpx.get(f"{services.backend_url}/timings?reset=1")
    started = time.monotonic()
    services.call(
        "POST",
        "api/dm/actions/",
        params={"id": "retrieve_tasks_predictions", "project": project_id},
        json={"selectedItems": selected},
        timeout=2 * LABEL_STUDIO_WAITS,
    )
    answered = time.monotonic() - started
    ours = max(httpx.get(f"{services.backend_url}/timings").json()["took"]["/predict"]) / 1000
    in_time = len(store.suggestions(project_id, ids[:BATCH]))
    services.set_model_seconds(MODEL_SECONDS)
    wait_for(lambda: settled(services, project_id) and not store.wanted_count(project_id), seconds=600)
    filled = time.monotonic() - started - answered
    version = store.fact(project_id, "version") or ""
    missing = [t for t in store.late(project_id) if not shown_results(services, t, version)]
    return {
        "seconds_until_label_studio_was_done": answered,
        "seconds_until_our_answer": ours,
        "tasks": BATCH,
        "suggested_in_time": in_time,
        "seconds_until_the_rest_was_filled_in": filled,
        "never_filled_in": len(missing),
    }


def shown_results(services: Services, task_id: int, version: str) -> list[Any]:
    """The regions that an annotator who opens the task sees."""
    task = services.call("GET", f"api/tasks/{task_id}/")
    return [r for each in task["predictions"] if each["model_version"] == version for r in each["result"]]


def plot(megabytes: list[float]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3), layout="constrained")
    axes.plot(megabytes)
    axes.set(xlabel="seconds", ylabel="worker, resident MB", ylim=(0, None))
    figure.savefig(OUT / "load.png", dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--annotators", type=int, default=50, choices=range(1, 101), metavar="1..100")
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--no-slow-model", action="store_true", help="leave out the slow model's batch")
    parser.add_argument("--directory", type=Path, help="kept, so that Label Studio starts sooner next time")
    given = parser.parse_args()
    with (
        place(given.directory) as folder,
        running(folder, model_seconds=MODEL_SECONDS) as services,
    ):
        tokens = sign_up(services.label_studio.base_url, given.annotators)
        annotators = Annotators(services.label_studio.base_url, tokens)
        alone = asyncio.run(
            annotators.annotate(new_project(services, "Alone", ALONE_TASKS), given.seconds / 4)
        )
        figures = {
            "seconds": given.seconds,
            "annotators": given.annotators,
            "tasks": given.tasks,
            "label_studio_without_us": summary(alone, given.seconds / 4),
            "with_us": under_load(services, annotators, given.tasks, given.seconds),
        }
        if not given.no_slow_model:
            figures["slow_model"] = slow_model(services)
    OUT.mkdir(parents=True, exist_ok=True)
    plot(figures["with_us"]["worker_megabytes"])
    (OUT / "load.json").write_text(json.dumps(figures, indent=1))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
