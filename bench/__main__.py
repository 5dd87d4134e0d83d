"""``make bench``: speed beside peers. Prints tables, saves a plot and the figures under bench/out.

Contenders take turns within each round, with equal threads; medians of core seconds (processor time
of all threads) are compared, which other load on the machine disturbs least. Quote the ratios.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "out"
SAMPLE = 2_000
VOTEK_STEPS = 25
STRATEGIES = ("allabel", "coverage", "fast-votek", "coreset-warm")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[3_000, 10_000], help="texts; peers run on these"
    )
    parser.add_argument(
        "--whole", type=int, nargs="+", default=[3_000, 10_000, 30_000], help="texts, ours alone"
    )
    parser.add_argument("--large", action="store_true", help="also 100,000 texts, ours alone: some minutes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    results: dict[str, Any] = {"threads": options.threads}
    results["neighbours"] = {n: neighbours(n, options.threads, options.rounds) for n in options.sizes}
    results["coreset"] = dense(3_000, options.rounds)
    results["votek"] = votek(3_000)
    sizes = [*options.whole, *([100_000] if options.large else [])]
    results["whole"] = whole(sizes, options.threads)
    results["strategies"] = strategies(10_000, options.threads)
    results["again"] = again(10_000, options.threads)
    (OUT / "figures.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
    plot(results)
    print(f"\nSaved {OUT / 'figures.json'} and {OUT / 'neighbours.png'}")


def in_turns(contenders: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Median core seconds of each; the round that loads compiled code is not counted."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(rounds + 1):
        for name, call in contenders.items():
            start = time.process_time()
            factor = call()
            if i:
                times[name].append((time.process_time() - start) * factor)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def neighbours(n: int, threads: int, rounds: int) -> dict[str, float]:
    import numpy as np

    from bench import neighbours as stage
    from bench.corpus import make_texts

    queries = np.random.default_rng(0).permutation(n)[: n if n <= 10_000 else SAMPLE]
    seconds = in_turns(stage.contenders(make_texts(n), queries, threads), rounds)
    table(f"Top 3 by BM25 of {len(queries):,} of {n:,} texts x 100 tokens, {threads} thread(s)", seconds)
    return seconds


def dense(n: int, rounds: int) -> dict[str, float]:
    from bench import dense as stage

    calls = {name: (lambda call=call: (call(), 1.0)[1]) for name, call in stage.contenders(n).items()}
    seconds = in_turns(calls, rounds)
    table(f"Core-set of {n // 20} among {n:,} dense vectors", seconds)
    return seconds


def votek(n: int) -> dict[str, float]:
    from bench.votek import compare

    found = compare(n, VOTEK_STEPS)
    seconds = {"allabel": found.ours, f"published ({found.steps} steps)": found.published}
    table(f"Fast vote-k, {n // 20} among {n:,}; {found.equal} of {found.steps} picks equal", seconds)
    return seconds


def strategies(n: int, threads: int) -> dict[str, dict[str, float]]:
    print(f"\n{n:,} texts, budget 5%, from strings to queue, {threads} thread(s)")
    found = {name: child("select", n, threads, name) for name in STRATEGIES}
    for name, run in found.items():
        print(f"{name:>20} {run['cpu']:10.2f} core s {run['peak_mb']:8.0f} MB")
    return found


def whole(sizes: list[int], threads: int) -> dict[int, dict[str, float]]:
    print(f"\nThree stages, BM25, budget 5%, from strings to queue, {threads} thread(s)")
    print(f"{'texts':>9} {'wall s':>8} {'core s':>8} {'peak MB':>8} {'exponent':>9}")
    found: dict[int, dict[str, float]] = {}
    for n in sizes:
        run = child("select", n, threads)
        before = max((m for m in found if m < n), default=None)
        exponent = math.log(run["cpu"] / found[before]["cpu"]) / math.log(n / before) if before else math.nan
        found[n] = run
        print(f"{n:9,} {run['wall']:8.2f} {run['cpu']:8.2f} {run['peak_mb']:8.0f} {exponent:9.2f}")
    return found


def again(n: int, threads: int) -> dict[str, float]:
    run = child("again", n, threads)
    print(f"\nRanking {n:,} texts again (core seconds)")
    for name, label in (
        ("scratch", "from scratch"),
        ("annotation", "one annotation"),
        ("new", "100 new texts"),
    ):
        print(f"{label:>16} {run[name]:8.3f} {run['scratch'] / run[name]:8.1f}x")
    return run


def child(what: str, n: int, threads: int, *more: str) -> dict[str, float]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench.whole", what, str(n), str(threads), *more]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(answer.stdout)


def table(title: str, seconds: dict[str, float]) -> None:
    print(f"\n{title}")
    for name, value in seconds.items():
        print(f"{name:>20} {value:10.3f} core s {value / seconds['allabel']:10.1f}x")


def plot(results: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    sizes = list(results["neighbours"])
    for name in results["neighbours"][sizes[0]]:
        axes.loglog(sizes, [results["neighbours"][n][name] for n in sizes], marker="o", label=name)
    axes.set(xlabel="texts", ylabel="core seconds", title="Every text's 3 most similar others, BM25")
    axes.legend()
    figure.savefig(OUT / "neighbours.png", dpi=150)


if __name__ == "__main__":
    # Equal threads: no library may take more than it is given.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
