"""The corpus as points in the plane, by what has become of each text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from allabel_core.quality.plane import project
from allabel_core.quality.regions import name_regions
from allabel_core.similarity.tokenize import as_tokenizer

from ..ports import QueueEntry
from .corpus import Corpus
from .measure import Compared
from .review import confidences, error_model
from .tools import Tools

PLACES, MAP, COUNTS, REGIONS = "places", "map", "map-counts", "map-regions"
MOST_FOUND = 1000
CHANGED_SHARE = 0.05
"""The picture is drawn anew once this share of the texts has come or gone: it is to stay recognisable."""

NOTHING = b'{"computed":false,"points":[],"regions":[],"quality":{}}'


def draw_map(
    tools: Tools,
    project_id: int,
    corpus: Corpus,
    queue: Sequence[QueueEntry],
    compared: Sequence[Compared] = (),
) -> None:
    """Store the map with the states of now; places are computed only when many texts have changed.

    :param compared: the annotated tasks beside their suggestions.
    """
    store = tools.store
    places = _places(tools, project_id)
    states = {entry.task_id: "queued" for entry in queue if entry.stage != "rest"}
    if store.fact(project_id, "finishing"):
        states |= dict.fromkeys(store.board(project_id), "auto")
    states |= dict.fromkeys(corpus.skipped, "skipped")
    states |= {shown.task_id: "annotated" for shown in corpus.demonstrations}
    points = [(x, y, task_id, states.get(task_id, "rest")) for task_id, x, y in places]
    drawn = {
        "computed": True,
        "points": points,
        "regions": json.loads(store.computed(project_id, REGIONS) or b"[]"),
        "quality": _quality(tools, project_id, compared),
    }
    value = json.dumps(drawn, separators=(",", ":"))
    counts = Counter(state for _, _, _, state in points)
    store.save_computed(project_id, MAP, value.encode())
    store.save_computed(project_id, COUNTS, json.dumps(counts).encode())


def _quality(tools: Tools, project_id: int, compared: Sequence[Compared]) -> dict[int, float]:
    """F1 of suggestions that people have corrected; of the others the chance that they are all right."""
    model = error_model(tools, project_id)
    made = tools.store.suggestions(project_id, list(tools.store.board(project_id)))
    found = {each.task_id: model.chance_right(confidences(each)) for each in made.values()}
    found |= {each.annotated.task_id: each.counts.f1 for each in compared}
    return {task_id: round(value, 2) for task_id, value in found.items()}


def find_texts(tools: Tools, project_id: int, words: str) -> list[int]:
    """The tasks whose texts have these words, whatever their case; the first thousand."""
    wanted = words.casefold()
    texts = tools.store.texts(project_id)
    return [task_id for task_id, text in texts.items() if wanted in text.casefold()][:MOST_FOUND]


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
    regions = [(each.x, each.y, ", ".join(each.words)) for each in name_regions(list(texts.values()), points)]
    store.save_computed(project_id, REGIONS, json.dumps(regions).encode())
    return found
