"""Its place makes what lies beside it importable from every test: fakes, scripted servers, the stack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from stack import Stack, start

# `make test-fast` tries fewer examples; `make test`, and so CI, the usual hundred.
settings.register_profile("fast", max_examples=10)

SLOW_FOLDERS = {"browser", "compose", "faults", "integration", "packaging"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on the real stack share one process, as they share the stack; the longest, they begin first."""
    tests = Path(__file__).parent
    for item in items:
        if item.path.relative_to(tests).parts[0] in SLOW_FOLDERS:
            item.add_marker("slow")
        if _on_the_stack(item):
            item.add_marker(pytest.mark.xdist_group("stack"))
    items.sort(key=lambda item: not _on_the_stack(item))


def _on_the_stack(item: pytest.Item) -> bool:
    return "stack" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One real stack for the whole session: it takes a minute to start."""
    running, stops = start(tmp_path_factory.mktemp("stack"))
    yield running
    for stop in reversed(stops):
        stop()
