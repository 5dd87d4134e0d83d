"""Routes under /api/projects: they translate; what they answer stands in the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Response

from ..usecases.consistency import inconsistencies
from ..usecases.corpus_map import stored_map
from ..usecases.explain import explain_queue, explain_task
from ..usecases.figures import (
    CorpusMap,
    Inconsistency,
    ProjectReport,
    ProjectSummary,
    QueuedTask,
    ReviewedTask,
    TaskReport,
)
from ..usecases.report import report, summaries
from ..usecases.review import review_list
from ..usecases.tools import Tools

Number = Annotated[int, Path(gt=0, lt=2**53)]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many, the first ones.")]


def api_routes(tools: Tools) -> APIRouter:
    """All routes; the caller guards them."""

    def known(project_id: Number) -> None:
        if not tools.store.knows(project_id):
            raise HTTPException(404, f"Project {project_id} is not connected; 'allabel connect' does it.")

    router = APIRouter(prefix="/api/projects", tags=["figures"])
    one = APIRouter(prefix="/{project_id}", dependencies=[Depends(known)])

    @router.get("", summary="All connected projects")
    def projects() -> list[ProjectSummary]:
        return summaries(tools)

    @one.get("", summary="Where a project stands")
    def project(project_id: Number) -> ProjectReport:
        return report(tools, project_id)

    @one.get("/queue", summary="The next tasks, and why they are next")
    def queue(project_id: Number, limit: Limit = 25) -> list[QueuedTask]:
        return explain_queue(tools, project_id, limit)

    @one.get("/tasks/{task_id}", summary="What was suggested for a task and what became of it")
    def task(project_id: Number, task_id: Number) -> TaskReport:
        found = explain_task(tools, project_id, task_id)
        if found is None:
            raise HTTPException(404, f"Project {project_id} has no task {task_id}.")
        return found

    @one.get("/map", summary="The corpus as points in the plane", response_model=CorpusMap)
    def points(project_id: Number) -> Response:
        return Response(stored_map(tools, project_id), media_type="application/json")

    @one.get("/consistency", summary="The same words labelled differently")
    def consistency(project_id: Number, limit: Limit = 100) -> Sequence[Inconsistency]:
        return inconsistencies(tools, project_id, limit)

    @one.get("/review", summary="Tasks labelled by the model, most expected errors first")
    def review(project_id: Number, limit: Limit = 100) -> list[ReviewedTask]:
        return review_list(tools, project_id, limit)

    router.include_router(one)
    return router
