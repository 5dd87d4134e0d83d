"""A cluster of two processes gives what one process gives."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from allabel_core import Bm25, Embeddings, MissingExtraError, select
from allabel_core.similarity.distributed import Distributed


def test_a_missing_package_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        Distributed(Bm25(["a"]), "tcp://127.0.0.1:1")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_processes_agree_with_one():
    distributed = pytest.importorskip("distributed")
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{i}" for i in row) for row in np.minimum(rng.zipf(1.4, size=(2_300, 12)), 400)]
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        for inner in (
            Bm25(texts, threads=1),
            Bm25(texts, engine="plain"),
            Embeddings(rng.random((2_300, 8))),
        ):
            with Distributed(inner, cluster.scheduler_address) as similarity:
                candidates = rng.random(len(texts)) < 0.8
                for found, expected in zip(
                    similarity.neighbours(3, candidates=candidates),
                    inner.neighbours(3, candidates=candidates),
                    strict=True,
                ):
                    np.testing.assert_array_equal(found, expected)
                assert select(texts, 50, similarity=similarity) == select(texts, 50, similarity=inner)
                assert similarity.neighbours(2, queries=np.zeros(0, dtype=np.int64)).indices.shape == (0, 2)
