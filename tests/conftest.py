"""Its place makes what lies beside it importable from every test: fakes, scripted servers, the stack."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from stack import Stack, start

# `make test-fast` tries fewer examples; `make test`, and so CI, the usual hundred.
settings.register_profile("fast", max_examples=10)

SLOW_FOLDERS = {"browser", "compose", "faults", "integration", "packaging"}
ON_THE_STACK = {"browser", "integration"}


if not os.environ.get("ALLABEL_TEST_REAL"):
    # The embedded model takes seconds for a text: `make test-real` has half an hour for the whole product.
    collect_ignore_glob = ["browser/test_*.py", "integration/test_[!l]*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _folder(item.nodeid) in SLOW_FOLDERS:
            item.add_marker("slow")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return _ByService(config, log)


class _ByService(LoadScopeScheduling):
    """The real stack is started twice, in two processes: for who annotates, and for the parts.

    The other tests go file by file.
    """

    def _split_scope(self, nodeid: str) -> str:
        if _folder(nodeid) not in ON_THE_STACK:
            return nodeid.partition("::")[0]
        annotating = _folder(nodeid) == "browser" or "/test_whole_loop.py" in nodeid
        return "stack for annotating" if annotating else "stack for the parts"


def _folder(nodeid: str) -> str:
    return nodeid.split("/")[1]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One real stack for all tests of a process: it takes a minute to start."""
    running, stops = start(tmp_path_factory.mktemp("stack"))
    yield running
    for stop in reversed(stops):
        stop()
