"""What goes wrong on a page becomes a page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any, cast
from urllib.parse import quote

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from redis.exceptions import RedisError

from allabel_core.errors import AllabelError

from .access import ForeignFormError, SignInNeededError
from .rendering import render

logger = logging.getLogger(__name__)


class NoSuchPageError(Exception):
    """The message says what there is none of."""


class PageRoute(APIRoute):
    """A route whose errors are pages for people, not JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except SignInNeededError:
                wanted = request.url.path if request.method == "GET" else "/projects"
                return RedirectResponse(f"/login?next={quote(wanted)}", 303)
            except RequestValidationError:
                return _message(request, 404, "No such page", "The address is not one of these pages.")
            except NoSuchPageError as error:
                return _message(request, 404, "No such page", str(error))
            except ForeignFormError:
                return _message(
                    request,
                    403,
                    "Not done",
                    "The form was too old, or not ours. Go back, reload the page, try again.",
                )
            except AllabelError as error:
                logger.warning("%s", type(error).__name__)
                return _message(request, 502, "That did not work", str(error))
            except RedisError as error:
                logger.error("Redis: %s", type(error).__name__)
                return _message(
                    request,
                    503,
                    "No figures now",
                    "Redis does not answer; check REDIS_URL and that the server is up.",
                )

        return answer


def unknown_addresses(app: FastAPI) -> None:
    """To a browser, an address that nothing answers is a page as well."""

    @app.exception_handler(404)
    async def no_such_page(request: Request, error: Exception) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return _message(request, 404, "No such page", "The address is not one of these pages.")
        return await http_exception_handler(request, cast(HTTPException, error))


def _message(request: Request, status: int, title: str, detail: str) -> Response:
    return render(request, "message.html", status, session=None, title=title, detail=detail)
