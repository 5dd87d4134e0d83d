"""Text to tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

Tokenizer: TypeAlias = Callable[[str], Sequence[str]]

_WORD = re.compile(r"\w+")


def tokenize(text: str) -> list[str]:
    """Lower-cased runs of word characters (spec, "Words")."""
    return _WORD.findall(text.lower())
