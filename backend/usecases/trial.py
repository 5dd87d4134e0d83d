"""One question asked as the project's own are: labels, instructions, demonstrations, schema."""

from __future__ import annotations

from allabel_core.answers import parse_answer

from ..errors import LanguageModelError
from ..ports import ModelFailure
from .preannotator import Preannotator
from .tools import Tools

SENTENCE = "The samples were kept at room temperature."


def try_question(tools: Tools, project_id: int) -> str:
    """What came of it, in one line.

    :raises LanguageModelError: the model answers nothing, or nothing that could be read.
    """
    if tools.model is None:
        return "no model is configured"
    preannotator = Preannotator.of_project(tools, project_id)
    [prompt, *_] = preannotator.question(SENTENCE).prompts
    [outcome] = tools.model.answer([prompt], project_id=project_id)
    if isinstance(outcome, ModelFailure):
        raise LanguageModelError(outcome.message)
    problem = parse_answer(outcome.text, preannotator.labels, form=outcome.form).problem
    if problem:
        raise LanguageModelError(f"its answer cannot be read ({problem.replace('_', ' ')})")
    number = len(preannotator.labels.labels)
    return f"a question with the project's {number} labels is answered in a form that can be read"
