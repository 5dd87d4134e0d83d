"""Sentence embeddings in a worker process: the model is loaded once, each text encoded once."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from allabel_core.similarity.sbert import encode, load_model
from allabel_core.types import FloatArray

from ..ports import ProjectSettings

logger = logging.getLogger(__name__)

MOST_TEXTS = 20_000
"""Vectors kept: 60 MB of 384 numbers each."""


def needs_embeddings(settings: ProjectSettings) -> bool:
    """Whether a project with these settings needs sentence embeddings."""
    return settings.similarity == "sbert" or settings.retrieval in ("sbert", "fused")


class Encoder:
    """Texts to vectors. Nothing is loaded, torch least of all, before the first call."""

    def __init__(self) -> None:
        self._model: Any = None
        self._vectors: OrderedDict[str, FloatArray] = OrderedDict()

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """(n, dimensions).

        :raises MissingExtraError: sentence embeddings are not installed.
        """
        missing = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if missing:
            self.load()
            self._vectors.update(zip(missing, encode(missing, model=self._model), strict=True))
        for text in texts:
            self._vectors.move_to_end(text)
        found = np.stack([self._vectors[text] for text in texts]) if texts else np.zeros((0, 0))
        while len(self._vectors) > MOST_TEXTS:
            self._vectors.popitem(last=False)
        return found

    def encode(self, texts: Sequence[str], **_: object) -> FloatArray:
        """The same in the place of a sentence-transformers model, for what takes one."""
        return self(texts)

    def load(self) -> None:
        """Load the model now, if it is not loaded yet.

        :raises MissingExtraError: sentence embeddings are not installed.
        """
        if self._model is None:
            started = time.monotonic()
            self._model = load_model()
            logger.info("sentence embeddings: model loaded in %.1f s", time.monotonic() - started)
