"""What the demo shows while it works."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from .processes import Progress

SECONDS_BETWEEN_LINES = 10.0


class Screen:
    """A spinner with the latest news in a terminal; elsewhere a line now and then."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._line_at = 0.0

    def say(self, line: str) -> None:
        self.console.print(line)

    @contextmanager
    def step(self, name: str) -> Iterator[Progress]:
        """Shows what the body tells of its progress, then that it is done and how long it took."""
        started = time.monotonic()
        self._line_at = started
        with self.console.status(f"{name} ...") as status:

            def tell(news: str) -> None:
                status.update(f"{news} ...")
                now = time.monotonic()
                if not self.console.is_terminal and now - self._line_at > SECONDS_BETWEEN_LINES:
                    self._line_at = now
                    self.say(f"     {news} ...")

            yield tell
        self.say(f"[green]ok[/green]   {name} [dim]({time.monotonic() - started:.1f} s)[/dim]")
