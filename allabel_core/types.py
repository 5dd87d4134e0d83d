"""The words of the method as values. Offsets are half-open and count code points of the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

Stage: TypeAlias = Literal["annotated", "diversity", "similarity", "uncertainty"]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """An entity at a place: ``text[start:end]`` bears ``label``."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A directed link between two spans, given by their indices in the document's ``spans``."""

    source: int
    target: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Mention:
    """An entity as a model names it: exact words and a label, no place yet.

    ``line``: which line of an answer in lines named it; those of one line stand in reading order.
    """

    text: str
    label: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its entities; an annotated one is what the method calls a demonstration."""

    text: str
    spans: tuple[Span, ...] = ()
    relations: tuple[Relation, ...] = ()


class Reason(NamedTuple):
    """Why a text was chosen. Indices refer to the texts passed in.

    ``serves`` is how many texts count it among their best demonstrations; ``nearest`` the most
    similar text chosen before it and ``similarity`` how similar (S[text, nearest]), both None
    for the first pick.
    """

    words: str
    score: float
    serves: int | None = None
    nearest: int | None = None
    similarity: float | None = None


def without_outer_space(text: str, start: int, end: int) -> tuple[int, int]:
    """A stretch without the white space marked around its words; as it is where there are none."""
    words = text[start:end]
    left = len(words) - len(words.lstrip())
    return (start + left, start + len(words.rstrip())) if left < len(words) else (start, end)


@dataclass(frozen=True, slots=True)
class Selection:
    """An ordered queue of texts to annotate.

    ``order`` holds indices into the texts passed in, annotated ones first; ``stages`` and
    ``reasons`` run parallel to it.
    """

    order: tuple[int, ...]
    stages: tuple[str, ...]
    reasons: tuple[Reason, ...] = field(repr=False)
