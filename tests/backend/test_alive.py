"""The worker's health check, on a real Redis."""

from __future__ import annotations

import pytest
from redis import Redis
from rq import SimpleWorker

from backend.alive import alive


def test_a_worker_is_alive_from_its_birth_to_its_death(redis: Redis) -> None:
    assert not alive(redis)
    worker = SimpleWorker(["any"], connection=redis)
    worker.register_birth()
    assert alive(redis)
    worker.register_death()
    redis.delete(worker.key)
    assert not alive(redis)


def test_a_worker_of_another_host_does_not_count(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    SimpleWorker(["any"], connection=redis).register_birth()
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    assert not alive(redis)
