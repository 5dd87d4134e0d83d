"""Checks of every part, each with the remedy. Works with whatever is up, and says what is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
from redis import Redis
from redis.exceptions import RedisError

from allabel_core.errors import AllabelError

from .bootstrap import (
    build_label_studio,
    build_model,
    build_store,
    build_tools,
    connect_redis,
    webhook_secret,
)
from .errors import LabelStudioNotFoundError
from .labeling.label_config import parse_label_config, task_text
from .ports import ConnectedBackend, LabelStudio
from .settings import Settings, require_label_studio
from .usecases.memory import IMPORT_FLAG, SECRET_HEADER, TITLE, is_version
from .usecases.tools import Tools
from .usecases.trial import try_question
from .usecases.trouble import trouble

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
    yield _check("Label Studio", lambda: _label_studio(settings), _ACCESS)
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
    alive = build_store(redis).workers_alive()
    if not alive:
        raise _FoundWrongError("none is running, so nothing is ranked or pre-annotated")
    return f"{alive} running"


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
    project = _check("Project", lambda: _project(label_studio, project_id), _ACCESS)
    yield project
    if not project.ok:
        return
    again = f"Let the worker set it up anew: allabel rerank {project_id}"
    yield _check("State", lambda: _state(build_tools(settings), project_id), f"allabel connect {project_id}")
    yield _check(
        "Question",
        lambda: _question(build_tools(settings), project_id),
        "See docs/how-to/models.md for this provider.",
    )
    yield _check(
        "Connection", lambda: _connection(settings, label_studio, project_id), _unreachable(project_id)
    )
    secret = webhook_secret(settings, redis)
    yield _check("Webhook", lambda: _webhook(label_studio, project_id, secret()), again)
    yield _check(
        "Text",
        lambda: _text(label_studio, project_id),
        "Give the task a text that can be read; where people reach Label Studio at another address than this "
        "backend, set LABEL_STUDIO_PUBLIC_URL.",
    )
    yield _check("Queue order", lambda: _order(label_studio, project_id), again)
    yield _check("Imports", lambda: _imports(label_studio, project_id), "")


_ACCESS = (
    "Set LABEL_STUDIO_URL to its address and LABEL_STUDIO_API_KEY to a token from its page "
    "'Account & Settings', and restart backend and workers."
)


def _unreachable(project_id: int) -> str:
    return (
        "Label Studio must be able to call this backend: on private or loopback addresses only with "
        "ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false in Label Studio's own environment. "
        f"Then: allabel connect {project_id}"
    )


def _project(label_studio: LabelStudio, project_id: int) -> str:
    try:
        return f"'{label_studio.project(project_id).title}'"
    except LabelStudioNotFoundError:
        raise _FoundWrongError(
            f"Label Studio has no project {project_id}, or not for the token's user",
            "Take the number from the project's address, /projects/NUMBER; in a shared Label Studio make "
            "the token's user a member of the project.",
        ) from None


def _question(tools: Tools, project_id: int) -> str:
    if not tools.store.fact(project_id, "label_config"):
        return "asked once the project is connected"
    return try_question(tools, project_id)


def _state(tools: Tools, project_id: int) -> str:
    if not tools.store.knows(project_id) and project_id not in tools.store.refusals():
        raise _FoundWrongError("the project is not connected to this backend")
    found = trouble(tools, project_id, tools.store.facts(project_id))
    if found.problem:
        raise _FoundWrongError(found.problem, found.remedy)
    return found.state.replace("_", " ")


def _connection(settings: Settings, label_studio: LabelStudio, project_id: int) -> str:
    backends = label_studio.backends(project_id)
    if not backends:
        raise _FoundWrongError("no model is connected to the project", f"allabel connect {project_id}")
    ours = [backend for backend in backends if _is_ours(backend, settings.own_url)]
    if len(ours) > 1:
        raise _FoundWrongError(
            f"{len(ours)} connections lead to this backend: {', '.join(one.url for one in ours)}",
            "Keep one and delete the others in the project's Settings, Model; each is asked for every "
            "suggestion otherwise.",
        )
    for backend in backends:
        if backend.error:
            raise _FoundWrongError(
                f"Label Studio cannot use {backend.url}: {backend.error}", _remedy(backend, project_id)
            )
    return f"Label Studio reaches {', '.join(backend.url for backend in backends)}"


def _is_ours(backend: ConnectedBackend, own_url: str) -> bool:
    """By its address, or by the version that this backend tells Label Studio."""
    if _plain(backend.url) == _plain(own_url) or is_version(backend.version):
        return True
    return TITLE in (backend.version, backend.title)


def _plain(url: str) -> str:
    return url.rstrip("/").replace("//127.0.0.1", "//localhost")


def _remedy(backend: ConnectedBackend, project_id: int) -> str:
    """Empty where the check's own fits."""
    if re.search(r"\b401\b|Unauthori[sz]ed", backend.error):
        return (
            "The user name and password of the connection are not BASIC_AUTH_USER and BASIC_AUTH_PASS of "
            f"this backend; put them in: allabel connect {project_id}"
        )
    return ""


def _text(label_studio: LabelStudio, project_id: int) -> str:
    """Reads the text of the first task as the worker would."""
    interface = parse_label_config(label_studio.project(project_id).label_config)
    task = next(iter(label_studio.tasks(project_id)), None)
    if task is None:
        return "there are no tasks yet"
    text = task_text(interface, task.data, fetch=label_studio.text_at)
    return f"that of task {task.id} is read, {len(text):,} characters"


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
