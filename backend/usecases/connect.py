"""Take a project under our care: what connecting the model starts, and what makes it complete."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from allabel_core.errors import InvalidInputError
from allabel_core.selection.core import STRATEGIES
from allabel_core.similarity.tokenize import TOKENIZERS

from ..errors import LabelStudioError
from ..ports import Project, ProjectSettings
from .dictionary import read_dictionary
from .figures import Advice
from .memory import DESCRIPTION_MARK, PATH, TITLE, VIEW_TITLE, headers, recall_spending, settings_before
from .ranking import budget_tasks
from .tokens import project_credentials, token_mark
from .tools import Tools

logger = logging.getLogger(__name__)

DISCONNECTED = "disconnected"


def register(
    tools: Tools,
    project_id: int,
    *,
    backend_url: str,
    extra_params: Mapping[str, Any],
    stamp: int | None = None,
) -> None:
    """Label Studio connected us to this project: remember it, and let the worker set it up.

    Called whenever Label Studio calls /setup, hence often: it does nothing where nothing is new.

    :param stamp: when the project was made, where it is told.
    :raises InvalidInputError: an extra parameter that we do not know or cannot use; nothing is kept then.
    """
    store = tools.store
    before = store.settings(project_id) if store.knows(project_id) else tools.defaults
    # What cannot be used leaves no trace, so that no worker takes the project up.
    settings = with_params(before, extra_params)
    new = store.add_project(project_id)
    if new or settings != before:
        store.save_settings(project_id, settings)
    moved = bool(backend_url) and store.fact(project_id, "backend_url") != backend_url
    if moved:
        store.set_facts(project_id, backend_url=backend_url)
    if stamp is not None:
        store.set_facts(project_id, stamp=stamp)
    back = store.fact(project_id, "state") == DISCONNECTED
    if new or back:
        store.set_facts(project_id, state="connected")
    if new or back or moved or settings != before:
        store.set_facts(project_id, connection_seen=0, registered_at=store.now())
    if new or back or moved or settings != before:
        store.mark_dirty(project_id, "setup", "tasks")


def with_params(settings: ProjectSettings, params: Mapping[str, Any]) -> ProjectSettings:
    """The settings with a person's choices put in, each checked.

    :raises InvalidInputError: an unknown name or a value that cannot be used.
    """
    known = {field.name: field.type for field in fields(ProjectSettings)}
    if unknown := sorted(params.keys() - known.keys()):
        raise InvalidInputError(f"Unknown setting {unknown[0]!r}; the settings are {', '.join(known)}.")
    chosen: dict[str, Any] = {
        name: parse_renamed(value) if name == "labels_renamed" else _converted(name, known[name], value)
        for name, value in params.items()
    }
    result = replace(settings, **chosen)
    budget_tasks(result.budget, 1)
    read_dictionary(result.dictionary)
    if result.window < 1 or result.k < 0 or result.demonstration_tokens < 0:
        raise InvalidInputError("window must be at least 1, k and demonstration_tokens at least 0.")
    if not 0 <= result.min_confidence <= 1:
        raise InvalidInputError(f"min_confidence must lie between 0 and 1, not {result.min_confidence}.")
    if not 0 <= result.near_duplicates <= 1:
        raise InvalidInputError(f"near_duplicates must lie between 0 and 1, not {result.near_duplicates}.")
    if not 0 <= result.audit <= 0.5:
        raise InvalidInputError(f"audit must lie between 0 and 0.5, not {result.audit}.")
    for name, allowed in _CHOICES.items():
        if getattr(result, name) not in allowed:
            raise InvalidInputError(
                f"{name} must be one of {', '.join(allowed)}, not {getattr(result, name)!r}."
            )
    if result.uncertainty != "similarity" and result.strategy != "allabel":
        raise InvalidInputError(
            f"uncertainty {result.uncertainty!r} is a choice of the third stage of the strategy 'allabel'; "
            f"set strategy to 'allabel' as well, now {result.strategy!r}."
        )
    return result


_CHOICES: dict[str, tuple[str, ...]] = {
    "strategy": tuple(STRATEGIES),
    "similarity": ("bm25", "sbert"),
    "retrieval": ("similarity", "bm25", "sbert", "fused"),
    "occurrences": ("learned", "all", "first"),
    "uncertainty": ("similarity", "model", "both"),
    "tokenizer": tuple(TOKENIZERS),
    "budget_unit": ("texts", "tokens"),
}


def _converted(name: str, kind: object, value: object) -> int | float | bool | str:
    """A value as a person typed it, or as JSON has it."""
    text = str(value).strip()
    try:
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
    except ValueError:
        wanted = "a whole number" if kind == "int" else "a number"
        raise InvalidInputError(f"{name} must be {wanted}, not {value!r}.") from None
    if kind != "bool":
        return text
    if text.lower() not in ("true", "false"):
        raise InvalidInputError(f"{name} must be true or false, not {value!r}.")
    return text.lower() == "true"


def parse_renamed(value: object) -> str:
    """The setting labels_renamed as it is kept: JSON of old names with their new ones.

    :raises InvalidInputError: it is no such mapping.
    """
    found = value
    if isinstance(value, str):
        try:
            found = json.loads(value) if value.strip() else {}
        except (ValueError, RecursionError):
            found = None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise InvalidInputError(
            'labels_renamed must be an object of old names with their new ones, such as {"Old": "New"}.'
        )
    return json.dumps(found, ensure_ascii=False) if found else ""


def parse_extra_params(raw: object) -> dict[str, Any]:
    """Label Studio passes what was typed into 'extra params': an object, JSON text, or nothing.

    :raises InvalidInputError: anything else.
    """
    if raw is None or raw == "":
        return {}
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            raise InvalidInputError('extra_params must be a JSON object such as {"budget": "10%"}.') from None
    if not isinstance(raw, dict):
        raise InvalidInputError('extra_params must be a JSON object such as {"budget": "10%"}.')
    return raw


def set_up(tools: Tools, project: Project) -> None:
    """All that a person would otherwise set by hand in Label Studio. Twice changes nothing."""
    store = tools.store
    url = store.fact(project.id, "backend_url") or tools.backend_url
    recall_spending(tools, project.id)
    # What is to be changed is noted first, in Label Studio itself.
    noted = headers(tools, project.id, settings_before(tools, project.id))
    tools.label_studio.secure_webhook(project.id, url=url + PATH, headers=noted)
    tab = tools.label_studio.set_up_project(project.id, view_title=VIEW_TITLE)
    store.set_facts(project.id, tab=tab)
    _hand_over_token(tools, project.id, url)
    logger.info("project %d: set up", project.id)


def _hand_over_token(tools: Tools, project_id: int, url: str) -> None:
    """From now on Label Studio sends the project's token, not the password that a person has typed there."""
    auth = project_credentials(tools, project_id)
    if auth is None or has_token(tools, project_id):
        return
    try:
        tools.label_studio.change_credentials(project_id, url=url, auth=auth)
    except LabelStudioError as error:
        # Label Studio asks the backend before it takes them; reconciling sees that they are missing.
        logger.warning("project %d: its connection keeps its password for now: %s", project_id, error)
    else:
        tools.store.set_facts(project_id, token=token_mark(auth[1]))


