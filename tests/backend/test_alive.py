"""The worker's health check, on a real Redis."""

from __future__ import annotations

import time

import pytest
from redis import Redis

from backend.adapters.store import Store
from backend.alive import alive
from backend.pulse import Pulse
from fakes import FakeLabelStudio, make_tools


def test_a_worker_is_alive_while_its_pulse_beats(
    redis: Redis, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not alive(redis)
    pulse = Pulse(make_tools(store, FakeLabelStudio({})), is_worker=True)
    pulse.start()
    while not alive(redis):
        time.sleep(0.05)
    assert store.workers_alive() == 1
    pulse.stop()
    monkeypatch.setattr("backend.adapters.store_figures.BEAT_LASTS", 0.0)
    assert not alive(redis)
    assert store.workers() == []


def test_a_worker_of_another_host_does_not_count(redis: Redis, store: Store) -> None:
    store.beat("elsewhere:1")
    assert store.workers_alive() == 1
    assert not alive(redis)
