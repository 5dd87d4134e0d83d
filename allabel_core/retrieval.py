"""The demonstrations for a text (spec, "Retrieval for the prompt"): one function for all who ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from allabel_core.errors import InvalidInputError
from allabel_core.similarity import Bm25, Embeddings
from allabel_core.similarity.sbert import encode
from allabel_core.similarity.tokenize import Tokenizer, as_tokenizer, tokenize
from allabel_core.types import FloatArray

SimilarityName: TypeAlias = Literal["bm25", "sbert", "fused"]

# Reciprocal rank fusion (Cormack et al., 2009): the constant that damps the first ranks.
_FUSION_DAMPING = 60
# Two texts are near-identical when they share this part of their different words.
_NEAR_IDENTICAL = 0.8
_MOST_ALIKE = 2
# A label is likely in a text that bears it in this part of the text's neighbourhood, 4 k texts.
_LIKELY_SHARE = 1 / 3
_NEIGHBOURHOOD = 4


class Demonstration(NamedTuple):
    """An index into the corpus, and S[text, corpus text]."""

    corpus_index: int
    similarity: float


class DemonstrationIndex:
    """Searches a corpus of annotated texts.

    :param texts: the corpus.
    :param similarity: "bm25"; "sbert", cosine of sentence embeddings; "fused", reciprocal ranks of both.
    :param encode: texts to vectors, where not those of the default sentence-transformers model.
    :param tokenizer: for "bm25" and "fused" and for what is near-identical: a function or a name in
        ``TOKENIZERS``.
    :param labels: per text, the labels of its entities; needed for ``cover_labels``.
    :param costs: per text, the tokens it costs in a prompt; needed for ``token_budget``.
    :raises InvalidInputError: an unknown similarity or tokenizer; ``labels`` or ``costs`` of another
        length.
    :raises MissingExtraError: sentence embeddings are asked for and not installed.
    """

    def __init__(
        self,
        texts: Sequence[str],
        similarity: str = "bm25",
        *,
        encode: Callable[[Sequence[str]], FloatArray] = encode,
        tokenizer: str | Tokenizer = tokenize,
        labels: Sequence[frozenset[str]] | None = None,
        costs: Sequence[int] | None = None,
    ) -> None:
        if similarity not in ("bm25", "sbert", "fused"):
            raise InvalidInputError(f"similarity must be bm25, sbert or fused, not {similarity!r}")
        for name, values in (("labels", labels), ("costs", costs)):
            if values is not None and len(values) != len(texts):
                raise InvalidInputError(f"{len(values)} {name} for {len(texts)} texts")
        self._texts = texts
        self._encode = encode
        self._tokenizer = as_tokenizer(tokenizer)
        self._labels = labels
        self._costs = costs
        self._bm25 = Bm25(texts, self._tokenizer) if similarity != "sbert" else None
        self._embeddings = Embeddings(encode(texts)) if similarity != "bm25" and texts else None
        self._words: dict[int, frozenset[str]] = {}

    def __len__(self) -> int:
        return len(self._texts)

    def scores(self, text: str) -> FloatArray:
        """(n,): S[text, .]; for "fused", the sum of both reciprocal ranks."""
        found = [self._bm25.scores(text)] if self._bm25 is not None else []
        if self._embeddings is not None:
            found.append(self._embeddings.scores(self._encode([text])[0]))
        if not found:
            return np.zeros(0)
        return found[0] if len(found) == 1 else np.sum([_reciprocal_ranks(each) for each in found], axis=0)

    def nearest(
        self,
        text: str,
        k: int | None,
        *,
        exclude: int | None = None,
        token_budget: int | None = None,
        varied: bool = False,
        cover_labels: bool = False,
    ) -> tuple[Demonstration, ...]:
        """The k most similar texts, the most similar LAST; among equals the lower index is nearer.

        :param k: how many at most; None for as many as ``token_budget`` allows.
        :param exclude: index of the text itself, where it is in the corpus.
        :param token_budget: tokens that the chosen may cost together; one that no longer fits is
            passed over for a cheaper one farther off.
        :param varied: pass over a text that two nearer ones are near-identical to.
        :param cover_labels: give up the farthest for the nearest that bear labels likely in the text,
            where none of the chosen bears them.
        :raises InvalidInputError: k < 0, or an option whose data the index was built without.
        """
        self._check(k, token_budget, cover_labels)
        scores = self.scores(text)
        best_first = [int(i) for i in np.argsort(-scores, kind="stable") if i != exclude]
        most = len(best_first) if k is None else k
        chosen = self._choose(best_first, most, token_budget, varied)
        if cover_labels:
            chosen = self._covering(chosen, best_first, token_budget)
        return tuple(Demonstration(i, float(scores[i])) for i in reversed(chosen))

    def _check(self, k: int | None, token_budget: int | None, cover_labels: bool) -> None:
        if k is None and token_budget is None:
            raise InvalidInputError("k may be None only with a token budget")
        if k is not None and k < 0:
            raise InvalidInputError(f"k must not be negative: {k}")
        if token_budget is not None and self._costs is None:
            raise InvalidInputError("a token budget needs the costs of the texts")
        if cover_labels and self._labels is None:
            raise InvalidInputError("covering labels needs the labels of the texts")

    def _choose(
        self, best_first: Sequence[int], most: int, token_budget: int | None, varied: bool
    ) -> list[int]:
        chosen: list[int] = []
        left = token_budget
        for i in best_first:
            if len(chosen) == most:
                break
            cost = self._costs[i] if self._costs is not None else 0
            if left is not None and cost > left:
                continue
            if varied and sum(self._alike(i, other) for other in chosen) >= _MOST_ALIKE:
                continue
            chosen.append(i)
            left = None if left is None else left - cost
        return chosen

    def _alike(self, i: int, j: int) -> bool:
        for index in (i, j):
            if index not in self._words:
                self._words[index] = frozenset(self._tokenizer(self._texts[index]))
        shared, either = len(self._words[i] & self._words[j]), len(self._words[i] | self._words[j])
        return shared >= _NEAR_IDENTICAL * either

    def _covering(self, chosen: list[int], best_first: Sequence[int], token_budget: int | None) -> list[int]:
        """``chosen`` with as many likely labels as it can bear, nearest first."""
        labels = self._labels or ()
        neighbourhood = best_first[: _NEIGHBOURHOOD * len(chosen)]
        shares = Counter(label for i in neighbourhood for label in labels[i])
        likely = [
            label
            for label, n in sorted(shares.items(), key=lambda item: (-item[1], item[0]))
            if n >= _LIKELY_SHARE * len(neighbourhood)
        ]
        for label in likely:
            if any(label in labels[i] for i in chosen):
                continue
            joining = next(i for i in neighbourhood if label in labels[i])
            leaving = next(self._dispensable(chosen, likely, joining, token_budget), None)
            if leaving is not None:
                chosen = [i for i in best_first if i == joining or (i in chosen and i != leaving)]
        return chosen

    def _dispensable(
        self, chosen: Sequence[int], likely: Sequence[str], joining: int, token_budget: int | None
    ) -> Iterator[int]:
        """The chosen, farthest first, whose likely labels are all borne by the others, and whose
        tokens suffice for the one joining."""
        labels, costs = self._labels or (), self._costs or [0] * len(self._texts)
        spare = None if token_budget is None else token_budget - sum(costs[i] for i in chosen)
        for i in reversed(chosen):
            others = {label for j in [*chosen, joining] if j != i for label in labels[j]}
            fits = spare is None or costs[joining] <= costs[i] + spare
            if fits and not (labels[i] & set(likely)) - others:
                yield i


def _reciprocal_ranks(scores: FloatArray) -> FloatArray:
    order = np.argsort(-scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    return 1 / (_FUSION_DAMPING + ranks)
