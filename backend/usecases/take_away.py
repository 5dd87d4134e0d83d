"""A project's tagger and lexicon in a file, to be used without this product's services."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from allabel_core.errors import AllabelError
from allabel_core.tagging import Suggester, dump
from allabel_core.tagging.suggester import FEWEST_FOR_TAGGER

from .dictionary import read_dictionary
from .tools import Tools


def export_tagger(tools: Tools, project_id: int, path: Path, *, say: Callable[[str], None]) -> Suggester:
    """Learn from all annotations of a project and write what was learnt; the file is whole or not there.

    :raises AllabelError: too few annotations, or a place where nothing can be written.
    """
    documents = [shown.document for shown in tools.store.demonstrations(project_id)]
    if len(documents) < FEWEST_FOR_TAGGER or not any(document.spans for document in documents):
        raise AllabelError(
            f"Project {project_id} has {len(documents)} annotated texts; a tagger needs "
            f"{FEWEST_FOR_TAGGER} or more, with entities."
        )
    say(f"Learning from {len(documents)} annotated texts")
    terms = read_dictionary(tools.store.settings(project_id).dictionary)
    # No model answers where the file is used.
    suggester = replace(Suggester.train(documents, dictionary=terms), joined=None)
    unfinished = path.with_name(path.name + ".part")
    try:
        unfinished.write_bytes(dump(suggester))
        unfinished.replace(path)
    except OSError as error:
        raise AllabelError(f"{path} cannot be written: {error.strerror}.") from error
    return suggester
