"""The HTTP side, put together: it translates, stores the consequence, answers."""

from __future__ import annotations

from fastapi import Depends, FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST

from .api.routes import api_routes
from .bootstrap import build_tools
from .contract import contract_routes
from .limits import RequestLimits
from .pages.rendering import STATIC, Assets
from .pages.routes import page_routes
from .problems import RESPONSES, handle_errors
from .security import BasicAuth, SecurityHeaders
from .settings import Settings
from .usecases.metrics import render_metrics
from .usecases.tools import Tools


def create_app(settings: Settings, tools: Tools | None = None) -> FastAPI:
    """The application; ``tools`` are built from the settings unless given."""
    kit = tools or build_tools(settings)
    auth = BasicAuth(settings)
    guarded = [Depends(auth)]
    app = FastAPI(
        title="ALLabel for Label Studio", docs_url=None, redoc_url=None, openapi_url=None, responses=RESPONSES
    )
    handle_errors(app)
    app.include_router(contract_routes(settings, kit, auth))

    @app.get("/metrics", dependencies=guarded)
    def metrics() -> Response:
        return Response(render_metrics(kit), media_type=CONTENT_TYPE_LATEST)

    app.include_router(api_routes(kit), dependencies=guarded)
    app.include_router(page_routes(settings, kit, auth))
    app.mount("/static", Assets(directory=STATIC))

    @app.get("/openapi.json", dependencies=guarded, include_in_schema=False)
    def description() -> dict[str, object]:
        return app.openapi()

    # The last one added is the first to see a request.
    app.add_middleware(RequestLimits)
    app.add_middleware(SecurityHeaders)
    return app
