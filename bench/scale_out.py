"""Several workers on one project: how many texts a second they pre-annotate together.

Everything is real but the model, which takes 200 ms for each answer: Label Studio, Redis, backend, workers.
Run from the repository's root: ``python -m bench.scale_out``; the figures go to ``bench/out/scale_out.json``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from backend.usecases.finish import finish
from bench.corpus import make_texts
from bench.processes import cpu_seconds
from bench.scripted_model import LABEL_CONFIG
from bench.services import OUT, Services, place, running, wait_for

MODEL_SECONDS = 0.2
CONCURRENCY = 4


def finished(services: Services, workers: int, texts: int) -> dict[str, float]:
    """Texts a second between a project's first answers and its last, and processor time of workers for each.

    What other programs do on the machine slows the former, but hardly changes the latter.
    """
    client, store = services.client, services.tools.store
    project_id = client.create_project(f"{workers} workers", LABEL_CONFIG)
    client.import_tasks(project_id, [{"text": text} for text in make_texts(texts, seed=workers)])
    services.connect(project_id, budget="1", window=1)
    wait_for(lambda: store.fact(project_id, "state") == "ready", seconds=300)
    started = services.start_workers(workers - 1)
    finish(services.tools, project_id)
    wait_for(lambda: len(store.suggested(project_id)) > 1, seconds=120, every=0.02)
    pids = services.worker_pids()
    first, since, cpu = len(store.suggested(project_id)), time.perf_counter(), sum(map(cpu_seconds, pids))
    wait_for(lambda: store.wanted_count(project_id) == 0, seconds=1800, every=0.02)
    seconds, cpu = time.perf_counter() - since, sum(map(cpu_seconds, pids)) - cpu
    wait_for(lambda: store.fact(project_id, "state") == "finished", seconds=600)
    for worker in started:
        worker.stop()
    return {"texts_per_second": (texts - first) / seconds, "cpu_ms_per_text": 1000 * cpu / (texts - first)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--texts", type=int, default=300, help="texts for each worker")
    parser.add_argument("--directory", type=Path, help="kept, so that Label Studio starts sooner next time")
    given = parser.parse_args()
    most = CONCURRENCY / MODEL_SECONDS
    figures: dict[int, dict[str, float]] = {}
    with (
        place(given.directory) as folder,
        running(folder, model_seconds=MODEL_SECONDS, concurrency=CONCURRENCY) as services,
    ):
        services.start_workers(1)
        for workers in given.workers:
            found = figures[workers] = finished(services, workers, workers * given.texts)
            share = found["texts_per_second"] / (workers * most)
            print(
                f"{workers} workers: {found['texts_per_second']:6.1f} texts/s, {share:.0%} of the model's; "
                f"{found['cpu_ms_per_text']:.1f} ms of processor time for each text",
                flush=True,
            )
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "scale_out.json").write_text(json.dumps({"most_per_worker": most, "workers": figures}, indent=1))


if __name__ == "__main__":
    main()
