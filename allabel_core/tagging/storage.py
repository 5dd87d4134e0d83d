"""A suggester as bytes: a head in JSON, then the tagger's weights. Nothing in it is ever executed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from allabel_core.errors import InvalidInputError
from allabel_core.tagging.arbiter import Arbiter
from allabel_core.tagging.candidates import FEATURES, MODEL_FEATURES
from allabel_core.tagging.crf import Crf
from allabel_core.tagging.figures import Figures
from allabel_core.tagging.lexicon import Counts, Lexicon
from allabel_core.tagging.suggester import Suggester

MAGIC = b"allabel-tagger 1\n"
_LENGTH_BYTES = 8
_MOST_BYTES = 1 << 30
_WEIGHT = np.dtype("<f4")


def dump(suggester: Suggester) -> bytes:
    """The same suggester gives the same bytes."""
    tagger, figures = suggester.tagger, suggester.figures
    head = {
        "texts": suggester.texts,
        "mentions": dict(sorted(suggester.mentions.items())),
        "nests": suggester.nests,
        "seen": suggester.lexicon.counts.seen,
        "marked": suggester.lexicon.counts.marked,
        "terms": sorted(suggester.lexicon.terms),
        "labels": None if tagger is None else tagger.labels,
        "features": [] if tagger is None else sorted(tagger.rows, key=tagger.rows.__getitem__),
        "transitions": [] if tagger is None else tagger.transitions.tolist(),
        "learned": _arbiter_as_json(suggester.learned),
        "joined": _arbiter_as_json(suggester.joined),
        "judged": suggester.judged,
        "figures": None if figures is None else asdict(figures),
        "shown": suggester.shown,
    }
    encoded = json.dumps(head, ensure_ascii=True, separators=(",", ":")).encode()
    weights = b"" if tagger is None else tagger.weights.astype(_WEIGHT).tobytes()
    return b"".join((MAGIC, len(encoded).to_bytes(_LENGTH_BYTES, "big"), encoded, weights))


def load(path: str | Path) -> Suggester:
    """What `allabel export-tagger` wrote.

    :raises InvalidInputError: the file cannot be read, or is no such file, or is damaged.
    """
    try:
        if Path(path).stat().st_size > _MOST_BYTES:
            raise InvalidInputError(f"{path} is larger than any exported tagger.")
        content = Path(path).read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}.") from error
    return loads(content, name=str(path))


def loads(content: bytes, *, name: str = "This") -> Suggester:
    """What ``dump`` made. Raises as ``load``."""
    if not content.startswith(MAGIC):
        raise InvalidInputError(f"{name} is no tagger exported by this version of ALLabel.")
    begin = len(MAGIC) + _LENGTH_BYTES
    end = begin + int.from_bytes(content[len(MAGIC) : begin], "big")
    try:
        return _suggester(json.loads(content[begin:end]), content[end:])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidInputError(f"{name} is damaged; export it again.") from error


def _suggester(head: Mapping[str, Any], weights: bytes) -> Suggester:
    mentions = {str(label): _count(count) for label, count in head["mentions"].items()}
    marked = {
        str(key): Counter({str(label): _count(count) for label, count in by_label.items()})
        for key, by_label in head["marked"].items()
    }
    seen = Counter({str(key): _count(count) for key, count in head["seen"].items()})
    figures = head["figures"]
    if figures is not None:
        figures["by_share"] = tuple((float(share), float(f1)) for share, f1 in figures["by_share"])
        figures = Figures(**figures)
    if head["shown"] not in ("model", "joined"):
        raise ValueError("shown")
    return Suggester(
        texts=_count(head["texts"]),
        mentions=Counter(mentions),
        nests=bool(head["nests"]),
        lexicon=Lexicon(Counts(seen, marked), frozenset(map(str, head["terms"]))),
        tagger=_crf(head, weights),
        learned=_arbiter(head["learned"], len(mentions), joins=False),
        joined=_arbiter(head["joined"], len(mentions), joins=True),
        judged=_count(head["judged"]),
        figures=figures,
        shown=head["shown"],
    )


def _crf(head: Mapping[str, Any], content: bytes) -> Crf | None:
    if head["labels"] is None:
        return None
    labels = tuple(map(str, head["labels"]))
    tags = 1 + 2 * len(labels)
    rows = {str(name): i + 1 for i, name in enumerate(head["features"])}
    transitions = _numbers(head["transitions"], (tags, tags)).astype(np.float32)
    if len(content) != (len(head["features"]) + 1) * tags * _WEIGHT.itemsize:
        raise ValueError("weights")
    weights = np.frombuffer(content, dtype=_WEIGHT).astype(np.float32).reshape(-1, tags)
    if not np.isfinite(weights).all():
        raise ValueError("weights")
    return Crf(labels, rows, weights, transitions)


def _arbiter_as_json(arbiter: Arbiter | None) -> dict[str, Any] | None:
    if arbiter is None:
        return None
    joining = None if arbiter.joining is None else arbiter.joining.tolist()
    return {"weights": arbiter.weights.tolist(), "joining": joining, "threshold": arbiter.threshold}


def _arbiter(stored: Mapping[str, Any] | None, labels: int, *, joins: bool) -> Arbiter | None:
    if stored is None:
        return None
    weights = _numbers(stored["weights"], (FEATURES + labels,))
    joining = _numbers(stored["joining"], (3 + MODEL_FEATURES + labels,)) if joins else None
    return Arbiter(weights, joining, float(_numbers(stored["threshold"], ())))


def _numbers(stored: Any, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    found = np.asarray(stored, dtype=np.float64)
    if found.shape != shape or not np.isfinite(found).all():
        raise ValueError("numbers")
    return found


def _count(stored: Any) -> int:
    if not isinstance(stored, int) or stored < 0:
        raise ValueError("count")
    return stored
