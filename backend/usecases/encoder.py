"""Sentence embeddings in a worker process: the model is loaded once, each text encoded once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from allabel_core.similarity.sbert import encode, load_model
from allabel_core.types import FloatArray

MOST_TEXTS = 20_000
"""Vectors kept: 60 MB of 384 numbers each."""


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
            if self._model is None:
                self._model = load_model()
            self._vectors.update(zip(missing, encode(missing, model=self._model), strict=True))
        for text in texts:
            self._vectors.move_to_end(text)
        found = np.stack([self._vectors[text] for text in texts]) if texts else np.zeros((0, 0))
        while len(self._vectors) > MOST_TEXTS:
            self._vectors.popitem(last=False)
        return found
