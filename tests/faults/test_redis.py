"""Redis restarted, emptied, full, slow, gone for a minute, or unable to write to its disk."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress

import httpx
import pytest
from redis.exceptions import RedisError

from figures import assert_nothing_lost, converge
from rig import Rig

GONE_SECONDS = 60.0


def test_restarted(rig: Rig, project: int) -> None:
    rig.annotate_next(project, 2)
    rig.redis_server.stop()
    rig.annotate_next(project)
    rig.redis_server.start()
    assert_nothing_lost(converge(rig, project, "Redis restarted"))


def test_emptied(rig: Rig, project: int) -> None:
    rig.annotate_next(project, 2)
    rig.wait_for(lambda: len(rig.store.demonstrations(project)) == 2)
    converge(rig, project, "before Redis is emptied")
    rig.store.redis.flushall()
    rig.annotate_next(project)
    assert_nothing_lost(converge(rig, project, "Redis emptied"))
    assert rig.store.settings(project).budget == "16"


def test_emptied_while_everything_is_restarted(rig: Rig, project: int) -> None:
    rig.annotate_next(project, 2)
    converge(rig, project, "before Redis is emptied, all restarted")
    rig.store.redis.flushall()
    rig.kill_web()
    rig.kill_worker()
    rig.annotate_next(project)
    assert_nothing_lost(converge(rig, project, "Redis emptied, web and worker restarted"))


def test_full(rig: Rig, project: int) -> None:
    redis = rig.store.redis
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("maxmemory", 1)
    rig.annotate_next(project, 3)
    time.sleep(15)
    answer = httpx.get(f"{rig.to_web.url}/api/projects/{project}")
    assert answer.json()["state"] == "degraded", answer.text
    assert "maxmemory" in answer.json()["remedy"], answer.text
    redis.config_set("maxmemory", 0)
    assert_nothing_lost(converge(rig, project, "Redis full"))


def test_disk_of_redis_full(rig: Rig, project: int) -> None:
    """Redis refuses to write once it could not save, whatever the reason: here its folder is gone."""
    redis = rig.store.redis
    shutil.rmtree(rig.redis_server.directory)
    redis.config_set("save", "3600 1")
    redis.bgsave()
    rig.wait_for(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err")
    rig.annotate_next(project, 2)
    time.sleep(15)
    answer = httpx.get(f"{rig.to_web.url}/api/projects/{project}")
    assert answer.json()["state"] == "degraded", answer.text
    assert "disk" in answer.json()["remedy"], answer.text
    rig.redis_server.directory.mkdir()
    with suppress(RedisError):
        redis.config_set("stop-writes-on-bgsave-error", "no")
    assert_nothing_lost(converge(rig, project, "Redis cannot save to its disk"))


def test_slow(rig: Rig, project: int) -> None:
    rig.redis.delay = 0.1
    since = time.monotonic()
    rig.annotate_next(project, 2)
    figures = converge(rig, project, "Redis slow (0.1 s a command)", since=since)
    rig.redis.delay = 0.0
    assert_nothing_lost(figures)


@pytest.mark.parametrize("how", ["refusing", "silent"])
def test_gone_for_a_minute(rig: Rig, project: int, how: str) -> None:
    if how == "refusing":
        rig.redis.go_down()
    else:
        rig.redis.silent = True
    rig.annotate_next(project, 2)
    time.sleep(GONE_SECONDS)
    rig.annotate_next(project)
    if how == "refusing":
        rig.redis.come_up()
    else:
        rig.redis.silent = False
    assert_nothing_lost(converge(rig, project, f"Redis gone for a minute, {how}"))
