"""The HTTP side: Label Studio's ML-backend contract. It translates, stores the consequence, answers.

Limits set by Label Studio: /health 1 s, /setup 3 s, /predict 100 s, a webhook 1 s.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, cast

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from redis.exceptions import RedisError

from allabel_core.errors import AllabelError, InvalidInputError

from .bootstrap import build_tools
from .errors import LabelConfigError
from .labeling.label_config import parse_label_config
from .settings import Settings
from .usecases.connect import SECRET_HEADER, parse_extra_params, register
from .usecases.events import Event, receive
from .usecases.metrics import render_metrics
from .usecases.predict import predict
from .usecases.tools import Tools

logger = logging.getLogger(__name__)

MODEL_CLASS = "ALLabel"
MAX_BODY_BYTES = 64 * 2**20
MAX_TASKS = 1000
MAX_WAITING = 64


def _project_id(value: object) -> object:
    """Label Studio writes a project as "ID.TIMESTAMP"."""
    return value.split(".", 1)[0] if isinstance(value, str) else value


ProjectId = Annotated[int, BeforeValidator(_project_id), Field(gt=0, lt=2**53)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class SetupBody(_Body):
    project: ProjectId
    label_config: str = Field("", alias="schema")
    extra_params: Any = None


class TaskBody(_Body):
    id: Annotated[int, Field(gt=0, lt=2**53)]
    data: dict[str, Any]


class PredictBody(_Body):
    tasks: Annotated[list[TaskBody], Field(max_length=MAX_TASKS)]
    project: ProjectId
    label_config: str = ""


class Identified(_Body):
    id: Annotated[int, Field(gt=0, lt=2**53)]


class WebhookBody(_Body):
    action: str
    project: Identified
    tasks: list[Identified] = []


def create_app(settings: Settings, tools: Tools | None = None) -> FastAPI:
    """The application; ``tools`` are built from the settings unless given."""
    kit = tools or build_tools(settings)
    app = FastAPI(title="ALLabel for Label Studio", docs_url=None, redoc_url=None)
    credentials = (settings.basic_auth_user, settings.basic_auth_pass.get_secret_value())

    def authorised(request: Request) -> bool:
        if not credentials[0]:
            return True
        return _same(_basic_auth(request), ":".join(credentials))

    def require_auth(request: Request) -> None:
        if not authorised(request):
            raise _UnauthorisedError

    # A prediction may wait long for the worker; it must not take the threads of everything else.
    patient = CapacityLimiter(MAX_WAITING)
    guarded = [Depends(require_auth)]
    _handle_errors(app)

    @app.middleware("http")
    async def limit_body(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return _error(
                413, f"The request is larger than {MAX_BODY_BYTES // 2**20} MiB; send fewer tasks at once."
            )
        return await call_next(request)

    @app.get("/")
    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "UP", "model_class": MODEL_CLASS}

    @app.post("/setup", dependencies=guarded)
    def setup(body: SetupBody, request: Request) -> dict[str, str]:
        if body.label_config:
            parse_label_config(body.label_config)
        url = settings.backend_url or str(request.base_url).rstrip("/")
        register(kit, body.project, backend_url=url, extra_params=parse_extra_params(body.extra_params))
        return {"model_version": kit.store.fact(body.project, "version") or MODEL_CLASS}

    @app.post("/predict", dependencies=guarded)
    async def predictions(body: PredictBody) -> dict[str, list[dict[str, Any]]]:
        tasks = [(task.id, task.data) for task in body.tasks]
        answer = partial(predict, kit, body.project, tasks, label_config=body.label_config)
        return {"results": await to_thread.run_sync(answer, limiter=patient)}

    @app.post("/webhook", status_code=202)
    def webhook(body: WebhookBody, request: Request) -> dict[str, str]:
        # Label Studio sends START_TRAINING with the connection's credentials, everything else with
        # the headers that set-up put into its webhook.
        secret = request.headers.get(SECRET_HEADER, "")
        trusted = _same(secret, kit.webhook_secret)
        if not trusted and not (body.action == "START_TRAINING" and authorised(request)):
            raise _UnauthorisedError
        event = Event(body.action, body.project.id, tuple(task.id for task in body.tasks))
        return {"status": "accepted" if receive(kit, event) else "ignored"}

    @app.get("/versions", dependencies=guarded)
    def versions(project: ProjectId | None = None) -> dict[str, list[str]]:
        version = kit.store.fact(project, "version") if project else None
        return {"versions": [version] if version else []}

    @app.get("/metrics", dependencies=guarded)
    def metrics() -> Response:
        return Response(render_metrics(kit), media_type=CONTENT_TYPE_LATEST)

    return app


class _UnauthorisedError(Exception):
    pass


def _basic_auth(request: Request) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _error(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status_code=status, headers=headers)


def _handle_errors(app: FastAPI) -> None:
    """Every error becomes a sentence for the person who must act; no traceback leaves the service."""

    @app.exception_handler(_UnauthorisedError)
    def unauthorised(_: Request, __: Exception) -> Response:
        return _error(
            401,
            "Wrong or missing credentials: requests need this backend's BASIC_AUTH_USER and BASIC_AUTH_PASS, "
            f"webhooks its {SECRET_HEADER} header (set by connecting the model).",
            {"WWW-Authenticate": 'Basic realm="ALLabel"'},
        )

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: Exception) -> Response:
        found = cast(RequestValidationError, error).errors()
        problems = [f"{'.'.join(map(str, e['loc'][1:])) or 'body'}: {e['msg']}" for e in found[:5]]
        return _error(422, "; ".join(problems))

    @app.exception_handler(LabelConfigError)
    @app.exception_handler(InvalidInputError)
    def unusable(_: Request, error: Exception) -> Response:
        # Label Studio shows the status alone and sends people to this log for the reason.
        logger.warning("refused: %s", error)
        return _error(422, str(error))

    @app.exception_handler(AllabelError)
    def failed(_: Request, error: Exception) -> Response:
        logger.warning("%s", type(error).__name__)
        return _error(502, str(error))

    @app.exception_handler(RedisError)
    def no_redis(_: Request, error: Exception) -> Response:
        logger.error("Redis: %s", type(error).__name__)
        return _error(503, "Redis does not answer; check REDIS_URL and that the server is up.")
