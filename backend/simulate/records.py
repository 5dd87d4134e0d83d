"""Finished runs on disk, so that an interrupted study goes on where it stopped. No texts, only counts."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path

import numpy as np

from allabel_core.simulation.runs import RunScores, RunSpec

logger = logging.getLogger(__name__)

# Raised when runs made by older code no longer mean the same.
_VERSION = 2
_SOURCE = "source-"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of results.csv. F1 and its parts are of entities; ``full_f1`` is on the same texts."""

    dataset: str
    strategy: str
    budget: str
    n_annotated: int
    similarity: str
    k: int
    seed: int
    extractor: str
    precision: float
    recall: float
    f1: float
    span_f1: float
    full_f1: float
    seconds: float
    tokens: int


@dataclass(frozen=True)
class Finished:
    """A run with its scores. ``texts``: size of the pool."""

    row: Row
    scores: RunScores
    texts: int


def run_key(fingerprint: str, extractor: str, spec: RunSpec, evaluated: tuple[int, ...]) -> str:
    """Names a run by all that shapes its result."""
    shape = json.dumps([_VERSION, fingerprint, extractor, asdict(spec), evaluated])
    return hashlib.sha256(shape.encode()).hexdigest()[:24]


class Records:
    """A file a run, written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> Finished | None:
        """The run, or None where it is not there or its file is damaged."""
        try:
            content = (self._folder / f"{key}.npz").read_bytes()
            with np.load(BytesIO(content), allow_pickle=False) as stored:
                head = json.loads(str(stored["head"]))
                scores = RunScores(
                    labels=tuple(head["labels"]),
                    evaluated=tuple(stored["evaluated"].tolist()),
                    entities=stored["entities"].astype(np.int64),
                    spans=stored["spans"].astype(np.int64),
                    closeness=stored["closeness"],
                    perplexity=stored["perplexity"],
                    tokens=head["row"]["tokens"],
                    failures=head["failures"],
                    confidences=stored["confidences"],
                    by_source={
                        source: stored[f"{_SOURCE}{source}"].astype(np.int64) for source in head["sources"]
                    },
                )
                return Finished(Row(**head["row"]), scores, head["texts"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            logger.warning("a stored run is damaged and is made anew: %s", type(error).__name__)
            return None

    def put(self, key: str, run: Finished) -> None:
        head = {
            "row": asdict(run.row),
            "labels": run.scores.labels,
            "failures": run.scores.failures,
            "texts": run.texts,
            "sources": sorted(run.scores.by_source),
        }
        arrays = {
            "head": np.array(json.dumps(head)),
            "evaluated": np.array(run.scores.evaluated, dtype=np.int64),
            "entities": run.scores.entities.astype(np.int32),
            "spans": run.scores.spans.astype(np.int32),
            "closeness": run.scores.closeness,
            "perplexity": run.scores.perplexity,
            "confidences": run.scores.confidences,
        }
        for source, counts in run.scores.by_source.items():
            arrays[f"{_SOURCE}{source}"] = counts.astype(np.int32)
        unfinished = self._folder / f"{key}.part"
        with unfinished.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        unfinished.replace(self._folder / f"{key}.npz")


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """results.csv, a row per run."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Row)])
        for row in rows:
            values = asdict(row).values()
            writer.writerow([f"{value:.4f}" if isinstance(value, float) else value for value in values])
