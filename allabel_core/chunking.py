"""Token estimates, and long texts in pieces whose offsets lead back to the whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

from allabel_core.errors import InvalidInputError
from allabel_core.grounding import GroundedSpan, Grounding
from allabel_core.textmap import joins
from allabel_core.types import Relation, Span

# Letters as in "Iron" or "iron", capitals, gaps, single characters. Pieces are short, so that most of
# them are old acquaintances of the cache.
_TOKEN_PIECES = re.compile(r"[A-Z]?[a-z]{1,29}|[A-Z]{1,30}|\s{2,32}|\S|\n")
_SENTENCE_END = re.compile(r"""[.!?…]["'”’)\]]*\s+|[。！？]+[”』」]*|\n\s*""")

# How far from the middle of a sentence that is too long a place to cut it is looked for.
_CUT_REACH = 500


class Chunk(NamedTuple):
    """``text[start:end]`` is what a model sees; of its spans, those count that start in
    [own_start, own_end). The own stretches of all chunks tile the text."""

    start: int
    end: int
    own_start: int
    own_end: int


class Stitched(NamedTuple):
    """``origins``: per span of ``grounding``, (index of its chunk, index in that chunk's spans)."""

    grounding: Grounding
    origins: tuple[tuple[int, int], ...]


def estimate_tokens(text: str) -> int:
    """A high estimate of the tokens of a text, whatever its script and the model's tokenizer.

    Three ASCII letters are one token, two capitals, every digit and sign, every line break; a
    character of two UTF-8 bytes one, of three bytes two, of four bytes three. A single space belongs
    to what follows it; of a longer gap, four spaces are one.
    """
    return sum(map(_piece_tokens, _TOKEN_PIECES.findall(text)))


@lru_cache(maxsize=32_768)
def _piece_tokens(piece: str) -> int:
    if piece.isspace():
        return piece.count("\n") + (len(piece) // 4)
    if piece[-1].isascii():
        return -(-len(piece) // (2 if piece.isupper() and len(piece) > 1 else 3))
    return (1, 2, 3)[len(piece.encode("utf-8", "replace")) - 2]


def split_text(
    text: str,
    max_tokens: int,
    *,
    overlap_tokens: int = 0,
    count_tokens: Callable[[str], int] = estimate_tokens,
) -> tuple[Chunk, ...]:
    """Pieces of at most ``max_tokens``, at sentence bounds where sentences are short enough.

    :param overlap_tokens: how much of its end a chunk repeats at the start of the next, at most;
        each half of what is repeated counts in the chunk that sees more of its surroundings.
    :returns: one chunk where the text fits; none where it is empty.
    :raises InvalidInputError: unless 0 <= overlap_tokens < max_tokens.
    """
    if not 0 <= overlap_tokens < max_tokens:
        raise InvalidInputError(
            f"an overlap of {overlap_tokens} needs chunks longer than {max_tokens} tokens"
        )
    bounds = _piece_bounds(text, max_tokens, count_tokens)
    costs = [count_tokens(text[a:b]) for a, b in pairwise(bounds)]
    runs = _packed(costs, max_tokens, overlap_tokens)
    middles = [(after[0] + run[1] + 1) // 2 for run, after in pairwise(runs)]
    own = [0, *middles, len(costs)]
    return tuple(
        Chunk(bounds[first], bounds[last], bounds[own[i]], bounds[own[i + 1]])
        for i, (first, last) in enumerate(runs)
    )


def _packed(costs: Sequence[int], most: int, overlap: int) -> list[tuple[int, int]]:
    """(first piece, piece after the last) of each chunk: as many pieces as it can hold, the first of
    them repeated from the chunk before."""
    before = [0, *accumulate(costs)]
    runs: list[tuple[int, int]] = []
    first = 0
    while first < len(costs):
        last = first + 1
        while last < len(costs) and before[last + 1] - before[first] <= most:
            last += 1
        runs.append((first, last))
        if last == len(costs):
            break
        room = min(overlap, most - costs[last])
        repeated = last
        while repeated - 1 > first and before[last] - before[repeated - 1] <= room:
            repeated -= 1
        first = repeated
    return runs


def _piece_bounds(text: str, max_tokens: int, count_tokens: Callable[[str], int]) -> list[int]:
    """Where sentences, and parts of sentences that are too long, begin; last the text's end."""
    bounds = [0]
    for gap in _SENTENCE_END.finditer(text):
        # "e.g. the" is no end of a sentence.
        if gap.end() < len(text) and not text[gap.end()].islower() and gap.end() > bounds[-1]:
            bounds.append(gap.end())
    pieces = list(zip(bounds, [*bounds[1:], len(text)], strict=True))[::-1] if text else []
    starts: list[int] = []
    while pieces:
        start, end = pieces.pop()
        if end - start < 2 or count_tokens(text[start:end]) <= max_tokens:
            starts.append(start)
        else:
            middle = _best_cut(text, start, end)
            pieces += [(middle, end), (start, middle)]
    return [*starts, len(text)]


def _best_cut(text: str, start: int, end: int) -> int:
    """The word start nearest to the middle, else the nearest place that parts no visible character."""
    middle = (start + end) // 2
    near = sorted(
        range(max(start + 1, middle - _CUT_REACH), min(end, middle + _CUT_REACH)),
        key=lambda position: abs(position - middle),
    )
    words = (p for p in near if text[p - 1].isspace() and not text[p].isspace())
    whole = (p for p in near if not joins(text, p))
    return next(chain(words, whole), middle)


def stitch(chunks: Sequence[Chunk], parts: Sequence[Grounding]) -> Stitched:
    """The whole text's grounding from its chunks' ones, offsets moved to the whole text.

    A span counts in the chunk that owns its start. One that reaches into the next chunk's own
    stretch displaces what that chunk found there.
    """
    spans: list[GroundedSpan] = []
    origins: list[tuple[int, int]] = []
    relations: list[Relation] = []
    rejected: Counter[str] = Counter()
    lost = reached = 0
    for i, (chunk, part) in enumerate(zip(chunks, parts, strict=True)):
        rejected.update(part.rejected)
        lost += part.lost_relations
        position: dict[int, int] = {}
        seam = reached
        for j, grounded in enumerate(part.spans):
            start, end = chunk.start + grounded.span.start, chunk.start + grounded.span.end
            if max(chunk.own_start, seam) <= start < chunk.own_end:
                position[j] = len(spans)
                spans.append(replace(grounded, span=Span(start, end, grounded.span.label)))
                origins.append((i, j))
                reached = max(reached, end)
        relations += [
            Relation(position[link.source], position[link.target], link.label)
            for link in part.relations
            if link.source in position and link.target in position
        ]
    return Stitched(Grounding(tuple(spans), tuple(relations), dict(rejected), lost), tuple(origins))
