"""Text to tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from allabel_core.errors import InvalidInputError

Tokenizer: TypeAlias = Callable[[str], Sequence[str]]

_WORD = re.compile(r"\w+")


def tokenize(text: str) -> list[str]:
    """Lower-cased runs of word characters (spec, "Words")."""
    return _WORD.findall(text.lower())


def character_ngrams(text: str, n: int) -> list[str]:
    """Every run of n characters inside each lower-cased word; a word of fewer is one token.

    Words are what white space separates, so a sentence of a language without spaces is one word, and
    a chemical name keeps its hyphens, digits and brackets: parts of names match though names differ.
    """
    return [
        word[start : start + n] for word in text.lower().split() for start in range(max(1, len(word) - n + 1))
    ]


TOKENIZERS: dict[str, Tokenizer] = {
    "words": tokenize,
    **{f"characters-{n}": partial(character_ngrams, n=n) for n in (2, 3, 4, 5)},
}
"""By name. Each can be pickled, so that it can run in other processes."""


def as_tokenizer(tokenizer: str | Tokenizer) -> Tokenizer:
    """The tokenizer of that name, or the given function itself.

    :raises InvalidInputError: if there is none of that name.
    """
    if not isinstance(tokenizer, str):
        return tokenizer
    if tokenizer not in TOKENIZERS:
        raise InvalidInputError(f"tokenizer {tokenizer!r} is none of {', '.join(TOKENIZERS)}, nor a function")
    return TOKENIZERS[tokenizer]
