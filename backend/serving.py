"""The HTTP server's life: it ends soon after SIGTERM, though requests may wait long for the worker."""

from __future__ import annotations

from types import FrameType

import uvicorn

from .app import create_app
from .bootstrap import build_tools
from .settings import Settings
from .usecases.tools import Tools

ANSWERS_END_WITHIN = 5
"""Seconds that requests have to end by themselves, once told; below the ten that containers get."""


class Server(uvicorn.Server):
    """Tells waiting requests that the process ends; by itself, uvicorn would wait for them."""

    def __init__(self, config: uvicorn.Config, tools: Tools) -> None:
        super().__init__(config)
        self._tools = tools

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._tools.stopping.set()
        super().handle_exit(sig, frame)


def run_server(settings: Settings) -> None:
    """Answer until told to stop by SIGTERM or SIGINT."""
    tools = build_tools(settings)
    config = uvicorn.Config(
        create_app(settings, tools),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=ANSWERS_END_WITHIN,
        # Whoever else calls could say anything about where it calls from.
        proxy_headers=bool(settings.forwarded_allow_ips),
        forwarded_allow_ips=settings.forwarded_allow_ips,
    )
    Server(config, tools).run()
