"""The HTTP side, put together: it translates, stores the consequence, answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI

from .api.routes import api_routes
from .bootstrap import build_tools
from .contract import contract_routes
from .gate import Gate, OwnersAlone
from .limits import RequestLimits
from .monitoring import monitoring_routes
from .names import KnownNames
from .pages.errors import unknown_addresses
from .pages.rendering import STATIC, Assets
from .pages.routes import page_routes
from .problems import RESPONSES, handle_errors
from .pulse import Pulse
from .security import SecurityHeaders
from .settings import Settings
from .telemetry import RequestFigures
from .usecases.tools import Tools


def create_app(settings: Settings, tools: Tools | None = None) -> FastAPI:
    """The application; ``tools`` are built from the settings unless given."""
    kit = tools or build_tools(settings)
    guarded = [Depends(OwnersAlone())]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        pulse = Pulse(kit, is_worker=False)
        pulse.start()
        yield
        pulse.stop()

    app = FastAPI(
        title="ALLabel for Label Studio",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        responses=RESPONSES,
        lifespan=lifespan,
    )
    handle_errors(app)
    unknown_addresses(app)
    app.include_router(contract_routes(settings, kit))

    app.include_router(monitoring_routes(kit), dependencies=guarded)
    app.include_router(api_routes(kit), dependencies=guarded)
    app.include_router(page_routes(settings, kit))
    app.mount("/static", Assets(directory=STATIC))

    @app.get("/openapi.json", dependencies=guarded, include_in_schema=False)
    def description() -> dict[str, object]:
        return app.openapi()

    # The last one added is the first to see a request.
    app.add_middleware(RequestLimits)
    app.add_middleware(Gate, settings=settings, tools=kit)
    app.add_middleware(KnownNames, settings=settings)
    app.add_middleware(RequestFigures, meter=kit.meter)
    app.add_middleware(SecurityHeaders)
    return app
