"""ALLabel inside label-studio-ml 2.x, for teams that host their backends with it.

Settings are those of `allabel serve`; set BACKEND_URL, since the host does not say at what address
Label Studio reaches it. `allabel worker` runs beside it as ever. See docs/decisions/0001-own-server.md
for what this host cannot do.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from label_studio_ml.model import LabelStudioMLBase

from .bootstrap import build_tools
from .settings import read_settings
from .usecases.connect import parse_extra_params, register
from .usecases.events import Event, receive
from .usecases.memory import TITLE
from .usecases.predict import predict
from .usecases.tools import Tools


@cache
def _tools() -> Tools:
    """One set for the life of the process; the host makes a model for every request."""
    return build_tools(read_settings())


class ALLabel(LabelStudioMLBase):  # type: ignore[misc]  # untyped
    """One project as the host sees it; all state is in Redis."""

    def setup(self) -> None:
        """Called before every request: the project is ours, and its version is the published one."""
        if self.project_id:
            self.set_extra_params(None)
            self.set("model_version", _tools().store.fact(int(self.project_id), "version") or TITLE)

    def set_extra_params(self, extra_params: object) -> None:
        """What was typed into the connection's 'extra params'."""
        tools = _tools()
        params = parse_extra_params(extra_params)
        register(tools, int(self.project_id), backend_url=tools.backend_url, extra_params=params)

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """One prediction per task, in order."""
        wanted = [(int(task["id"]), task["data"]) for task in tasks]
        return predict(_tools(), int(self.project_id), wanted, label_config=self.label_config or "")

    def fit(self, event: str, data: dict[str, Any], **kwargs: Any) -> None:
        """Note what the event changes; the worker does the rest."""
        receive(_tools(), Event(event, int(self.project_id)))
