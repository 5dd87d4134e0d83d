"""Its place makes what lies beside it importable from every test: fakes, scripted servers, the stack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from stack import Stack, start

# `make test-fast` tries fewer examples; `make test`, and so CI, the usual hundred.
settings.register_profile("fast", max_examples=10)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One real stack for the whole session: it takes a minute to start."""
    running, stops = start(tmp_path_factory.mktemp("stack"))
    yield running
    for stop in reversed(stops):
        stop()
