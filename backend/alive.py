"""Exit code 0 if a worker on this host has given a sign of life to Redis: a container's health check.

It runs every half minute, hence imports little.
"""

from __future__ import annotations

import socket
import sys

from redis import Redis

from .adapters.store_figures import StoredFigures
from .settings import read_settings


def alive(redis: Redis) -> bool:
    """Whether one of the workers alive is on this host."""
    return socket.gethostname() in {worker.rpartition(":")[0] for worker in StoredFigures(redis).workers()}


if __name__ == "__main__":
    sys.exit(not alive(Redis.from_url(read_settings().redis_url.get_secret_value(), socket_timeout=5)))
