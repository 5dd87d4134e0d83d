"""The only jobs that a worker runs, whatever stands in Redis: three functions, each of one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from rq.job import Job

KEEP_RESULT = 600
KEEP_FAILURE = 3600
LARGEST_NUMBER = 2**53 - 1


class RefusedJobError(Exception):
    """A job that this service has not written."""


class NumberJob(Job):
    """A job as Redis holds it, of which nothing counts but the name of a known function and a number.

    RQ would import and call whatever a job names: its function, its callbacks, its webhooks. ``known``:
    by the name under which RQ writes it, a function and the seconds it may take.
    """

    known: ClassVar[dict[str, tuple[Callable[[int], None], int]]] = {}

    @classmethod
    def allow(cls, function: Callable[[int], None], seconds: int) -> None:
        cls.known[f"{function.__module__}.{function.__qualname__}"] = (function, seconds)

    def restore(self, raw_data: Any) -> None:
        super().restore(raw_data)
        self._success_callback_name = self._failure_callback_name = self._stopped_callback_name = None
        self.webhooks = []
        self._dependency_ids = []
        self.retries_left = self.repeats_left = None
        self.description = None
        self.result_ttl, self.failure_ttl = KEEP_RESULT, KEEP_FAILURE
        self.timeout = max(seconds for _, seconds in self.known.values())

    @property
    def func(self) -> Callable[[int], None]:
        """:raises RefusedJobError: it is none of ours."""
        if self.instance is not None or self.func_name not in self.known:
            raise RefusedJobError("a job of no known name was refused")
        return self.known[self.func_name][0]

    def _execute(self) -> None:
        function, arguments = self.func, self.args
        number = arguments[0] if isinstance(arguments, list) and len(arguments) == 1 else None
        if type(number) is not int or not 0 <= number <= LARGEST_NUMBER or self.kwargs:
            raise RefusedJobError("a job without the number of a project was refused")
        function(number)
