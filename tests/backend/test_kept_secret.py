"""Secrets that Redis keeps: random, the same for all processes, replaced on request."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis

from backend import bootstrap
from backend.adapters import kept_secret
from backend.adapters.kept_secret import KeptSecret
from backend.adapters.store import Store
from backend.demo.services import RedisServer
from backend.errors import SettingsError
from backend.settings import read_settings
from backend.usecases.connect import has_token, register, set_up
from backend.usecases.memory import SECRET_HEADER
from backend.usecases.reconcile import reconcile
from backend.usecases.tokens import project_credentials
from backend.usecases.tools import Secrets, Tools
from fakes import FakeLabelStudio, make_tools

pytestmark = pytest.mark.slow

URL = "http://localhost:9090"


@pytest.fixture(autouse=True)
def read_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_secret, "READ_EVERY", 0.0)


def test_it_is_random_and_the_same_for_all(redis: Redis) -> None:
    one, other = KeptSecret(redis, "a"), KeptSecret(redis, "a")
    assert one() == other() == one()
    assert len(one()) == 64
    assert KeptSecret(redis, "b")() != one()
    before = one()
    redis.flushall()
    assert KeptSecret(redis, "a")() != before


def test_whoever_knows_it_gives_it_back_to_an_emptied_redis(redis: Redis) -> None:
    one = KeptSecret(redis, "a")
    value = one()
    redis.flushall()
    assert one() == KeptSecret(redis, "a")() == value


def test_all_notice_that_it_is_replaced(redis: Redis) -> None:
    one, other = KeptSecret(redis, "a"), KeptSecret(redis, "a")
    before = one()
    other.rotate()
    assert one() == other() != before


def test_without_redis_one_goes_on_with_what_one_knows(redis: Redis) -> None:
    one = KeptSecret(redis, "a")
    value = one()
    broken = KeptSecret(Redis(port=1), "a")
    with pytest.raises(Exception, match=r"."):
        broken()
    broken._value = value
    assert broken() == value


def test_nothing_follows_from_the_settings(redis_server: RedisServer, redis: Redis) -> None:
    environment = {"REDIS_URL": redis_server.url, "LABEL_STUDIO_API_KEY": "key"}
    settings = read_settings(environment)
    first = bootstrap.webhook_secret(settings, redis)()
    redis.flushall()
    assert bootstrap.webhook_secret(settings, redis)() != first
    chosen = read_settings({**environment, "WEBHOOK_SECRET": "the operator's"})
    assert bootstrap.webhook_secret(chosen, redis)() == "the operator's"
    with pytest.raises(SettingsError, match="WEBHOOK_SECRET is set: change it where it stands"):
        bootstrap.rotate_secrets(chosen)


@pytest.fixture
def tools(redis: Redis) -> Tools:
    made = make_tools(Store(redis), FakeLabelStudio({1: "one"}), guarded=True)
    return replace(
        made,
        secrets=Secrets(KeptSecret(redis, bootstrap.WEBHOOK), KeptSecret(redis, bootstrap.OWN)),
        own_address=lambda address: address == URL,
    )


def set_up_once(tools: Tools) -> FakeLabelStudio:
    label_studio = tools.label_studio
    assert isinstance(label_studio, FakeLabelStudio)
    set_up(tools, label_studio.project(1))
    return label_studio


def test_label_studio_gets_the_project_s_token_in_place_of_a_password(tools: Tools) -> None:
    register(tools, 1, backend_url=URL, extra_params={})
    label_studio = set_up_once(tools)
    assert label_studio.credentials == project_credentials(tools, 1)
    set_up_once(tools)
    assert label_studio.calls.count("change_credentials") == 1


def test_where_it_cannot_be_handed_over_it_is_tried_again(tools: Tools) -> None:
    register(tools, 1, backend_url=URL, extra_params={})
    label_studio = tools.label_studio
    assert isinstance(label_studio, FakeLabelStudio)
    label_studio.fail_at = "change_credentials"
    set_up_once(tools)
    assert not has_token(tools, 1)
    tools.store.clear_dirty(1, tools.store.dirty(1)[1])
    reconcile(tools)
    assert tools.store.dirty(1)[0] == {"setup"}


def test_rotated_secrets_reach_label_studio(tools: Tools, redis_server: RedisServer, redis: Redis) -> None:
    register(tools, 1, backend_url=URL, extra_params={})
    label_studio = set_up_once(tools)
    before = (tools.webhook_secret, label_studio.credentials)
    bootstrap.rotate_secrets(read_settings({"REDIS_URL": redis_server.url}))
    tools.store.clear_dirty(1, tools.store.dirty(1)[1])
    reconcile(tools)
    assert tools.store.dirty(1)[0] == {"setup"}
    set_up_once(tools)
    [hook] = label_studio.hooks.values()
    assert hook.headers[SECRET_HEADER] == tools.webhook_secret != before[0]
    assert label_studio.credentials == project_credentials(tools, 1) != before[1]


def test_after_redis_is_lost_our_webhooks_are_known_by_their_address(tools: Tools, redis: Redis) -> None:
    register(tools, 1, backend_url=URL, extra_params={})
    label_studio = set_up_once(tools)
    redis.flushall()
    fresh = Secrets(KeptSecret(redis, bootstrap.WEBHOOK), KeptSecret(redis, bootstrap.OWN))
    started_again = replace(tools, secrets=fresh)
    from backend.ports import ConnectedBackend

    label_studio.connected = [ConnectedBackend(URL, "ALLabel", "", "")]
    reconcile(started_again)
    assert started_again.store.projects() == [1]
    elsewhere = replace(started_again, own_address=lambda _: False, backend_url="http://b")
    elsewhere.store.forget_project(1)
    reconcile(elsewhere)
    assert elsewhere.store.projects() == []
