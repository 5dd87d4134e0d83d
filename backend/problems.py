"""Every error becomes a sentence for the person who must act; no traceback leaves the service."""

from __future__ import annotations

import logging
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from redis.exceptions import RedisError

from allabel_core.errors import AllabelError, InvalidInputError

from .errors import LabelConfigError
from .logs import about
from .security import HEADERS, UnauthorisedError
from .telemetry import subject_of
from .usecases.memory import SECRET_HEADER

logger = logging.getLogger(__name__)


class Problem(BaseModel):
    """What every answer of 400 and above is, but for pages."""

    detail: str


_MEANINGS = {
    400: "The request cannot be read.",
    401: "Wrong or missing credentials.",
    403: "A page in a browser has no business here.",
    404: "There is no such project, task or address.",
    408: "The request's body came too slowly.",
    413: "The request is too large.",
    422: "The request, or the project it speaks of, cannot be used.",
    429: "Too many wrong passwords have been tried.",
    502: "Label Studio or the language model does not do its part.",
    503: "Redis does not answer.",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": meaning} for status, meaning in _MEANINGS.items()
}
"""For the OpenAPI description of every route."""


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status_code=status, headers=headers)


def unauthorised() -> JSONResponse:
    return problem(
        401,
        "Wrong or missing credentials: requests need this backend's BASIC_AUTH_USER and BASIC_AUTH_PASS or, "
        f"from Label Studio, the project's token, webhooks the {SECRET_HEADER} header (both are set by "
        "connecting the model).",
        {"WWW-Authenticate": 'Basic realm="ALLabel"'},
    )


def too_many_tries(seconds: int) -> JSONResponse:
    complaint = f"Too many wrong passwords have been tried. Wait {seconds} s, then use the right one."
    return problem(429, complaint, {"Retry-After": str(seconds)})


def unknown_name() -> JSONResponse:
    return problem(
        400,
        "This backend does not know itself by the name in the Host header. Call it by the name in "
        "BACKEND_URL or PUBLIC_URL, or add the name to ALLOWED_HOSTS and restart it.",
    )


def no_redis(error: RedisError) -> JSONResponse:
    logger.error("Redis: %s", type(error).__name__)
    return problem(503, "Redis does not answer; check REDIS_URL and that the server is up.")


def handle_errors(app: FastAPI) -> None:
    @app.exception_handler(UnauthorisedError)
    def refused(_: Request, __: Exception) -> Response:
        return unauthorised()

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: Exception) -> Response:
        found = cast(RequestValidationError, error).errors()
        problems = [f"{'.'.join(map(str, e['loc'][1:])) or 'body'}: {e['msg']}" for e in found[:5]]
        return problem(422, "; ".join(problems))

    @app.exception_handler(LabelConfigError)
    @app.exception_handler(InvalidInputError)
    def unusable(request: Request, error: Exception) -> Response:
        # Label Studio shows the status alone and sends people to this log for the reason.
        with about(**subject_of(request)):
            logger.warning("refused: %s", error)
        return problem(422, str(error))

    @app.exception_handler(AllabelError)
    def failed(request: Request, error: Exception) -> Response:
        with about(**subject_of(request)):
            logger.warning("%s", type(error).__name__)
        return problem(502, str(error))

    @app.exception_handler(RedisError)
    def redis_fails(_: Request, error: Exception) -> Response:
        return no_redis(cast(RedisError, error))

    @app.exception_handler(Exception)
    def unforeseen(_: Request, __: Exception) -> Response:
        # Answered outside of all middleware, so the headers are put on here.
        return problem(500, "Something went wrong in the backend; its log says what.", HEADERS)
