"""The optional means of speed: compiled kernels, threads over blocks, one BLAS thread each."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, Literal, TypeAlias, TypeVar

logger = logging.getLogger(__name__)

Engine: TypeAlias = Literal["auto", "compiled", "plain"]
Item = TypeVar("Item")
Result = TypeVar("Result")


@cache
def kernels() -> Any | None:
    """The module of compiled kernels; None where numba is not installed or has no place for its cache."""
    try:
        return importlib.import_module("allabel_core.similarity._kernels")
    except ImportError:
        return None
    except RuntimeError as error:
        logger.warning("compiled kernels cannot be used: %s", error)
        return None


def default_threads() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> list[Result]:
    """``function`` of every item, in order, on ``threads`` threads with one BLAS thread each.

    BLAS's own threads would spin against ours: on a loaded machine two are slower than one.
    """
    with _one_blas_thread():
        if threads <= 1:
            return [function(item) for item in items]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(function, items))


def _one_blas_thread() -> AbstractContextManager[Any]:
    controller = _blas_controller()
    return nullcontext() if controller is None else controller.limit(limits=1, user_api="blas")


@cache
def _blas_controller() -> Any | None:
    try:
        return importlib.import_module("threadpoolctl").ThreadpoolController()
    except ImportError:
        return None
