"""What every use case works with; `bootstrap.py` builds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from allabel_core.prompting import Templates

from ..ports import LabelStudio, LanguageModel, ProjectSettings
from .encoder import Encoder
from .ranking import Ranker

if TYPE_CHECKING:
    from ..adapters.store import Store
    from .preannotator import Preannotator


@dataclass(frozen=True, slots=True)
class Tools:
    """``model`` is None where none is configured: the queue is ordered, suggestions stay empty.

    ``chunk``: tasks per suggestion job. ``samples``: answers asked for per text, to measure agreement.
    ``encoder``: sentence embeddings; only a worker calls it. ``preannotators``: by project, those used
    last, each with what it was built from.
    """

    store: Store
    label_studio: LabelStudio
    model: LanguageModel | None
    ranker: Ranker
    templates: Templates
    defaults: ProjectSettings
    backend_url: str
    webhook_secret: str
    chunk: int
    samples: int
    encoder: Encoder = field(default_factory=Encoder)
    preannotators: dict[int, tuple[object, Preannotator]] = field(default_factory=dict, repr=False)
