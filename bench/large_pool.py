"""A project of 100,000 short tasks on the real Label Studio: reading, ranking, memory, one more annotation.

The worker is killed while it reads, and goes on where it stopped. Run from the repository's root:
``python -m bench.large_pool``; the figures go to ``bench/out/large_pool.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from bench.corpus import make_texts
from bench.processes import MemoryWatch
from bench.scripted_model import LABEL_CONFIG
from bench.services import OUT, SETTLED, Services, place, running, wait_for

IMPORTED_AT_ONCE = 5_000
ROUNDS = 3


def import_all(services: Services, tasks: int, tokens: int) -> int:
    project_id = services.client.create_project("Large pool", LABEL_CONFIG)
    texts = make_texts(tasks, tokens=tokens)
    for start in range(0, tasks, IMPORTED_AT_ONCE):
        services.client.import_tasks(
            project_id, [{"text": text} for text in texts[start : start + IMPORTED_AT_ONCE]]
        )
    return project_id


def read_with_a_kill(services: Services, project_id: int, tasks: int) -> dict[str, float]:
    """A worker reads and is killed at a third; the next one goes on. Seconds of both parts, and where."""
    store = services.tools.store
    services.start_workers(1)
    begun = wait_for(lambda: store.task_counts(project_id)[0] > 0, seconds=600)
    before = wait_for(lambda: store.task_counts(project_id)[0] > tasks / 3, seconds=3600)
    [killed] = services.worker_pids()
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: not services.worker_pids(), seconds=60)
    read_before = store.task_counts(project_id)[0]
    services.start_workers(1)
    waited = wait_for(lambda: store.task_counts(project_id)[0] > read_before, seconds=600)
    after = wait_for(lambda: store.task_counts(project_id)[0] == tasks, seconds=3600)
    return {
        "tasks_before_the_kill": read_before,
        "seconds_to_first_page": begun,
        "seconds_before": before,
        "seconds_until_taken_up": waited,
        "seconds_after": after,
    }


def settle(services: Services, project_id: int, seconds: float = 3600) -> float:
    store = services.tools.store
    return wait_for(
        lambda: not store.dirty(project_id)[0] and store.fact(project_id, "state") in SETTLED, seconds=seconds
    )


def one_more_annotation(services: Services, project_id: int) -> dict[str, float]:
    """Seconds from an annotation to the queue published anew, and of the ranking in them."""
    store = services.tools.store
    task_id = store.queue(project_id, 1)[0].task_id
    rankings = store.fact(project_id, "rankings")
    services.client.open_task(task_id)
    started = time.monotonic()
    services.client.submit_annotation(task_id, [])
    wait_for(lambda: store.fact(project_id, "rankings") != rankings, seconds=600, every=0.01)
    wait_for(lambda: not store.dirty(project_id)[0], seconds=600, every=0.01)
    seconds = time.monotonic() - started
    settle(services, project_id)
    return {"seconds": seconds, "rank_seconds": float(store.fact(project_id, "rank_seconds") or 0)}


def redis_megabytes(services: Services, project_id: int) -> dict[str, float]:
    redis = services.tools.store.redis
    keys = list(redis.scan_iter(f"allabel:project:{project_id}:*"))
    sizes = {
        key.decode().rsplit(":", 1)[1]: (redis.memory_usage(key, samples=0) or 0) / 2**20 for key in keys
    }
    return {
        "all": redis.info("memory")["used_memory"] / 2**20,
        **{name: round(size, 2) for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:5]},
    }


def measure(services: Services, tasks: int, tokens: int) -> dict[str, Any]:
    started = time.monotonic()
    project_id = import_all(services, tasks, tokens)
    figures: dict[str, Any] = {"tasks": tasks, "seconds_to_import": time.monotonic() - started}
    services.connect(project_id, budget="10%", window=25)
    figures["reading"] = read_with_a_kill(services, project_id, tasks)
    with MemoryWatch(services.worker_pids()[-1]) as memory:
        figures["seconds_from_read_to_published"] = settle(services, project_id)
        figures["first_rank_seconds"] = float(services.tools.store.fact(project_id, "rank_seconds") or 0)
        figures["one_more_annotation"] = [one_more_annotation(services, project_id) for _ in range(ROUNDS)]
    figures["worker_megabytes"] = {"most": max(memory.megabytes), "in_the_end": memory.megabytes[-1]}
    figures["redis_megabytes"] = redis_megabytes(services, project_id)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--tokens", type=int, default=20, help="words of a text")
    parser.add_argument("--directory", type=Path, help="kept, so that Label Studio starts sooner next time")
    given = parser.parse_args()
    with place(given.directory) as folder, running(folder, model_seconds=0.2) as services:
        figures = measure(services, given.tasks, given.tokens)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "large_pool.json").write_text(json.dumps(figures, indent=1))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
