"""Children of the benchmark: one process per figure, so that its peak memory is its own.

``python -m bench.whole select N THREADS [STRATEGY]`` ranks N texts from strings to queue; ``again`` does so
after one annotation and after 100 new texts. One JSON line each.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from allabel_core import Bm25, Pool, select
from bench.corpus import make_texts

BUDGET = 20
ROUNDS = 5


def timed(call: Callable[[], object]) -> dict[str, float]:
    """Wall and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def warm_up(threads: int) -> None:
    """Load the compiled kernels, which a service does once."""
    texts = make_texts(300, tokens=20)
    pool = Pool(threads=threads)
    Bm25(texts, engine="compiled", threads=threads).neighbours(3)
    select(texts, 20, similarity=pool.similarity(texts))


def whole(n: int, threads: int, strategy: str = "allabel") -> dict[str, float]:
    """Budget 5%; three stages by default."""
    texts = make_texts(n)
    warm_up(threads)

    def rank() -> object:
        similarity = Bm25(texts, engine="compiled", threads=threads)
        return select(texts, n // BUDGET, similarity=similarity, strategy=strategy)

    run = timed(rank)
    return {**run, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """Of this process alone; ``getrusage`` would count the parent's memory before the exec."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def again(n: int, threads: int) -> dict[str, float]:
    """From scratch, after one annotation, after 100 new texts: medians over rounds, interleaved."""
    every = make_texts(n + 100 * (ROUNDS + 1))
    pool = Pool(threads=threads)
    budget = n // BUDGET
    texts = every[: n + 100]
    # Once over all paths, so that no kernel is loaded while the clock runs.
    for size in (n, n + 100):
        order = select(every[:size], budget, similarity=pool.similarity(every[:size])).order
    times: dict[str, list[float]] = {"scratch": [], "annotation": [], "new": []}
    for i in range(ROUNDS):
        annotated = order[3 : 4 + i]

        def rank(given: object, annotated: tuple[int, ...] = annotated) -> object:
            return select(texts, budget, similarity=given, annotated=annotated)  # noqa: B023

        times["scratch"].append(timed(lambda rank=rank: rank(Bm25(texts, threads=threads)))["cpu"])  # noqa: B023
        times["annotation"].append(timed(lambda rank=rank: rank(pool.similarity(texts)))["cpu"])  # noqa: B023
        texts = every[: len(texts) + 100]
        times["new"].append(timed(lambda rank=rank: rank(pool.similarity(texts)))["cpu"])  # noqa: B023
    return {name: sorted(seconds)[len(seconds) // 2] for name, seconds in times.items()}


if __name__ == "__main__":
    what, size, threads, *more = sys.argv[1:]
    print(json.dumps({"select": whole, "again": again}[what](int(size), int(threads), *more)))
