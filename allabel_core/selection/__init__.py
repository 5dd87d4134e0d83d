"""Which texts to annotate, in which order."""

from allabel_core.selection.core import STRATEGIES, select, select_by
from allabel_core.selection.datatypes import Pick, SelectionRequest, Strategy

__all__ = ["STRATEGIES", "Pick", "SelectionRequest", "Strategy", "select", "select_by"]