def has_token(tools: Tools, project_id: int) -> bool:
    """Whether the connection has the project's token of today, where it is to have one."""
    credentials = project_credentials(tools, project_id)
    return credentials is None or tools.store.fact(project_id, "token") == token_mark(credentials[1])


def connect(tools: Tools, project_id: int, params: Mapping[str, Any]) -> None:
    """What 'Connect model' in the project's settings does, for the terminal."""
    _connect(tools, project_id, tools.backend_url, params)


def change_settings(tools: Tools, project_id: int, params: Mapping[str, Any]) -> None:
    """Other settings for a connected project, over the connection that it has.

    :raises InvalidInputError: one of them cannot be used.
    """
    _connect(tools, project_id, tools.store.fact(project_id, "backend_url") or tools.backend_url, params)


def _connect(tools: Tools, project_id: int, url: str, params: Mapping[str, Any]) -> None:
    settings = with_params(tools.store.settings(project_id), params)
    # Label Studio keeps them all, so that they survive the loss of Redis.
    chosen = {
        name: value for name, value in asdict(settings).items() if value != getattr(tools.defaults, name)
    }
    auth = project_credentials(tools, project_id)
    tools.label_studio.connect_backend(
        project_id, url=url, title=TITLE, extra_params={**chosen, **params}, auth=auth
    )
    register(tools, project_id, backend_url=url, extra_params=asdict(settings))
    if auth is not None:
        tools.store.set_facts(project_id, token=token_mark(auth[1]))


DESCRIBED_EVERY = 30.0
"""Seconds between two descriptions of a project that stays in its state."""

_STATE_SENTENCES = {
    "capped": "The cap on spending is reached: raise MAX_COST or MAX_TOKENS and restart the workers.",
    "finishing": "The model labels the remaining tasks.",
    "no_tasks": "There are no tasks yet: import some.",
    "no_texts": "No task has a text that can be read; the page says why.",
    "finished": "The remaining tasks carry the model's labels.",
}
_HOW = {
    "raise": "Press '20 more' on the project's page, or 'Start training' for the rest.",
    "finish": "Press 'Start training', or 'Label the rest' on the project's page.",
}


def describe_progress(tools: Tools, project: Project, advice: Advice) -> None:
    """One line in the project's description, below what people wrote there, with the way to our page."""
    facts = tools.store.facts(project.id)
    state = facts["state"]
    words = [f"{facts['annotated']} of {facts['budget']} annotations done."]
    if state in _STATE_SENTENCES:
        words.append(_STATE_SENTENCES[state])
    elif state == "budget_used":
        words += [advice.sentence, _HOW.get(advice.next, "")]
    words.append(f"See {project_page(tools, project.id)}")
    line = DESCRIPTION_MARK + " ".join(filter(None, words))
    description = "\n".join([own_description(project), line]).strip()
    if description == project.description:
        return
    # It is a call of Label Studio's, and nobody reads it at the pace of annotations.
    if tools.store.claim(f"describe:{project.id}:{facts['state']}", DESCRIBED_EVERY):
        tools.label_studio.describe(project.id, description)


def own_description(project: Project) -> str:
    """What people wrote into the project's description."""
    kept = [text for text in project.description.splitlines() if not text.startswith(DESCRIPTION_MARK)]
    return "\n".join(kept).strip()


def project_page(tools: Tools, project_id: int) -> str:
    """The address of the project's page here, for people."""
    return f"{tools.public_url}/projects/{project_id}"


def project_url(tools: Tools, project_id: int) -> str:
    """The project in Label Studio, for people."""
    return f"{tools.label_studio_url}/projects/{project_id}/data"


def annotate_url(tools: Tools, project_id: int) -> str:
    """Where Label Studio opens the next task of the queue.

    A browser that has not labelled before takes the tasks of the tab in its order, so it is our tab.
    """
    tab = tools.store.fact(project_id, "tab")
    return f"{project_url(tools, project_id)}?{f'tab={tab}&' if tab else ''}labeling=1"


def task_url(tools: Tools, project_id: int, task_id: int) -> str:
    """A task in Label Studio, for people."""
    return f"{project_url(tools, project_id)}?task={task_id}"
