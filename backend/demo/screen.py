"""What the demo shows while it works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Thread

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from .processes import Progress as Told

SECONDS_BETWEEN_LINES = 10.0
BAR_WIDTH = 24
POLL_SECONDS = 0.1


class Screen:
    """A spinner with the latest news in a terminal; elsewhere a line now and then."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._line_at = 0.0

    def say(self, line: str) -> None:
        self.console.print(line)

    @contextmanager
    def step(self, name: str) -> Iterator[Told]:
        """Shows what the body tells of its progress, then that it is done and how long it took."""
        started = time.monotonic()
        self._line_at = started
        with self.console.status(f"{name} ...") as status:

            def tell(news: str, _: float | None = None, /) -> None:
                status.update(f"{news} ...")
                now = time.monotonic()
                if not self.console.is_terminal and now - self._line_at > SECONDS_BETWEEN_LINES:
                    self._line_at = now
                    self.say(f"     {news} ...")

            yield tell
        self.say(f"[green]ok[/green]   {name} [dim]({time.monotonic() - started:.1f} s)[/dim]")

    def side_by_side(self, jobs: Sequence[Job]) -> None:
        """Do all jobs at once under one bar; the last of them in this thread, which Ctrl-C ends.

        :raises AllabelError: of the first job that failed, when the last has told its next news or is done.
        """
        started = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(BAR_WIDTH), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            board = _Board(
                self, jobs, lambda share, news: progress.update(bar, completed=share, description=news)
            )
            bar = progress.add_task("Starting", total=1.0)
            helpers = [Thread(target=board.run, args=(job,), daemon=True) for job in jobs[:-1]]
            for helper in helpers:
                helper.start()
            board.run(jobs[-1])
            while any(helper.is_alive() for helper in helpers) and not board.failures:
                time.sleep(POLL_SECONDS)
            board.require_all()
        names = ", ".join(job.name for job in jobs)
        self.say(f"[green]ok[/green]   {names} [dim]({time.monotonic() - started:.1f} s)[/dim]")


@dataclass(frozen=True, slots=True)
class Job:
    """``weight``: its part of the whole bar."""

    name: str
    weight: float
    do: Callable[[Told], object]


class _Board:
    """What all jobs have told last."""

    def __init__(self, screen: Screen, jobs: Sequence[Job], show: Callable[[float, str], None]) -> None:
        self.failures: list[BaseException] = []
        self._screen, self._jobs, self._show = screen, jobs, show
        self._news = {job.name: "waiting" for job in jobs}
        self._shares = {job.name: 0.0 for job in jobs}
        self._line_at = time.monotonic()
        self._lock = Lock()

    def run(self, job: Job) -> None:
        def tell(news: str, share: float | None = None, /) -> None:
            if job is self._jobs[-1]:
                self.require_all()
            self._take(job.name, news, share)

        try:
            job.do(tell)
        except Exception as error:  # noqa: BLE001 - raised again by require_all
            self.failures.append(error)
            return
        self._take(job.name, "ready", 1.0)

    def require_all(self) -> None:
        if self.failures:
            raise self.failures[0]

    def _take(self, name: str, news: str, share: float | None) -> None:
        with self._lock:
            self._news[name] = news.removeprefix(f"{name} is ")
            if share is not None:
                self._shares[name] = share
            total = sum(job.weight for job in self._jobs)
            done = sum(job.weight * self._shares[job.name] for job in self._jobs) / total
            words = "; ".join(f"{name}: {news}" for name, news in self._news.items() if news != "ready")
            self._show(done, words or "Ready")
            now = time.monotonic()
            if not self._screen.console.is_terminal and now - self._line_at > SECONDS_BETWEEN_LINES:
                self._line_at = now
                self._screen.say(f"     {done:4.0%}  {words} ...")
