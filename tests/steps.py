"""How much work a call does: lines of our Python that it runs, which no other load of the machine changes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

OURS = str(Path(__file__).parent.parent)
INSTALLED = str(Path(sys.prefix))


def steps(work: Callable[[], object]) -> int:
    """Lines run of this repository's modules while ``work`` is called."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        name = frame.f_code.co_filename
        if not name.startswith(OURS) or name.startswith(INSTALLED):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def grows_linearly(make: Callable[[int], Callable[[], object]], size: int = 200) -> bool:
    """Whether eight times the size takes at most some ten times the steps; quadratic work takes 64 times."""
    return steps(make(8 * size)) <= 10 * steps(make(size))
