"""The pages for people. They show what the use cases found, as the API does, and compute no figure."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import JSONResponse, RedirectResponse

from allabel_core.errors import InvalidInputError

from ..settings import Settings
from ..throttle import Guess, Throttle, TooManyTriesError
from ..usecases.advice import STEP
from ..usecases.budget import raise_budget
from ..usecases.consistency import inconsistencies, unmarked_elsewhere
from ..usecases.corpus_map import find_texts, map_counts, stored_map
from ..usecases.explain import excerpt, explain_queue, explain_task
from ..usecases.figures import ProjectSummary
from ..usecases.finish import cancel_finishing, finish
from ..usecases.forecast import finish_forecast
from ..usecases.report import report, summaries, summary
from ..usecases.review import review_list
from ..usecases.tools import Tools
from .access import Access, Visit
from .errors import NoSuchPageError, PageRoute
from .sessions import COOKIE, Sessions
from .words import TASK_STATES

Number = Annotated[int, Path(gt=0, lt=2**53)]
Words = Annotated[str, Query(min_length=2, max_length=200)]

QUEUE_SHOWN = 25
LISTED = 200
SEE_OTHER = 303


def page_routes(settings: Settings, tools: Tools) -> APIRouter:
    """All pages; each asks for a session, or basic auth, by itself."""
    access = Access(Sessions(tools, settings.basic_auth))
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    _add_signing_in(router, tools, access)
    _add_pages(router, tools, access)
    _add_buttons(router, tools, access)
    return router


def _add_signing_in(router: APIRouter, tools: Tools, access: Access) -> None:
    throttle = Throttle(tools)
    anyone, own_form = Depends(access.anyone), Depends(access.form)

    @router.get("/login")
    def ask(visit: Visit = anyone, next: str = "/projects") -> Response:
        return visit.page("login.html", next=_own_path(next), complaint="")

    @router.post("/login")
    def sign_in(visit: Visit = anyone, form: dict[str, str] = own_form) -> Response:
        wanted = _own_path(form.get("next", ""))
        user, password = form.get("user", ""), form.get("password", "")
        guess = _guess(visit, user, password)
        try:
            right = throttle.judge(guess, right=visit.sessions.is_password(user, password))
        except TooManyTriesError:
            complaint = "Too many tries. Wait a minute."
            return visit.page("login.html", 429, next=wanted, complaint=complaint)
        if not right:
            return visit.page("login.html", 403, next=wanted, complaint="The name or the password is wrong.")
        throttle.forget(guess)
        return visit.signed_in(RedirectResponse(wanted, SEE_OTHER), user)

    @router.post("/logout", dependencies=[own_form])
    def sign_out(visit: Visit = anyone) -> Response:
        visit.sessions.sign_out(visit.session)
        answer = RedirectResponse("/login", SEE_OTHER)
        answer.delete_cookie(COOKIE)
        return answer


def _guess(visit: Visit, user: str, password: str) -> Guess:
    """Of people, who type, every try counts, the same word twice as well."""
    client = visit.request.client
    browser = visit.sessions.known_browser(visit.request)
    return Guess(client.host if client else "", user, password, browser, number=secrets.token_hex(8))


def _own_path(address: str) -> str:
    """Where to go after signing in: one of these pages, never another site."""
    return address if address.startswith("/projects") else "/projects"


def _add_pages(router: APIRouter, tools: Tools, access: Access) -> None:
    visitor = Depends(access.visitor)

    @router.get("/projects")
    def projects(visit: Visit = visitor) -> Response:
        return visit.page("projects.html", projects=summaries(tools))

    @router.get("/projects/{project_id}")
    def project(project_id: Number, visit: Visit = visitor) -> Response:
        _require(tools, project_id)
        return visit.page("project.html", project=report(tools, project_id))

    @router.get("/projects/{project_id}/queue")
    def queue(project_id: Number, visit: Visit = visitor) -> Response:
        about = _about(tools, project_id)
        return visit.page("queue.html", project=about, tasks=explain_queue(tools, project_id, QUEUE_SHOWN))

    @router.get("/projects/{project_id}/tasks/{task_id}")
    def task(project_id: Number, task_id: Number, visit: Visit = visitor) -> Response:
        about = _about(tools, project_id)
        found = explain_task(tools, project_id, task_id)
        if found is None:
            raise NoSuchPageError(f"Project {project_id} has no task {task_id}.")
        return visit.page("task.html", project=about, task=found)

    @router.get("/projects/{project_id}/map")
    def corpus(project_id: Number, visit: Visit = visitor) -> Response:
        about = _about(tools, project_id)
        found = map_counts(tools, project_id)
        counts = found or {}
        states = [(state, counts.get(state, 0)) for state in TASK_STATES]
        version = f"{tools.store.fact(project_id, 'rankings')} {sorted(counts.items())}"
        drawn = {"computed": found is not None, "texts": sum(counts.values())}
        return visit.page("map.html", project=about, map=drawn, counts=states, version=version)

    @router.get("/projects/{project_id}/map/points")
    def points(project_id: Number, visit: Visit = visitor) -> Response:
        _require(tools, project_id)
        return Response(stored_map(tools, project_id), media_type="application/json")

    @router.get("/projects/{project_id}/map/find")
    def find(project_id: Number, words: Words, visit: Visit = visitor) -> Response:
        _require(tools, project_id)
        return JSONResponse({"tasks": find_texts(tools, project_id, words)})

    @router.get("/projects/{project_id}/map/points/{task_id}")
    def point(project_id: Number, task_id: Number, visit: Visit = visitor) -> Response:
        texts = tools.store.some_texts(project_id, [task_id])
        if not texts:
            raise NoSuchPageError(f"Project {project_id} has no task {task_id}.")
        return JSONResponse({"excerpt": excerpt(texts[task_id])})

    @router.get("/projects/{project_id}/consistency")
    def consistency(project_id: Number, visit: Visit = visitor) -> Response:
        about = _about(tools, project_id)
        found = inconsistencies(tools, project_id, LISTED)
        everywhere = unmarked_elsewhere(tools, project_id, LISTED)
        return visit.page("consistency.html", project=about, conflicts=found, unmarked=everywhere)

    @router.get("/projects/{project_id}/review")
    def review(project_id: Number, visit: Visit = visitor) -> Response:
        about = _about(tools, project_id)
        return visit.page("review.html", project=about, tasks=review_list(tools, project_id, LISTED))

    @router.get("/projects/{project_id}/finish")
    def before_finishing(project_id: Number, visit: Visit = visitor) -> Response:
        _require(tools, project_id)
        found = report(tools, project_id)
        return visit.page("finish.html", project=found, forecast=finish_forecast(found))


def _add_buttons(router: APIRouter, tools: Tools, access: Access) -> None:
    form = Depends(access.form)
    allowed = [Depends(access.visitor), form]

    @router.post("/projects/{project_id}/rerank", dependencies=allowed)
    def rerank(project_id: Number) -> Response:
        _require(tools, project_id)
        tools.store.mark_dirty(project_id, "setup", "tasks")
        return RedirectResponse(f"/projects/{project_id}", SEE_OTHER)

    @router.post("/projects/{project_id}/finish", dependencies=allowed)
    def label_the_rest(project_id: Number, fields: dict[str, str] = form) -> Response:
        _require(tools, project_id)
        try:
            ask = float(fields["ask"]) if "ask" in fields else None
        except ValueError:
            raise InvalidInputError("The share of texts to ask about must be a number.") from None
        finish(tools, project_id, ask)
        return RedirectResponse(f"/projects/{project_id}", SEE_OTHER)

    @router.post("/projects/{project_id}/finish/cancel", dependencies=allowed)
    def leave_off(project_id: Number) -> Response:
        _require(tools, project_id)
        cancel_finishing(tools, project_id)
        return RedirectResponse(f"/projects/{project_id}", SEE_OTHER)

    @router.post("/projects/{project_id}/budget/raise", dependencies=allowed)
    def twenty_more(project_id: Number) -> Response:
        _require(tools, project_id)
        raise_budget(tools, project_id, STEP)
        return RedirectResponse(f"/projects/{project_id}", SEE_OTHER)


def _require(tools: Tools, project_id: int) -> None:
    if not tools.store.knows(project_id):
        raise NoSuchPageError(f"Project {project_id} is not connected.")


def _about(tools: Tools, project_id: int) -> ProjectSummary:
    """What stands above every page of a project."""
    _require(tools, project_id)
    return summary(tools, project_id)
