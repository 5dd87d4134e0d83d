"""Holding on, for as long as this process lives, to what expires soon after it dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from redis.exceptions import RedisError


@contextmanager
def renewed(renew: Callable[[], object], *, every: float, name: str) -> Iterator[None]:
    """Call ``renew`` every so many seconds, in a thread, until the block ends."""
    done = Event()

    def run() -> None:
        while not done.wait(every):
            # Redis away, or what was held lost with it: the next round tries again.
            with suppress(RedisError):
                renew()

    thread = Thread(target=run, name=f"renew {name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
