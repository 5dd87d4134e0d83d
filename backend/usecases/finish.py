"""Label everything that nobody will annotate."""

from __future__ import annotations

from .tools import Tools


def finish(tools: Tools, project_id: int) -> None:
    """From now on every remaining task is pre-annotated; the worker does the work."""
    # A corpus of -1: that of the next sync, which may hold annotations not yet read.
    tools.store.set_facts(project_id, finishing=1, finishing_corpus=-1, finish_learned="", capped=0)
    if tools.store.fact(project_id, "state") == "capped":
        tools.store.set_facts(project_id, state="finishing")
    # Set-up notes it in Label Studio, too.
    tools.store.mark_dirty(project_id, "finish", "setup")


def start_training(tools: Tools, project_id: int) -> None:
    """Label Studio's 'Start training': re-rank while there is budget, afterwards finish."""
    facts = tools.store.facts(project_id)
    if int(facts.get("annotated", 0)) >= int(facts.get("budget", 1)):
        finish(tools, project_id)
    else:
        tools.store.mark_dirty(project_id, "tasks")
