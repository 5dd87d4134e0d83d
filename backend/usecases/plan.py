"""Which tasks the model is to be asked about, and which suggestions have had their day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..ports import ProjectSettings, QueueEntry, StoredDemonstration, Suggestion
from .adopt import settle_adopted
from .asking import UNASKED, unasked_recipe
from .calibration import learn_calibrations
from .learned import AT_ONCE, Learned, rejoin
from .pace import front_size
from .preannotator import Preannotator
from .tools import Tools

ENOUGH_KNOWN = 0.9
"""The model's own uncertainty is used once it has been asked about this share of the texts."""


def plan_suggestions(
    tools: Tools,
    project_id: int,
    corpus: Sequence[StoredDemonstration],
    skipped: set[int],
    queue: Sequence[QueueEntry],
) -> None:
    """Mark what the model is to be asked: what lies ahead, late tasks, then stale suggestions.

    A suggestion made with a demonstration that has since been edited or deleted is stale wherever it
    is; outside of what lies ahead it is dropped. Annotated and skipped tasks are never asked about.
    Those that stay are shown as the calibration and the threshold of today would have it.
    """
    store = tools.store
    settings = store.settings(project_id)
    finishing = bool(store.fact(project_id, "finishing"))
    known_tasks = set(store.task_ids(project_id))
    done = skipped | {shown.task_id for shown in corpus}
    near = queue[: front_size(tools, project_id)]
    ahead = [entry.task_id for entry in (queue if finishing else near)]
    ahead += sorted(store.late(project_id) & known_tasks - done - set(ahead))
    calibrations = learn_calibrations(tools, project_id, corpus)
    if tools.model is None:
        _plan_without_model(tools, project_id, ahead, sorted(known_tasks - done), settings)
        return
    texts = store.some_texts(project_id, ahead)
    found = store.suggestions(project_id, sorted(store.suggested(project_id) - done))
    preannotator = Preannotator.of_project(tools, project_id)
    settle_adopted(tools, project_id, preannotator, found)

    elsewhere = found.keys() - set(ahead)
    outdated = [t for t in elsewhere if preannotator.basis(found[t].demonstrations) != found[t].basis]
    store.drop_suggestions(project_id, outdated)
    known = {task_id: found[task_id] for task_id in ahead if task_id in found and task_id in texts}
    if finishing:
        stale = _stale_while_finishing(tools, project_id, preannotator, known, texts)
    else:
        stale = [t for t, made in known.items() if preannotator.question(texts[t]).recipe != made.recipe]
    missing = [t for t in ahead if t not in found or not (found[t].recipe or found[t].problem)]
    stale = [task_id for task_id in stale if task_id not in set(missing)]
    probes: list[int] = []
    if asks_model(settings) and any(entry.stage == "uncertainty" for entry in near):
        gone = found.keys() - set(outdated)
        probes = sorted(known_tasks - done - gone - set(missing))
    store.replace_wanted(project_id, [*missing, *stale, *probes])
    rejoin(tools, project_id, list(known) if finishing else ahead, calibrations)


def _plan_without_model(
    tools: Tools, project_id: int, ahead: Sequence[int], open_tasks: Sequence[int], settings: ProjectSettings
) -> None:
    """What lies ahead is pre-annotated at once, the rest of a project that is being finished by jobs."""
    store = tools.store
    learned = Learned(tools, project_id)
    later = list(ahead[AT_ONCE:])
    probes = sorted(set(open_tasks) - set(ahead)) if asks_model(settings) else []
    found = store.suggestions(project_id, [*later, *probes])
    if learned.speaks:
        renewed = [t for t in later if t not in found or found[t].learned != learned.version]
        found = {task_id: made for task_id, made in found.items() if made.is_made}
    else:
        renewed = [task_id for task_id in later if task_id not in found]
    store.replace_wanted(project_id, [*renewed, *(task_id for task_id in probes if task_id not in found)])
    store.set_facts(project_id, model_problem="", capped=0)
    rejoin(tools, project_id, ahead[:AT_ONCE])


def _stale_while_finishing(
    tools: Tools,
    project_id: int,
    preannotator: Preannotator,
    known: Mapping[int, Suggestion],
    texts: Mapping[int, str],
) -> list[int]:
    """Of an edited demonstration, failed, or older than the order to finish and now to be asked otherwise.

    Annotations that are submitted after that order do not make others stale: correcting the model's
    labels must not send half of them back to the model each time.
    """
    store = tools.store
    corpus = int(store.fact(project_id, "finishing_corpus") or 0)
    if corpus < 0:
        corpus = len(store.demonstrations(project_id))
        store.set_facts(project_id, finishing_corpus=corpus)
    unasked = unasked_recipe(tools, project_id, list(texts))
    stale = []
    for task_id, made in known.items():
        if made.recipe.startswith(UNASKED):
            stale += [task_id] if made.recipe != unasked else []
            continue
        if not made.recipe or preannotator.basis(made.demonstrations) != made.basis:
            stale.append(task_id)
        elif made.corpus < corpus:
            if preannotator.question(texts[task_id]).recipe != made.recipe:
                stale.append(task_id)
            else:
                store.save_suggestions(project_id, [replace(made, corpus=corpus)])
    return stale


def asks_model(settings: ProjectSettings) -> bool:
    """Whether stage 3 goes by what the model is unsure of."""
    return settings.uncertainty != "similarity" and settings.strategy == "allabel"


def model_doubts(
    tools: Tools, project_id: int, task_ids: Sequence[int], annotated: set[int], settings: ProjectSettings
) -> list[float] | None:
    """For each task how unsure the model is of it, in [0, 1]; None until nearly all have been asked about.

    A text about which the model says nothing that could be judged counts as an average one.
    """
    if not asks_model(settings):
        return None
    open_tasks = [task_id for task_id in task_ids if task_id not in annotated]
    found = tools.store.suggestions(project_id, open_tasks)
    if not open_tasks or len(found) < ENOUGH_KNOWN * len(open_tasks):
        return None
    doubts = {t: 1 - made.certainty for t, made in found.items() if made.certainty is not None}
    if not doubts:
        return None
    average = float(np.median(list(doubts.values())))
    return [doubts.get(task_id, average) for task_id in task_ids]
