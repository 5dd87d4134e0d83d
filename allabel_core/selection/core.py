"""The dispatcher: from texts and a budget to an ordered queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from allabel_core.errors import InvalidInputError
from allabel_core.selection.allabel import allabel
from allabel_core.selection.coreset import coreset_cold, coreset_warm
from allabel_core.selection.cost import as_many_as_affordable, reading_costs
from allabel_core.selection.coverage import coverage
from allabel_core.selection.datatypes import SelectionRequest, Strategy
from allabel_core.selection.duplicates import near_duplicate_leaders, worth_asking
from allabel_core.selection.random_order import random_order
from allabel_core.selection.votek import fast_votek, votek
from allabel_core.similarity.base import Similarity
from allabel_core.similarity.bm25 import Bm25
from allabel_core.similarity.embeddings import Embeddings
from allabel_core.similarity.sbert import encode
from allabel_core.similarity.tokenize import Tokenizer, as_tokenizer, tokenize
from allabel_core.types import Reason, Selection

STRATEGIES: dict[str, Strategy] = {
    "allabel": as_many_as_affordable(allabel),
    "coverage": coverage,
    "random": as_many_as_affordable(random_order),
    "coreset": as_many_as_affordable(coreset_cold),
    "coreset-warm": as_many_as_affordable(coreset_warm),
    "votek": as_many_as_affordable(votek),
    "fast-votek": as_many_as_affordable(fast_votek),
}
_ANNOTATED = Reason(words="annotated already", score=0.0)


def select(
    texts: Sequence[str],
    budget: int,
    *,
    similarity: str | Similarity = "bm25",
    strategy: str | Strategy = "allabel",
    k: int = 3,
    annotated: Sequence[int] = (),
    stage_ratio: tuple[int, int, int] = (1, 3, 1),
    weak_against: Literal["corpus", "diversity"] = "corpus",
    seed: int = 0,
    tokenizer: str | Tokenizer = tokenize,
    budget_unit: Literal["texts", "tokens"] = "texts",
    near_duplicates: float | None = None,
    weakness: Sequence[float] | None = None,
    combine_weakness: bool = False,
) -> Selection:
    """The ordered queue of texts to annotate: the annotated ones, then what the strategy asks for.

    :param budget: how many texts a human will annotate, the annotated ones included.
    :param similarity: ``bm25``, ``sbert`` (needs requirements-sbert.txt), or a ``Similarity`` over ``texts``.
    :param strategy: a name in ``STRATEGIES``, or a function.
    :param k: demonstrations shown to the model for each text.
    :param annotated: indices in the order in which they were annotated.
    :param tokenizer: text to tokens, for ``bm25``, costs and near-duplicates: a function or a name in
        ``TOKENIZERS``.
    :param budget_unit: with ``tokens`` the budget is how much a human will read, in tokens, the
        annotated texts included. A function as strategy has to heed ``SelectionRequest.costs`` itself.
    :param near_duplicates: at most one is asked for of texts whose sets of tokens have at least this
        Jaccard index (0.9, say), and none that is so like an annotated text; None asks for all.
    :param weakness: of each text, how badly a model does on it; strategy ``allabel`` then takes the
        weakest for stage 3's weak points, or with ``combine_weakness`` those that are both weak and
        badly served.
    :raises InvalidInputError: naming the argument that cannot be used.
    """
    if budget_unit not in ("texts", "tokens"):
        raise InvalidInputError(f"budget_unit {budget_unit!r} is none of texts, tokens")
    to_tokens = as_tokenizer(tokenizer)
    built = as_similarity(texts, similarity, tokenizer=to_tokens)
    request = SelectionRequest(
        budget=budget,
        k=k,
        annotated=tuple(annotated),
        stage_ratio=stage_ratio,
        weak_against=weak_against,
        seed=seed,
        costs=reading_costs(texts, to_tokens) if budget_unit == "tokens" else None,
        weakness=None if weakness is None else np.asarray(weakness, dtype=np.float64),
        combine_weakness=combine_weakness,
    )
    if near_duplicates is not None:
        _check(request, len(built))
        tokens = (to_tokens(text) for text in texts)
        leaders = near_duplicate_leaders(tokens, near_duplicates, annotated=annotated)
        request = replace(request, eligible=worth_asking(leaders))
    return select_by(built, request, strategy=strategy)


def select_by(
    similarity: Similarity, request: SelectionRequest, *, strategy: str | Strategy = "allabel"
) -> Selection:
    """``select`` for a similarity and a request that exist already."""
    _check(request, len(similarity))
    chosen_strategy = STRATEGIES.get(strategy) if isinstance(strategy, str) else strategy
    if chosen_strategy is None:
        raise InvalidInputError(f"strategy {strategy!r} is none of {', '.join(sorted(STRATEGIES))}")
    picks = chosen_strategy(similarity, request)
    annotated = request.annotated
    return Selection(
        order=(*annotated, *(pick.index for pick in picks)),
        stages=(*("annotated" for _ in annotated), *(pick.stage for pick in picks)),
        reasons=(*(_ANNOTATED for _ in annotated), *(pick.reason for pick in picks)),
    )


def as_similarity(
    texts: Sequence[str], similarity: str | Similarity, *, tokenizer: Tokenizer = tokenize
) -> Similarity:
    """The named similarity built over ``texts``, or the given one if it is over as many texts."""
    if isinstance(texts, str):
        raise InvalidInputError("texts must be a sequence of texts, not one text")
    if similarity == "bm25":
        return Bm25(texts, tokenizer)
    if similarity == "sbert":
        return Embeddings(encode(texts))
    if isinstance(similarity, str):
        raise InvalidInputError(f"similarity {similarity!r} is none of bm25, sbert")
    if len(similarity) != len(texts):
        raise InvalidInputError(f"similarity is over {len(similarity)} texts, but {len(texts)} were given")
    return similarity


def _check(request: SelectionRequest, n: int) -> None:
    if request.budget < 0:
        raise InvalidInputError(f"budget must not be negative: {request.budget}")
    if request.k < 1:
        raise InvalidInputError(f"k must be at least 1: {request.k}")
    if len(set(request.annotated)) < len(request.annotated):
        raise InvalidInputError("annotated names a text twice")
    if any(not 0 <= index < n for index in request.annotated):
        raise InvalidInputError(f"annotated must be indices from 0 to {n - 1}")
    if request.costs is not None and (request.costs.shape != (n,) or not (request.costs > 0).all()):
        raise InvalidInputError(f"costs must be {n} numbers above 0")
    if request.weakness is not None and (
        request.weakness.shape != (n,) or not np.isfinite(request.weakness).all()
    ):
        raise InvalidInputError(f"weakness must be {n} finite numbers")
    if min(request.stage_ratio) < 0 or sum(request.stage_ratio) <= 0:
        raise InvalidInputError(f"stage_ratio must be three parts, not all 0: {request.stage_ratio}")
    if request.weak_against not in ("corpus", "diversity"):
        raise InvalidInputError(f"weak_against {request.weak_against!r} is none of corpus, diversity")
