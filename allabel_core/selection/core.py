"""The dispatcher: from texts and a budget to an ordered queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from allabel_core.errors import InvalidInputError
from allabel_core.selection.allabel import allabel
from allabel_core.selection.datatypes import SelectionRequest, Strategy
from allabel_core.similarity.base import Similarity
from allabel_core.similarity.bm25 import Bm25
from allabel_core.similarity.embeddings import Embeddings
from allabel_core.similarity.sbert import encode
from allabel_core.similarity.tokenize import Tokenizer, tokenize
from allabel_core.types import Reason, Selection

STRATEGIES: dict[str, Strategy] = {
    "allabel": allabel,
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
    tokenizer: Tokenizer = tokenize,
) -> Selection:
    """The ordered queue of texts to annotate: the annotated ones, then what the strategy asks for.

    :param budget: how many texts a human will annotate, the annotated ones included.
    :param similarity: ``bm25``, ``sbert`` (needs requirements-sbert.txt), or a ``Similarity`` over ``texts``.
    :param strategy: a name in ``STRATEGIES``, or a function.
    :param k: demonstrations shown to the model for each text.
    :param annotated: indices in the order in which they were annotated.
    :param tokenizer: text to tokens, for ``bm25``.
    :raises InvalidInputError: naming the argument that cannot be used.
    """
    built = as_similarity(texts, similarity, tokenizer=tokenizer)
    request = SelectionRequest(
        budget=budget,
        k=k,
        annotated=tuple(annotated),
        stage_ratio=stage_ratio,
        weak_against=weak_against,
        seed=seed,
    )
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
    if min(request.stage_ratio) < 0 or sum(request.stage_ratio) <= 0:
        raise InvalidInputError(f"stage_ratio must be three parts, not all 0: {request.stage_ratio}")
    if request.weak_against not in ("corpus", "diversity"):
        raise InvalidInputError(f"weak_against {request.weak_against!r} is none of corpus, diversity")
