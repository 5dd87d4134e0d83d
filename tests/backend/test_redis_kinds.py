"""Redis as people have it: an older one, one that is a cache; and strangers' words in our notes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from redis import Redis
from test_pages import LOGIN, sign_in

from backend import doctor
from backend.adapters.store import Store
from backend.app import create_app
from backend.demo import redis_executable
from backend.demo.processes import ServiceError
from backend.demo.services import RedisServer
from backend.errors import SettingsError
from backend.ports import Webhook
from backend.settings import read_settings
from backend.throttle import ATTEMPTS
from backend.usecases.connect import register, set_up
from backend.usecases.memory import BEFORE_HEADER, SECRET_HEADER, settings_before
from backend.usecases.reconcile import reconcile
from backend.usecases.tools import Tools
from backend.usecases.trouble import trouble
from fakes import FakeLabelStudio, make_tools

pytestmark = pytest.mark.slow

URL = "http://localhost:9090"


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """Version 6.2."""
    monkeypatch.setattr(redis_executable.shutil, "which", lambda _: None)
    server = RedisServer(tmp_path / "redis")
    try:
        server.start()
    except ServiceError as error:
        pytest.skip(str(error))
    with Redis.from_url(server.url) as client:
        assert str(client.info("server")["redis_version"]).startswith("6.2")
        yield client
    server.stop()


def test_people_sign_in_on_redis_6_2(older: Redis) -> None:
    tools = make_tools(Store(older), FakeLabelStudio({}), guarded=True)
    app = create_app(read_settings(LOGIN), tools)
    with TestClient(app, base_url=URL, follow_redirects=False) as client:
        assert [sign_in(client, "wrong").status_code for _ in range(ATTEMPTS - 1)] == [403] * (ATTEMPTS - 1)
        assert sign_in(client).status_code == 303
        assert client.get("/projects").status_code == 200
    assert all(older.pttl(key) > 0 for key in older.keys("allabel:tries:*"))


@pytest.fixture
def full(redis: Redis) -> Iterator[Redis]:
    redis.config_set("maxmemory", 10**9)
    yield redis
    redis.config_set("maxmemory", 0)
    redis.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_a_redis_that_throws_anything_away_is_refused_and_spoken_of(
    full: Redis, redis_server: RedisServer, policy: str
) -> None:
    tools = make_tools(Store(full), FakeLabelStudio({}))
    tools.store.require_lasting()
    full.config_set("maxmemory-policy", policy)
    with pytest.raises(SettingsError, match=f"{policy}.*Set maxmemory-policy noeviction"):
        tools.store.require_lasting()
    assert policy in trouble(tools, 1, {"state": "ready"}).problem
    [check] = [
        each for each in doctor.run(read_settings({"REDIS_URL": redis_server.url})) if each.name == "Redis"
    ]
    assert (check.ok, policy in check.finding, "noeviction" in check.remedy) == (False, True, True)


def test_one_that_throws_away_what_expires_is_spoken_of(full: Redis, redis_server: RedisServer) -> None:
    full.config_set("maxmemory-policy", "volatile-lru")
    Store(full).require_lasting()
    [check] = [
        each for each in doctor.run(read_settings({"REDIS_URL": redis_server.url})) if each.name == "Redis"
    ]
    assert (check.ok, "volatile-lru" in check.finding) == (False, True)


# Our notes in Label Studio's webhook


@pytest.fixture
def tools(redis: Redis) -> Tools:
    made = make_tools(Store(redis), FakeLabelStudio({1: "one"}))
    register(made, 1, backend_url=URL, extra_params={})
    set_up(made, made.label_studio.project(1))
    made.store.clear_dirty(1, made.store.dirty(1)[1])
    return made


@pytest.mark.parametrize(
    "foreign",
    [
        "oops",
        '"a string"',
        "[]",
        "{}",
        "null",
        '{"sampling": 5}',
        "[" * 100_000,
        '{"sampling": "Chaos"}',
        '{"sampling": "Sequential sampling", "more": 1}',
        '{"sampling": "Sequential sampling", "model_version": []}',
    ],
)
def test_somebody_else_s_words_in_them_are_ignored_and_replaced(tools: Tools, foreign: str) -> None:
    label_studio = tools.label_studio
    assert isinstance(label_studio, FakeLabelStudio)
    before = settings_before(tools, 1)
    url = f"{URL}/webhook"
    label_studio.hooks[url] = Webhook(1, url, True, {SECRET_HEADER: "secret", BEFORE_HEADER: foreign})
    reconcile(tools)
    assert tools.store.dirty(1)[0] == {"setup"}
    set_up(tools, label_studio.project(1))
    assert json.loads(label_studio.hooks[url].headers[BEFORE_HEADER]) == before
    tools.store.set_facts(1, before=foreign)
    label_studio.hooks.clear()
    assert settings_before(tools, 1)["sampling"] in ("Sequential sampling", "Uncertainty sampling")
