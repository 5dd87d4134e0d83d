"""Routes for those who watch the service."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse

from .pulse import hand_over
from .readiness import Readiness, readiness
from .usecases.metrics import render_metrics
from .usecases.tools import Tools


def monitoring_routes(tools: Tools) -> APIRouter:
    """All routes; the caller guards them."""
    router = APIRouter()

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}},
    )
    def metrics() -> Response:
        """Figures for Prometheus, as text: those of all processes, by way of Redis."""
        hand_over(tools)
        return Response(render_metrics(tools), media_type=CONTENT_TYPE_LATEST)

    @router.get("/ready", responses={503: {"model": Readiness, "description": "One of the parts fails."}})
    async def ready() -> Readiness:
        """Whether Redis, a worker and Label Studio are there; answers within 2 s."""
        found = await readiness(tools)
        return found if found.ready else JSONResponse(found.model_dump(), 503)  # type: ignore[return-value]

    return router
