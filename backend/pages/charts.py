"""The geometry of the charts, in per cent of their boxes; the templates draw it as SVG.

Per cents, since a drawing then stretches with its column while its words keep their size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol


class CurvePoint(Protocol):
    """A point of the learning curve; figures in [0, 1]."""

    @property
    def annotated(self) -> int: ...
    @property
    def f1(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values between ``low`` and ``high`` to 0 .. 100."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Kept within the box."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(100 * min(1.0, max(0.0, share)), 2)


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Dot:
    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Curve:
    """``line`` and ``band`` are SVG path data in a box of 100 by 100, y downwards."""

    line: str
    band: str
    dots: tuple[Dot, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def learning_curve(points: Sequence[CurvePoint]) -> Curve:
    """F1 in per cent, with its interval as a band, by the number of annotations. Needs two points."""
    x_steps = nice_steps(points[0].annotated, points[-1].annotated, whole=True)
    y_steps = nice_steps(100 * min(p.low for p in points), 100 * max(p.high for p in points))
    x = Scale(points[0].annotated, points[-1].annotated)
    y = Scale(y_steps[0], y_steps[-1])

    def place(point: CurvePoint, value: float) -> str:
        return f"{x.at(point.annotated):g} {100 - y.at(100 * value):g}"

    upper = [place(point, point.high) for point in points]
    lower = [place(point, point.low) for point in reversed(points)]
    dots = tuple(
        Dot(
            x.at(p.annotated),
            round(100 - y.at(100 * p.f1), 2),
            f"after {p.annotated}: F1 {100 * p.f1:.1f} ({100 * p.low:.1f} to {100 * p.high:.1f})",
        )
        for p in points
    )
    return Curve(
        line="M" + "L".join(place(point, point.f1) for point in points),
        band="M" + "L".join(upper + lower) + "Z",
        dots=dots,
        x_ticks=tuple(Tick(x.at(v), f"{v:g}") for v in x_steps if x.low <= v <= x.high),
        y_ticks=tuple(Tick(round(100 - y.at(v), 2), f"{v:g}") for v in y_steps),
    )


def nice_steps(low: float, high: float, *, count: int = 5, whole: bool = False) -> list[float]:
    """About ``count`` round numbers at equal distances, from at most ``low`` to at least ``high``."""
    raw = max(high - low, 1e-9) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    if whole:
        step = max(1.0, step)
    first = math.floor(low / step + 1e-9)
    last = max(first + 1, math.ceil(high / step - 1e-9))
    return [round(i * step, 9) for i in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar: from ``x``, ``width`` wide."""

    x: float
    width: float
    kind: str
    title: str


def segments(parts: Sequence[tuple[str, float, str]], total: float) -> list[Segment]:
    """Parts (kind, size, title) side by side in a bar that stands for ``total``; empty parts are left out."""
    scale = Scale(0, max(total, sum(size for _, size, _ in parts), 1))
    found, done = [], 0.0
    for kind, size, title in parts:
        if size > 0:
            found.append(
                Segment(scale.at(done), round(scale.at(done + size) - scale.at(done), 2), kind, title)
            )
        done += size
    return found


class Stage(Protocol):
    """The tasks of one stage of the budget."""

    @property
    def name(self) -> str: ...
    @property
    def done(self) -> int: ...
    @property
    def in_window(self) -> int: ...
    @property
    def to_come(self) -> int: ...


def stage_segments(stages: Sequence[Stage]) -> list[Segment]:
    """The whole budget: stage after stage, each annotated, in the window, to come."""
    parts = [
        (kind, size, f"{stage.name}: {size} {words}")
        for stage in stages
        for kind, size, words in (
            ("done", stage.done, "annotated"),
            ("window", stage.in_window, "in the window"),
            ("rest", stage.to_come, "to come"),
        )
    ]
    return segments(parts, 0)


def stage_bounds(stages: Sequence[Stage]) -> list[float]:
    """Where one stage ends and the next begins in the bar of ``stage_segments``."""
    ends = list(accumulate(stage.done + stage.in_window + stage.to_come for stage in stages))
    return [Scale(0, ends[-1]).at(end) for end in ends[:-1] if 0 < end < ends[-1]]


@dataclass(frozen=True, slots=True)
class Whisker:
    """A figure with its interval on a line from 0 to 100."""

    low: float
    at: float
    high: float


def whisker(value: float, low: float, high: float) -> Whisker:
    """Of figures in [0, 1]."""
    scale = Scale(0, 1)
    return Whisker(scale.at(low), scale.at(value), scale.at(high))
