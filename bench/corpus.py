"""Made-up texts whose words are as unequal as those of real ones.

Words follow a Zipf-Mandelbrot law; each text mixes words of the whole language with those of one
of 200 topics.
"""

from __future__ import annotations

import numpy as np

VOCABULARY = 60_000
TOPICS = 200
WORDS_OF_A_TOPIC = 400
TOPIC_SHARE = 0.3


def make_texts(count: int, *, tokens: int = 100, seed: int = 0) -> list[str]:
    """``count`` texts of about ``tokens`` words each."""
    rng = np.random.default_rng(seed)
    language = _zipf_mandelbrot(VOCABULARY)
    topical = _zipf_mandelbrot(WORDS_OF_A_TOPIC)
    topic_words = rng.integers(200, VOCABULARY, size=(TOPICS, WORDS_OF_A_TOPIC))
    words = np.array([f"w{i}" for i in range(VOCABULARY)])
    lengths = np.maximum(1, rng.poisson(tokens, size=count))
    total = int(lengths.sum())
    drawn = np.searchsorted(language, rng.random(total))
    topic = np.repeat(rng.integers(0, TOPICS, size=count), lengths)
    of_topic = rng.random(total) < TOPIC_SHARE
    ranks = np.searchsorted(topical, rng.random(int(of_topic.sum())))
    drawn[of_topic] = topic_words[topic[of_topic], ranks]
    ends = np.cumsum(lengths)
    return [" ".join(words[part]) for part in np.split(drawn, ends[:-1])]


def _zipf_mandelbrot(size: int) -> np.ndarray:
    weights = 1.0 / (np.arange(size) + 2.7) ** 1.07
    return np.cumsum(weights) / weights.sum()
