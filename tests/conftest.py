"""Its place makes what lies beside it importable from every test: fakes, scripted servers, the stack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from stack import Stack, start

# `make test-fast` tries fewer examples; `make test`, and so CI, the usual hundred.
settings.register_profile("fast", max_examples=10)

ON_A_REAL_STACK = {"browser", "compose", "faults", "integration", "packaging"}
"""Folders whose tests are slow, every one of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    for item in items:
        if item.path.relative_to(tests).parts[0] in ON_A_REAL_STACK:
            item.add_marker("slow")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One real stack for the whole session: it takes a minute to start."""
    running, stops = start(tmp_path_factory.mktemp("stack"))
    yield running
    for stop in reversed(stops):
        stop()
