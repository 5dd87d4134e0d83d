"""What Label Studio still holds of ours when Redis has forgotten: the model is not paid for it twice."""

from __future__ import annotations

from dataclasses import replace

from ..ports import ModelAnswer, Suggestion
from .memory import is_version
from .preannotator import Preannotator
from .tools import Tools

ADOPTED = "adopted"
"""The recipe of a suggestion read back from Label Studio, until it is taken for one of that day."""


def adopt(tools: Tools, project_id: int) -> None:
    """Read the published suggestions back. An empty one may have been a failure: it is asked anew."""
    version = tools.label_studio.project(project_id).model_version
    if not is_version(version):
        return
    tools.store.set_facts(project_id, version=version)
    found = tools.label_studio.predictions(project_id)
    tools.store.save_suggestions(
        project_id,
        [
            Suggestion(
                one.task_id,
                one.result,
                ADOPTED,
                [],
                regions=one.result,
                confidence=_lowest(one.result),
                answer=ModelAnswer(one.result, "") if tools.model else None,
            )
            for one in found
            if one.result and one.model_version == version
        ],
    )


def _lowest(result: list[dict[str, object]]) -> float | None:
    return min((float(str(region["score"])) for region in result if "score" in region), default=None)


def settle_adopted(
    tools: Tools, project_id: int, preannotator: Preannotator, found: dict[int, Suggestion]
) -> None:
    """From now on, those of ``found`` that were adopted go stale as if they had been made today."""
    adopted = [task_id for task_id, made in found.items() if made.recipe == ADOPTED]
    corpus = len(tools.store.demonstrations(project_id)) if adopted else 0
    for task_id, text in tools.store.some_texts(project_id, adopted).items():
        question = preannotator.question(text)
        found[task_id] = replace(
            found[task_id],
            recipe=question.recipe,
            basis=question.basis,
            demonstrations=question.demonstrations,
            corpus=corpus,
        )
    tools.store.save_suggestions(project_id, [found[task_id] for task_id in adopted])
