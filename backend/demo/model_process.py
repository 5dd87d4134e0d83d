"""The embedded language model: llama.cpp's OpenAI-compatible server on loopback, as one process.

``python -m ...demo.model_process --model FILE --port N``. Bounded on purpose: one slot per worker, no
prompt cache beyond the slots' own contexts and few checkpoints, since llama.cpp's defaults (8 GB of
cache, 32 checkpoints a slot) once grew past 4 GB.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from typing import Any

from .processes import LOOPBACK

PROMPT_CACHE_MIB = 64
CHECKPOINTS_PER_SLOT = 2
LONGEST_REPETITION_TOKENS = 16


def serve(model: Path, port: int, *, threads: int, slots: int, context: int, alias: str) -> None:
    """Serve until SIGTERM or SIGINT."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.model_alias = {alias}
    parameters.hostnames = [LOOPBACK]
    parameters.port = port
    parameters.n_parallel = slots
    parameters.n_ctx = context * slots
    parameters.cache_ram_mib = PROMPT_CACHE_MIB
    parameters.n_ctx_checkpoints = CHECKPOINTS_PER_SLOT
    parameters.n_gpu_layers = 0
    parameters.ui = False
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    _break_loops(parameters.sampling)
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    server = xllamacpp.Server(parameters)
    signal.sigwait(stop)
    del server


def _break_loops(sampling: Any) -> None:
    """Small base models can repeat themselves up to the token limit; "DRY" sampling ends that.

    Only what repeats longer than any entity is penalised: copying words from the text stays free.
    """
    sampling.dry_multiplier = 2.0
    sampling.dry_base = 1.75
    sampling.dry_allowed_length = LONGEST_REPETITION_TOKENS
    sampling.dry_penalty_last_n = 512


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a GGUF model on loopback.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--context", type=int, default=4096, help="tokens per slot")
    parser.add_argument("--alias", required=True)
    arguments = parser.parse_args()
    serve(
        arguments.model,
        arguments.port,
        threads=arguments.threads,
        slots=arguments.slots,
        context=arguments.context,
        alias=arguments.alias,
    )


if __name__ == "__main__":
    main()
