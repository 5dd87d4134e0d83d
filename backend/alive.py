"""Exit code 0 if a worker on this host has given a sign of life to Redis: a container's health check.

It runs every half minute, hence imports little.
"""

from __future__ import annotations

import socket
import sys

from redis import Redis
from rq import Worker

from .settings import read_settings


def alive(redis: Redis) -> bool:
    """RQ forgets a worker that has been silent for eight minutes."""
    return socket.gethostname() in {worker.hostname for worker in Worker.all(connection=redis)}


if __name__ == "__main__":
    sys.exit(not alive(Redis.from_url(read_settings().redis_url.get_secret_value(), socket_timeout=5)))
