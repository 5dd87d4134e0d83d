"""Label everything that nobody will annotate, or leave off with it."""

from __future__ import annotations

from allabel_core.errors import InvalidInputError

from .tools import Tools


def finish(tools: Tools, project_id: int, ask: float | None = None) -> None:
    """From now on every remaining task is pre-annotated; the worker does the work.

    :param ask: the share of the texts that the model is asked about, those with the most expected errors;
        None asks about the smallest share that costs less than half a point of F1.
    :raises InvalidInputError: a share outside of [0, 1].
    """
    if ask is not None and not 0 <= ask <= 1:
        raise InvalidInputError(f"The share of texts to ask about must lie between 0 and 1, not {ask}.")
    chosen = "" if ask is None else str(ask)
    store = tools.store
    if not store.fact(project_id, "finishing"):
        store.set_facts(project_id, finishing_from=_tokens(tools, project_id))
    store.set_facts(project_id, finish_ask=chosen, asking_from="")
    # A corpus of -1: that of the next sync, which may hold annotations not yet read.
    store.set_facts(project_id, finishing=1, finishing_corpus=-1, finish_learned="", capped=0)
    if store.fact(project_id, "state") == "capped":
        store.set_facts(project_id, state="finishing")
    # Set-up notes it in Label Studio, too.
    store.mark_dirty(project_id, "finish", "setup")


def cancel_finishing(tools: Tools, project_id: int) -> bool:
    """Ask the model no more than the window needs; what it has said is kept. False where it was not at it."""
    store = tools.store
    if not store.fact(project_id, "finishing"):
        return False
    store.set_facts(
        project_id, finishing="", finishing_corpus="", finish_tokens=_finish_tokens(tools, project_id)
    )
    # At once rather than with the next sync: each further text costs.
    store.replace_wanted(project_id, [])
    store.mark_dirty(project_id, "finish", "setup")
    return True


def start_training(tools: Tools, project_id: int) -> None:
    """Label Studio's 'Start training': re-rank while there is budget, afterwards finish."""
    facts = tools.store.facts(project_id)
    if int(facts.get("annotated", 0)) >= int(facts.get("budget", 1)):
        finish(tools, project_id)
    else:
        tools.store.mark_dirty(project_id, "tasks")


def tokens_for_annotating(tools: Tools, project_id: int) -> int:
    """What the model was paid for people's suggestions: all tokens but those of labelling the rest."""
    return _tokens(tools, project_id) - _finish_tokens(tools, project_id)


def _finish_tokens(tools: Tools, project_id: int) -> int:
    facts = tools.store.facts(project_id)
    before = int(facts.get("finish_tokens") or 0)
    if not facts.get("finishing"):
        return before
    since = _tokens(tools, project_id) - int(facts.get("finishing_from") or 0)
    return before + max(0, since)


def _tokens(tools: Tools, project_id: int) -> int:
    if tools.model is None:
        return 0
    spent = tools.model.spending(project_id)
    return spent.prompt_tokens + spent.completion_tokens
