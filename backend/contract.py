"""Label Studio's ML-backend contract: what it sends, checked, and the routes that answer it.

Limits set by Label Studio: /health 1 s, /setup 3 s, /predict 100 s, a webhook 1 s.
"""

from __future__ import annotations

import re
import time
from functools import partial
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from .gate import Connections, caller_of
from .labeling.label_config import parse_label_config
from .limits import ParsedRoute
from .security import UnauthorisedError
from .settings import Settings
from .usecases.connect import parse_extra_params, register
from .usecases.events import START_TRAINING, Event, receive
from .usecases.identity import check_identity, refusals_noted
from .usecases.predict import predict
from .usecases.tools import Tools

MODEL_CLASS = "ALLabel"
MAX_WAITING = 64
MAX_CONFIG_CHARACTERS = 1_000_000
LARGEST_ID = 2**53 - 1


PROJECT = r"^([1-9][0-9]{0,14})(\.[0-9]*)?$"


def _project_id(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(PROJECT, value, re.ASCII)
    if match is None:
        raise ValueError('must be a number, or "ID.TIMESTAMP"')
    return int(match[1])


Id = Annotated[int, Field(strict=True, gt=0, le=LARGEST_ID)]
ProjectId = Annotated[
    Id,
    BeforeValidator(_project_id),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "exclusiveMinimum": 0, "maximum": LARGEST_ID},
                {"type": "string", "pattern": PROJECT},
            ],
            "description": 'The number, or "ID.TIMESTAMP" as Label Studio writes it.',
        }
    ),
]
LabelConfig = Annotated[str, Field(max_length=MAX_CONFIG_CHARACTERS)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class SetupBody(_Body):
    """The token of its own that Label Studio sends along is not even read.

    ``stamp``: when the project was made, which tells it from another Label Studio's of the same number.
    """

    project: ProjectId
    stamp: Annotated[int | None, Field(exclude=True)] = None
    hostname: Annotated[str, BeforeValidator(lambda named: named if isinstance(named, str) else "")] = ""
    label_config: LabelConfig = Field("", alias="schema")
    extra_params: Any = None

    @model_validator(mode="before")
    @classmethod
    def _stamped(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        named = body.get("project")
        match = re.fullmatch(PROJECT, named, re.ASCII) if isinstance(named, str) else None
        stamp = match[2][1:16] if match and match[2] else ""
        return {**body, "stamp": int(stamp) if stamp else None}


class TaskBody(_Body):
    id: Id
    data: dict[str, Any]


class PredictBody(_Body):
    tasks: list[TaskBody]
    project: ProjectId
    label_config: LabelConfig = ""


class Identified(_Body):
    id: Id


class WebhookBody(_Body):
    action: str
    project: Identified
    tasks: list[Identified] = []


def contract_routes(settings: Settings, tools: Tools) -> APIRouter:
    """The routes that Label Studio calls."""
    router = APIRouter(route_class=ParsedRoute)
    guarded = [Depends(Connections())]
    # A prediction may wait long for the worker; it must not take the threads of everything else.
    patient = CapacityLimiter(MAX_WAITING)

    @router.get("/health")
    async def health() -> dict[str, str]:
        """Whether the backend runs; says nothing of Redis, the worker or the model."""
        return {"status": "UP", "model_class": MODEL_CLASS}

    @router.get("/", response_model=dict[str, str])
    async def root(request: Request) -> dict[str, str] | Response:
        """The same; browsers are led to the pages."""
        # People's browsers, unlike Label Studio, ask for a page.
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/projects", 303, headers={"Vary": "Accept"})
        if not caller_of(request).owner:
            raise UnauthorisedError
        return await health()

    @router.post("/setup", dependencies=guarded)
    def setup(body: SetupBody, request: Request) -> dict[str, str]:
        """Label Studio connects a project, or asks for the version of what is published."""
        _acts_for(request, body.project)
        url = settings.address_for(str(request.base_url).rstrip("/"))
        with refusals_noted(tools, body.project):
            if body.label_config:
                parse_label_config(body.label_config)
            check_identity(tools, body.project, body.stamp, body.hostname)
            register(
                tools,
                body.project,
                backend_url=url,
                extra_params=parse_extra_params(body.extra_params),
                stamp=body.stamp,
            )
        return {"model_version": tools.store.fact(body.project, "version") or MODEL_CLASS}

    @router.post("/predict", dependencies=guarded)
    async def predictions(body: PredictBody, request: Request) -> dict[str, list[dict[str, Any]]]:
        """Suggestions, one per task in the order given; those not made yet are waited for, 85 s at most."""
        _acts_for(request, body.project)
        answer = partial(
            predict,
            tools,
            body.project,
            [(task.id, task.data) for task in body.tasks],
            label_config=body.label_config,
            arrived=time.monotonic(),
        )
        return {"results": await to_thread.run_sync(answer, limiter=patient)}

    @router.post("/webhook", status_code=202)
    def webhook(body: WebhookBody, request: Request) -> dict[str, str]:
        """Something has changed in a project; 'ignored' where it is nothing to us."""
        # Label Studio sends START_TRAINING with the connection's credentials, everything else with
        # the headers that set-up put into its webhook.
        if body.action == START_TRAINING and not caller_of(request).webhook:
            _acts_for(request, body.project.id)
        elif not caller_of(request).webhook:
            raise UnauthorisedError
        request.state.project = body.project.id
        event = Event(body.action, body.project.id, tuple(task.id for task in body.tasks))
        return {"status": "accepted" if receive(tools, event) else "ignored"}

    @router.get("/versions", dependencies=guarded)
    def versions(request: Request, project: ProjectId | None = None) -> dict[str, list[str]]:
        """The version that is published."""
        if project:
            _acts_for(request, project)
        version = tools.store.fact(project, "version") if project else None
        return {"versions": [version] if version else []}

    return router


def _acts_for(request: Request, project_id: int) -> None:
    """:raises UnauthorisedError: the token that it came with is another project's."""
    if not caller_of(request).acts_for(project_id):
        raise UnauthorisedError
    request.state.project = project_id
