"""Templates to answers, and the static files beside them."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.types import Scope

from .charts import learning_curve, segments, stage_bounds, stage_segments, whisker
from .marks import pieces
from .words import FILTERS, STAGE_WORDS, STATE_LOOKS, TASK_STATES, errors_in_words, in_ten

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"


@lru_cache
def asset(name: str) -> str:
    """The address of a static file; it changes with the file, so that browsers may keep it."""
    return f"/static/{name}?v={blake2b((STATIC / name).read_bytes(), digest_size=6).hexdigest()}"


class Assets(StaticFiles):
    """The static files; those asked for by their digest never change."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if scope["query_string"].startswith(b"v=") or path.endswith(".woff2"):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= FILTERS
    made.globals |= {
        "asset": asset,
        "errors_in_words": errors_in_words,
        "in_ten": in_ten,
        "learning_curve": learning_curve,
        "pieces": pieces,
        "segments": segments,
        "stage_bounds": stage_bounds,
        "stage_segments": stage_segments,
        "whisker": whisker,
        "state_looks": STATE_LOOKS,
        "stage_words": STAGE_WORDS,
        "task_states": TASK_STATES,
    }
    return made


_ENVIRONMENT: Final = _environment()


def render(request: Request, template: str, status: int = 200, **context: Any) -> Response:
    """The page; 304 where the browser says that it has just this one."""
    text = _ENVIRONMENT.get_template(template).render(**context)
    tag = f'"{blake2b(text.encode(), digest_size=12).hexdigest()}"'
    if status == 200 and request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    return HTMLResponse(text, status, headers={"ETag": tag})
