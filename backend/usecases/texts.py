"""The text of a task, wherever it stands: in its data, in an uploaded file, in a connected storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import (
    LabelConfigError,
    LabelStudioNotFoundError,
    LabelStudioRejectedError,
    LabelStudioUnauthorisedError,
)
from ..labeling.label_config import LabelingInterface, task_text
from .tools import Tools


def readable_text(tools: Tools, interface: LabelingInterface, data: Mapping[str, Any]) -> str:
    """The text that a task shows, fetched from Label Studio where the data only refer to it.

    :raises LabelConfigError: this task has none; it says nothing about other tasks.
    :raises LabelStudioUnreachableError: Label Studio does not answer.
    """
    try:
        return task_text(interface, data, fetch=tools.label_studio.text_at)
    except (LabelStudioNotFoundError, LabelStudioRejectedError, LabelStudioUnauthorisedError) as error:
        raise LabelConfigError(f"The text that the task's '{interface.key}' refers to: {error}") from error
