"""Learn from all annotations of a project, in a job of its own, and bring what is shown up to it."""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import suppress
from dataclasses import asdict

from redis.exceptions import RedisError

from allabel_core.tagging import Suggester, dump
from allabel_core.tagging.sources import ModelSpans
from allabel_core.types import Document

from ..errors import LabelStudioError
from ..labeling.label_config import LabelingInterface, parse_label_config
from ..logs import where
from ..ports import StoredDemonstration
from .dictionary import read_dictionary
from .figures import SOURCES, SourcesWorth
from .learned import current_suggester, model_spans, rejoin
from .pace import front_size
from .publish import publish
from .remedies import note_problem
from .tools import Tools

logger = logging.getLogger(__name__)


def note_to_learn(tools: Tools, project_id: int) -> None:
    """Have a job learn where annotations are others than those learnt from.

    Once a project is being finished, what was known then labels all the rest, as with the model.
    """
    facts = tools.store.facts(project_id)
    if facts.get("finishing") and facts.get("finish_learned"):
        return
    if facts.get("learned_from") != _basis(tools, project_id):
        tools.store.want_to_learn(project_id)
    elif facts.get("finishing"):
        tools.store.set_facts(project_id, finish_learned=1)


def learn(tools: Tools, project_id: int) -> None:
    """Train on all annotations, then show what that changes.

    First with the arbiters of before, which takes a fraction of a second for a hundred texts. Arbiters are
    learnt again, by cross-validation, once a tenth of the texts is new, and not while a ranking waits.
    """
    store = tools.store
    with store.lock(f"learn:{project_id}") as held:
        if not held or not store.knows(project_id):
            return
        basis = _basis(tools, project_id)
        try:
            ended = _learn(tools, project_id, basis)
        except RedisError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, suggestions go on with what was learnt before
            logger.warning("project %d: learning: %s", project_id, where(error))
            note_problem(tools, project_id, error)
            store.set_facts(project_id, learned_from=basis)
            ended = True
        if ended and basis == _basis(tools, project_id):
            store.learnt(project_id)


def _learn(tools: Tools, project_id: int, basis: str) -> bool:
    """False where arbiters are still to be learnt."""
    store = tools.store
    interface = parse_label_config(store.fact(project_id, "label_config") or "")
    shown = store.demonstrations(project_id)
    terms = _terms(tools, project_id, interface)
    _, previous = current_suggester(tools, project_id)
    if store.fact(project_id, "learned_from") != basis:
        documents = [_of_interface(interface, each.document) for each in shown]
        previous = Suggester.train(documents, dictionary=terms, previous=previous, quick=True)
        _take_up(tools, project_id, previous, shown)
        store.set_facts(project_id, learned_from=basis)
    if previous is None or not previous.wants_judging(
        len(answers := _answers(tools, project_id, interface, shown))
    ):
        _note_finish(tools, project_id)
        return True
    if store.due_projects():
        return False
    documents = [_of_interface(interface, each.document) for each in shown]
    judged = Suggester.train(documents, answers, dictionary=terms, previous=previous)
    _take_up(tools, project_id, judged, shown)
    _note_finish(tools, project_id)
    return True


def _note_finish(tools: Tools, project_id: int) -> None:
    if tools.store.fact(project_id, "finishing"):
        tools.store.set_facts(project_id, finish_learned=1)
        tools.store.mark_dirty(project_id, "suggestions")


def _take_up(tools: Tools, project_id: int, known: Suggester, annotated: list[StoredDemonstration]) -> None:
    """Keep it, and show what it says of the texts that people reach next."""
    store = tools.store
    if (figures := known.figures) is not None:
        worth = SourcesWorth(
            texts=figures.texts,
            tagger=figures.tagger,
            lexicon=figures.lexicon,
            learned=figures.learned,
            model=figures.model,
            joined=figures.joined,
            shown=known.shown,
        )
        store.save_computed(project_id, SOURCES, json.dumps(asdict(worth)).encode())
    before = store.suggester_version(project_id)
    if store.save_suggester(project_id, dump(known)) == before or store.fact(project_id, "finishing"):
        return
    done = store.done(project_id) | {each.task_id for each in annotated}
    ahead = [task_id for task_id in store.queue_order(project_id) if task_id not in done]
    rejoin(tools, project_id, ahead[: front_size(tools, project_id)])
    # The next sync publishes what this one does not, and says what is wrong with Label Studio.
    store.mark_dirty(project_id, "suggestions")
    with suppress(LabelStudioError):
        publish(tools, project_id, wait=0.0)


def _basis(tools: Tools, project_id: int) -> str:
    """Identifies all that is learnt from."""
    facts = tools.store.facts(project_id)
    terms = tools.store.settings(project_id).dictionary
    rest = hashlib.sha256(f"{facts.get('label_config', '')}\0{terms}".encode()).hexdigest()[:16]
    return f"{facts.get('annotated_version', '')} {rest}"


def _terms(tools: Tools, project_id: int, interface: LabelingInterface) -> list[tuple[str, str]]:
    """The project's dictionary, without labels that the project does not have, which are told."""
    terms = read_dictionary(tools.store.settings(project_id).dictionary)
    if unknown := sorted({label for _, label in terms} - interface.from_name.keys()):
        tools.store.note_error(
            project_id,
            f"The dictionary has a label that the project does not have: {unknown[0]}.",
            f"Its terms are left out. The project's labels are {', '.join(interface.labels)}.",
        )
    return [(term, label) for term, label in terms if label in interface.from_name]


def _of_interface(interface: LabelingInterface, document: Document) -> Document:
    """Without labels that the project no longer has."""
    return Document(
        document.text, tuple(span for span in document.spans if span.label in interface.from_name)
    )


def _answers(
    tools: Tools, project_id: int, interface: LabelingInterface, shown: list[StoredDemonstration]
) -> dict[int, ModelSpans]:
    """By place of the annotated text, what the model said of it before it was annotated."""
    witnesses = tools.store.witnesses(project_id)
    found: dict[int, ModelSpans] = {}
    for i, each in enumerate(shown):
        witness = witnesses.get(each.task_id)
        if witness is not None and witness.answered is not None:
            found[i] = model_spans(interface, each.document.text, witness.answered)
    return found
