"""What the language-model adapter adds to a model's own time, and whether its memory stays flat.

A scripted model that takes 50 ms per answer runs in a process of its own, Redis (if installed) in
another. Beside the adapter, the bare ``openai`` client sends the same requests at the same
concurrency: the difference is ours. Run from the repository's root: ``python -m bench.llm_overhead``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from redis import Redis

from allabel_core.prompting import LabelSet, Prompt, build_prompt
from allabel_core.types import Document, Span
from backend.adapters.llm import OpenAiModel
from backend.adapters.llm_config import LlmConfig
from backend.adapters.llm_endpoint import open_client
from backend.adapters.llm_store import KeyValue, MemoryKeyValue, RedisKeyValue
from backend.adapters.llm_wire import Capabilities, request_body
from backend.ports import Answer

MODEL_SECONDS = 0.05
CONCURRENCY = 16
BATCH = 500

LABELS = LabelSet(("Material", "Amount", "Operation"))
SENTENCE = "The BaTiO3 powder was mixed with 0.5 mol of TiO2 and fired at 900 C for 6 h in air. "
DEMONSTRATIONS = [Document(SENTENCE * 4, (Span(4, 10, "Material"), Span(33, 40, "Amount")))] * 3


def prompts(start: int, count: int) -> list[Prompt]:
    """About 100 tokens of text each, three demonstrations of the same length."""
    return [
        build_prompt(LABELS, DEMONSTRATIONS, f"{SENTENCE * 4}No {i}.") for i in range(start, start + count)
    ]


@contextlib.contextmanager
def scripted_model() -> Iterator[str]:
    script = Path(__file__).parents[1] / "tests" / "scripted_llm.py"
    command = [sys.executable, str(script), "0", str(MODEL_SECONDS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


@contextlib.contextmanager
def some_store() -> Iterator[tuple[str, KeyValue]]:
    server = shutil.which("redis-server")
    if server is None:
        yield "memory", MemoryKeyValue()
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "socket"
        command = [server, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            while not path.exists():
                time.sleep(0.02)
            with Redis(unix_socket_path=str(path)) as redis:
                yield "redis", RedisKeyValue(redis)
            process.terminate()


async def bare_client(config: LlmConfig, batch: list[Prompt]) -> None:
    can = Capabilities(json="json_schema", logprobs=True, seed=True)
    waiting = iter(batch)
    async with open_client(config) as client:
        completions: Any = client.chat.completions

        async def work() -> None:
            for prompt in waiting:
                await completions.create(**request_body(prompt, can, config))

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


def report(name: str, count: int, seconds: float, cpu: float) -> float:
    """Milliseconds that one text occupies one of the places beyond the model's own time."""
    added = 1000 * (seconds * CONCURRENCY / count - MODEL_SECONDS)
    cpu_each = 1000 * cpu / count
    print(f"{name:28} {count:5} texts {seconds:6.2f} s  {added:6.2f} ms per text  CPU {cpu_each:5.2f} ms")
    return added


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def answered(model: OpenAiModel, batch: list[Prompt]) -> None:
    outcomes = model.answer(batch, project_id=1)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)


def timed(name: str, count: int, run: Callable[[], None]) -> float:
    start, cpu = time.perf_counter(), time.process_time()
    run()
    return report(name, count, time.perf_counter() - start, time.process_time() - cpu)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=10_000, help="texts of the memory measurement")
    texts = parser.parse_args().texts
    with scripted_model() as url, some_store() as (kind, store):
        config = LlmConfig(model="scripted", base_url=url, concurrency=CONCURRENCY, seed=1)
        model = OpenAiModel(config, store)
        print(model.check(), f"; store: {kind}")
        batch = prompts(0, BATCH)
        asyncio.run(bare_client(config, batch))
        bare = timed("bare openai client", BATCH, lambda: asyncio.run(bare_client(config, batch)))
        ours = timed("adapter", BATCH, lambda: answered(model, batch))
        print(f"the adapter beside the bare client: {ours - bare:+.2f} ms per text")
        timed("adapter, all from the cache", BATCH, lambda: answered(model, batch))
        before = resident_megabytes()
        for start in range(BATCH, texts, BATCH):
            answered(model, prompts(start, min(BATCH, texts - start)))
        after = resident_megabytes()
        print(f"resident memory {before:.1f} MB after {BATCH} texts, {after:.1f} MB after {texts}")


if __name__ == "__main__":
    main()
