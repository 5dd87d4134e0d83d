"""Several workers on one project: how many texts a second they pre-annotate together.

Everything is real but the model, which takes 200 ms for each answer: Label Studio, Redis, backend, workers.
Run from the repository's root: ``python -m bench.scale_out``; the figures go to ``bench/out/scale_out.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from backend.usecases.finish import finish
from bench.corpus import make_texts
from bench.scripted_model import LABEL_CONFIG
from bench.services import OUT, Services, running, wait_for

MODEL_SECONDS = 0.2
CONCURRENCY = 4


def texts_per_second(services: Services, workers: int, texts: int) -> float:
    """Of a project that is being finished, between its first answers and its last."""
    client, store = services.client, services.tools.store
    project_id = client.create_project(f"{workers} workers", LABEL_CONFIG)
    client.import_tasks(project_id, [{"text": text} for text in make_texts(texts, seed=workers)])
    services.connect(project_id, budget="1", window=1)
    wait_for(lambda: store.fact(project_id, "state") == "ready", seconds=300)
    started = services.start_workers(workers - 1)
    finish(services.tools, project_id)
    wait_for(lambda: len(store.suggested(project_id)) > 1, seconds=120, every=0.02)
    first, since = len(store.suggested(project_id)), time.perf_counter()
    wait_for(lambda: store.wanted_count(project_id) == 0, seconds=1800, every=0.02)
    seconds = time.perf_counter() - since
    wait_for(lambda: store.fact(project_id, "state") == "finished", seconds=600)
    for worker in started:
        worker.stop()
    return (texts - first) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--texts", type=int, default=300, help="texts for each worker")
    given = parser.parse_args()
    most = CONCURRENCY / MODEL_SECONDS
    rates: dict[int, float] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), model_seconds=MODEL_SECONDS, concurrency=CONCURRENCY) as services,
    ):
        services.start_workers(1)
        for workers in given.workers:
            rates[workers] = texts_per_second(services, workers, workers * given.texts)
            share = rates[workers] / (workers * most)
            print(f"{workers} workers: {rates[workers]:6.1f} texts/s, {share:.0%} of the model's own pace")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "scale_out.json").write_text(json.dumps({"most_per_worker": most, "texts_per_second": rates}))


if __name__ == "__main__":
    main()
