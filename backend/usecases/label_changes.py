"""Labels that were renamed or are gone: nothing of them is shown, and what is lost with them is told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..labeling.label_config import LabelingInterface, parse_label_config
from ..labeling.results import MALFORMED, MISPLACED
from ..ports import Project, Suggestion
from .texts import withdrawn
from .tools import Tools


def current_interface(tools: Tools, project: Project) -> LabelingInterface:
    """What the label config asks for; annotations with a label's old name count as those of its new one.

    :raises LabelConfigError: it cannot be used.
    """
    interface = parse_label_config(project.label_config)
    raw = tools.store.settings(project.id).labels_renamed
    renamed: Mapping[str, str] = json.loads(raw) if raw else {}
    kept = {old: new for old, new in renamed.items() if old not in interface.from_name}
    return replace(interface, shown={**interface.shown, **kept})


def drop_foreign(tools: Tools, project_id: int, interface: LabelingInterface) -> None:
    """Withdraw every suggestion that has a region which the label config of now has no place for."""
    store = tools.store
    now = signature(interface)
    if store.fact(project_id, "labels_checked") == now:
        return
    # From here on, no answer that was asked for under other labels is kept.
    store.set_facts(project_id, labels_served=now)
    found = store.suggestions(project_id, sorted(store.suggested(project_id)))
    foreign = [task_id for task_id, made in found.items() if not belongs(interface, made)]
    out = store.places(project_id, foreign)
    store.drop_suggestions(project_id, foreign)
    store.save_suggestions(project_id, [withdrawn(task_id) for task_id in out])
    store.set_facts(project_id, labels_checked=now)


def signature(interface: LabelingInterface) -> str:
    """The same for label configs that have a place for the same regions."""
    return json.dumps([interface.to_name, interface.kind, dict(interface.from_name)])


def belongs(interface: LabelingInterface, made: Suggestion) -> bool:
    """Whether all regions are of this label config, shown ones or not."""
    return all(_belongs(interface, region) for region in (*made.result, *made.regions))


def _belongs(interface: LabelingInterface, region: Mapping[str, Any]) -> bool:
    if region.get("type") == "relation":
        return interface.relation_labels is not None
    labels = region.get("value", {}).get(interface.result_type) or [""]
    return region.get("to_name") == interface.to_name and all(
        interface.from_name.get(label) == region.get("from_name") for label in labels
    )


def note_losses(tools: Tools, project_id: int, interface: LabelingInterface) -> None:
    """Keep what stands on the page: regions of annotations that are not used, and texts not served."""
    lost: Counter[str] = Counter()
    of_task: dict[str, int] = {}
    for task in tools.store.annotated(project_id).values():
        made = task.counting
        for reason, number in (made.left_out if made else {}).items():
            lost[reason] += number
            of_task.setdefault(reason, task.task_id)
    notices = [
        f"{number} {reason}: not used (the first in task {of_task[reason]}).{_remedy(reason)}"
        for reason, number in sorted(lost.items())
    ]
    if interface.unserved:
        names = ", ".join(f"'{name}'" for name in interface.unserved)
        notices.append(
            f"The label config has spans over several texts. Suggestions are made for '{interface.to_name}' "
            f"only, not for {names}."
        )
    tools.store.set_facts(project_id, notices=json.dumps(notices))


def _remedy(reason: str) -> str:
    if reason in (MALFORMED, MISPLACED) or "label" not in reason:
        return ""
    return (
        ' Where the label has a new name, set labels_renamed to {"old name": "new name"} in the extra params '
        "of the connection, or run: allabel connect PROJECT --set labels_renamed=..."
    )
