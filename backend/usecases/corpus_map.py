"""The corpus as points in the plane, by what has become of each text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from allabel_core.quality.plane import project
from allabel_core.similarity.tokenize import as_tokenizer

from ..ports import QueueEntry
from .corpus import Corpus
from .tools import Tools

PLACES, MAP, COUNTS = "places", "map", "map-counts"
CHANGED_SHARE = 0.05
"""The picture is drawn anew once this share of the texts has come or gone: it is to stay recognisable."""

NOTHING = b'{"computed":false,"points":[]}'


def draw_map(tools: Tools, project_id: int, corpus: Corpus, queue: Sequence[QueueEntry]) -> None:
    """Store the map with the states of now; places are computed only when many texts have changed."""
    store = tools.store
    places = _places(tools, project_id)
    states = {entry.task_id: "queued" for entry in queue if entry.stage != "rest"}
    if store.fact(project_id, "finishing"):
        states |= dict.fromkeys(store.board(project_id), "auto")
    states |= dict.fromkeys(corpus.skipped, "skipped")
    states |= {shown.task_id: "annotated" for shown in corpus.demonstrations}
    points = [(x, y, task_id, states.get(task_id, "rest")) for task_id, x, y in places]
    value = json.dumps({"computed": True, "points": points}, separators=(",", ":"))
    counts = Counter(state for _, _, _, state in points)
    store.save_computed(project_id, MAP, value.encode())
    store.save_computed(project_id, COUNTS, json.dumps(counts).encode())


def stored_map(tools: Tools, project_id: int) -> bytes:
    """A ``CorpusMap`` as JSON, handed on as it is: with 100,000 points, reading it takes a second."""
    return tools.store.computed(project_id, MAP) or NOTHING


def map_counts(tools: Tools, project_id: int) -> dict[str, int] | None:
    """How many points have which state; None where the map has not been drawn yet."""
    raw = tools.store.computed(project_id, COUNTS)
    return json.loads(raw) if raw is not None else None


def _places(tools: Tools, project_id: int) -> list[tuple[int, float, float]]:
    store = tools.store
    task_ids = set(store.text_ids(project_id))
    known = json.loads(store.computed(project_id, PLACES) or b"[]")
    placed = {task_id for task_id, _, _ in known}
    if known and len(task_ids ^ placed) <= CHANGED_SHARE * len(placed):
        return [place for place in known if place[0] in task_ids]
    texts = store.texts(project_id)
    points = project(list(texts.values()), as_tokenizer(store.settings(project_id).tokenizer)).round(3)
    found = [(task_id, x, y) for task_id, (x, y) in zip(texts, points.tolist(), strict=True)]
    store.save_computed(project_id, PLACES, json.dumps(found).encode())
    return found
