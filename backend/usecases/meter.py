"""What is counted and timed while the service works. Every process hands its figures over to Redis."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from threading import Lock

FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 100.0)
SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Family:
    """``buckets``: the upper bounds of a histogram, in seconds; empty for a counter."""

    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


FAMILIES = {
    "http_requests": Family("Requests answered.", ("method", "route", "status")),
    "http_request_seconds": Family("Time to answer a request.", ("route",), FAST),
    "webhooks": Family("Webhooks received.", ("action", "outcome")),
    "jobs": Family("Jobs of the workers that came to an end.", ("kind", "outcome")),
    "job_seconds": Family("Duration of jobs.", ("kind",), SLOW),
    "event_lag_seconds": Family(
        "Time from a change in Label Studio to the end of the sync that took it in.", (), SLOW
    ),
    "errors": Family("What went wrong, by whose doing and how.", ("source", "kind")),
}
"""By their names without prefix and suffix. Labels never hold what users or texts say."""

SUM = "sum"


class Meter:
    """Figures since they were last taken. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._figures: Counter[str] = Counter()

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        self.put_back({field(name, "", labels): by})

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        bounds = FAMILIES[name].buckets
        self.put_back(
            {
                field(name, str(bisect_left(bounds, seconds)), labels): 1,
                field(name, SUM, labels): max(0.0, seconds),
            }
        )

    def take(self) -> dict[str, float]:
        """All figures; the meter is empty then."""
        with self._lock:
            taken, self._figures = self._figures, Counter()
            return dict(taken)

    def put_back(self, figures: dict[str, float]) -> None:
        """What was taken but could not be handed over."""
        with self._lock:
            self._figures.update(figures)


def field(name: str, part: str, labels: tuple[str, ...]) -> str:
    """The name under which a figure is stored; ``part`` of a histogram: the bucket's index, or ``SUM``."""
    if len(labels) != len(FAMILIES[name].labels):
        raise ValueError(f"{name} has the labels {FAMILIES[name].labels}")
    return json.dumps([name, part, *labels])
