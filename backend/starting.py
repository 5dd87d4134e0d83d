"""What must hold before a process of the service begins, each told in one sentence where it does not."""

from __future__ import annotations

import errno
import logging
import socket
from urllib.parse import urlsplit

from .errors import LabelStudioError, LabelStudioUnauthorisedError, SettingsError
from .settings import Settings
from .usecases.tools import Tools

logger = logging.getLogger(__name__)

OLDEST_REDIS = (6, 2)
LABEL_STUDIO_SECONDS = 5.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def require_services(tools: Tools) -> None:
    """A Redis that is new enough, and a token that Label Studio takes; one that is not up yet may come.

    :raises SettingsError: the Redis is too old.
    :raises LabelStudioUnauthorisedError: Label Studio refuses the token.
    :raises redis.exceptions.RedisError: Redis does not answer.
    """
    version = str(tools.store.redis.info("server")["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        raise SettingsError(f"Redis at REDIS_URL is version {version}; 6.2 or newer is needed.")
    try:
        tools.label_studio.reachable(LABEL_STUDIO_SECONDS)
    except LabelStudioUnauthorisedError:
        raise
    except LabelStudioError as error:
        logger.warning("%s It is tried again.", error)


def require_port(settings: Settings) -> None:
    """:raises SettingsError: the port is Label Studio's, or another program listens on it."""
    label_studio = urlsplit(settings.label_studio_url)
    if label_studio.hostname in LOOPBACK and (label_studio.port or 80) == settings.port:
        raise SettingsError(
            f"PORT and LABEL_STUDIO_URL name the same port, {settings.port}; give the backend another PORT."
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise SettingsError(_unusable(settings, error)) from None


def _unusable(settings: Settings, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {settings.port} is taken by another program. End that program, or choose another port "
            "with PORT."
        )
    return f"The backend cannot listen on HOST {settings.host}, PORT {settings.port}: {error.strerror}."
