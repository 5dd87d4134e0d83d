"""Suggestions learnt from every annotation: a tagger, a lexicon, and an arbiter that joins them with a
language model's answer. No token is spent; training takes seconds, a text milliseconds.
"""

from allabel_core.tagging.figures import Figures
from allabel_core.tagging.sources import ModelSpan, SuggestedSpan, TextSuggestion
from allabel_core.tagging.storage import dump, load, loads
from allabel_core.tagging.suggester import Suggester

__all__ = ["Figures", "ModelSpan", "SuggestedSpan", "Suggester", "TextSuggestion", "dump", "load", "loads"]
