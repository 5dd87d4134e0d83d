"""What went wrong, noted for the person who can do something about it."""

from __future__ import annotations

from allabel_core.errors import AllabelError, MissingExtraError

from ..errors import (
    LabelConfigError,
    LabelStudioRejectedError,
    LabelStudioUnauthorisedError,
    LabelStudioUnreachableError,
)
from ..ports import FailureKind, ModelFailure
from .tools import Tools

_REMEDIES: dict[type[AllabelError], str] = {
    MissingExtraError: "Install it beside every worker and restart the workers, or set the project's "
    "similarity and retrieval to bm25.",
    LabelConfigError: "Change the project's labelling interface in Label Studio; it is looked at again.",
    LabelStudioUnreachableError: "Start Label Studio or correct LABEL_STUDIO_URL; it is tried again.",
    LabelStudioUnauthorisedError: "Set LABEL_STUDIO_API_KEY to a token of a project member and restart.",
    LabelStudioRejectedError: "See Label Studio's own log for the reason; try 'allabel doctor PROJECT'.",
}
_ANY_REMEDY = "'allabel doctor PROJECT' checks every part and says what to do."

_UNFORESEEN_REMEDY = (
    "It is tried again. Undo what was changed last in this project, such as an annotation that a script has "
    "imported; the worker's log says where it happened: please report that."
)

_MODEL_REMEDIES: dict[FailureKind, str] = {
    "unreachable": "Start the model's server or correct its address; it is asked again.",
    "timeout": "Raise OPENAI_TIMEOUT or lower OPENAI_CONCURRENCY, and restart the workers.",
    "rate_limited": "Nothing, if you can wait: it is tried again. Else lower OPENAI_CONCURRENCY.",
    "rejected": "Correct the setting that the message names and restart the workers.",
    "budget": "Raise MAX_COST or MAX_TOKENS and restart the workers.",
    "refused": "Annotate these tasks without a suggestion, or use another model.",
    "too_long": "Set CONTEXT_WINDOW to the size of the model's context and restart the workers.",
    "truncated": "Let the model think less (REASONING_EFFORT, OPENAI_EXTRA_BODY) or use one with longer "
    "answers, and restart the workers.",
    "malformed": "Use a model that follows instructions better, or the right OPENAI_API_STYLE.",
}


def note_problem(tools: Tools, project_id: int, error: Exception) -> None:
    """The project is degraded until a sync succeeds. What an unforeseen error says may quote a text."""
    if isinstance(error, AllabelError):
        problem, remedy = str(error), _ANY_REMEDY
    else:
        problem = f"Something unforeseen ({type(error).__name__}) keeps this project from going on."
        remedy = _UNFORESEEN_REMEDY
    remedy = next((words for kind, words in _REMEDIES.items() if isinstance(error, kind)), remedy)
    tools.store.set_facts(project_id, state="degraded", problem=problem, remedy=remedy)
    tools.store.note_error(project_id, problem, remedy)


def note_model_failure(tools: Tools, project_id: int, failure: ModelFailure, *, everywhere: bool) -> None:
    """The queue goes on, with empty suggestions; ``everywhere``: more than single texts is concerned."""
    remedy = _MODEL_REMEDIES[failure.kind]
    if everywhere:
        tools.store.set_facts(project_id, model_problem=failure.message, model_remedy=remedy)
    tools.store.note_error(project_id, failure.message, remedy)
