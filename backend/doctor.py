"""Checks of every part, each with the remedy. Works with whatever is up, and says what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
from redis import Redis
from redis.exceptions import RedisError
from rq import Worker

from allabel_core.errors import AllabelError

from .bootstrap import (
    build_label_studio,
    build_model,
    build_store,
    build_tools,
    connect_redis,
    webhook_secret,
)
from .ports import LabelStudio
from .settings import Settings, require_label_studio
from .usecases.memory import IMPORT_FLAG, SECRET_HEADER
from .usecases.tools import Tools

MANY_TASKS = 3_000
"""From here on, loading them all is most of what a publication costs Label Studio."""


@dataclass(frozen=True, slots=True)
class Check:
    """``finding``: what is there, or what is wrong. ``remedy``: what to do, empty where all is well."""

    name: str
    ok: bool
    finding: str
    remedy: str = ""


def run(settings: Settings, project_id: int | None = None) -> Iterator[Check]:
    """All checks, one after the other; none raises."""
    redis = connect_redis(settings)
    yield _check("Redis", lambda: _redis(redis), "Start Redis, or set REDIS_URL to where it runs.")
    yield _check("Worker", lambda: _workers(redis), "Start one: allabel worker")
    access = "Set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY."
    yield _check("Label Studio", lambda: _label_studio(settings), access)
    model = "Set OPENAI_BASE_URL, OPENAI_MODEL and OPENAI_API_KEY."
    yield _check("Language model", lambda: _model(settings, redis), model)
    yield _check("Backend", lambda: _backend(settings), "Start it: allabel serve; or set BACKEND_URL.")
    if project_id is not None:
        yield from _project_checks(settings, redis, project_id)


class _FoundWrongError(AllabelError):
    """``remedy``: in place of the check's own."""

    def __init__(self, finding: str, remedy: str = "") -> None:
        super().__init__(finding)
        self.remedy = remedy


def _check(name: str, find: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, find())
    except (AllabelError, RedisError, httpx.HTTPError) as error:
        ours = isinstance(error, AllabelError)
        finding = str(error) if ours else f"does not answer ({type(error).__name__})"
        return Check(name, False, finding, getattr(error, "remedy", "") or remedy)


def _redis(redis: Redis) -> str:
    if policy := build_store(redis).eviction():
        raise _FoundWrongError(
            f"it throws away what it holds once it is full (maxmemory-policy {policy})",
            "Set maxmemory-policy noeviction: locks, sessions and the ledger of what was spent must stay.",
        )
    return f"version {redis.info('server')['redis_version']}"


def _workers(redis: Redis) -> str:
    alive = Worker.all(connection=redis)
    if not alive:
        raise _FoundWrongError("none is running, so nothing is ranked or pre-annotated")
    return f"{len(alive)} running"


def _label_studio(settings: Settings) -> str:
    require_label_studio(settings)
    return f"version {build_label_studio(settings).check()} at {settings.label_studio_url}, token accepted"


def _model(settings: Settings, redis: Redis) -> str:
    model = build_model(settings, redis)
    if model is None:
        return "none is configured, which is a way to work: suggestions are learnt from annotations alone"
    return model.check()


def _backend(settings: Settings) -> str:
    httpx.get(f"{settings.own_url}/health", timeout=5).raise_for_status()
    return f"answers at {settings.own_url}"


def _project_checks(settings: Settings, redis: Redis, project_id: int) -> Iterator[Check]:
    label_studio = build_label_studio(settings)
    yield _check("State", lambda: _state(build_tools(settings), project_id), f"allabel connect {project_id}")
    yield _check(
        "Connection",
        lambda: _connection(label_studio, project_id),
        "Label Studio must be able to call this backend: on private or loopback addresses only with "
        "ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false in Label Studio's own environment. "
        f"Then: allabel connect {project_id}",
    )
    yield _check(
        "Webhook",
        lambda: _webhook(label_studio, project_id, webhook_secret(settings, redis)()),
        f"Let the worker set it up anew: allabel rerank {project_id}",
    )
    yield _check(
        "Queue order",
        lambda: _order(label_studio, project_id),
        f"Let the worker set it up anew: allabel rerank {project_id}",
    )
    yield _check("Imports", lambda: _imports(label_studio, project_id), "")


def _state(tools: Tools, project_id: int) -> str:
    facts = tools.store.facts(project_id)
    if problem := facts.get("problem"):
        raise _FoundWrongError(problem, facts.get("remedy", ""))
    if "state" not in facts:
        raise _FoundWrongError("the project is not connected to this backend")
    return facts["state"].replace("_", " ")


def _connection(label_studio: LabelStudio, project_id: int) -> str:
    backends = label_studio.backends(project_id)
    if not backends:
        raise _FoundWrongError("no model is connected to the project")
    for backend in backends:
        if backend.error:
            raise _FoundWrongError(f"Label Studio cannot reach {backend.url}: {backend.error}")
    return f"Label Studio reaches {', '.join(backend.url for backend in backends)}"


def _webhook(label_studio: LabelStudio, project_id: int, secret: str) -> str:
    ours = [hook for hook in label_studio.webhooks(project_id) if hook.headers.get(SECRET_HEADER)]
    if not ours:
        raise _FoundWrongError("no webhook of the project carries our secret, so changes are seen late")
    if any(hook.headers[SECRET_HEADER] != secret for hook in ours):
        raise _FoundWrongError("the webhook's secret is not the one of this backend")
    return f"calls {ours[0].url} with our secret"


def _imports(label_studio: LabelStudio, project_id: int) -> str:
    tasks = label_studio.project(project_id).task_count
    if not label_studio.imports_load_all_tasks(project_id):
        return "Label Studio takes predictions in without loading the whole project"
    if tasks < MANY_TASKS:
        return f"each loads all {tasks} tasks, which are few"
    return (
        f"each loads all {tasks:,} tasks, so annotators wait for publications: start Label Studio with "
        f"{IMPORT_FLAG}=true"
    )


def _order(label_studio: LabelStudio, project_id: int) -> str:
    project = label_studio.project(project_id)
    if project.sampling != "Uncertainty sampling":
        raise _FoundWrongError(f"its sampling is '{project.sampling}', so the queue is not in our order")
    served = label_studio.versions(project_id).get(project.model_version, 0)
    if not served:
        raise _FoundWrongError(f"the project serves '{project.model_version}', which has no prediction")
    return f"uncertainty sampling over {project.model_version} with {served} tasks"
