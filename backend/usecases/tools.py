"""What every use case works with; `bootstrap.py` builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, TypeAlias

from allabel_core.prompting import Templates
from allabel_core.tagging import Suggester

from ..ports import LabelStudio, LanguageModel, ProjectSettings
from .encoder import Encoder
from .meter import Meter
from .ranking import Ranker

if TYPE_CHECKING:
    from ..adapters.store import Store
    from .preannotator import Preannotator

OnProgress: TypeAlias = Callable[[str, int, int], None]


def _silent(_: str, __: int, ___: int) -> None:
    pass


def _nowhere(_: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Secrets:
    """Each called, for it may have been replaced since. ``webhook``: what Label Studio's webhook sends, hence
    known to a project's members. ``own``: what nobody else knows, for sessions and tokens.
    """

    webhook: Callable[[], str]
    own: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Tools:
    """``model`` is None where none is configured: suggestions are learnt from annotations alone.

    ``chunk``: tasks per suggestion job. ``samples``: answers asked for per text, to measure agreement.
    ``encoder``: sentence embeddings; only a worker calls it. ``preannotators``: by project, those used
    last, each with what it was built from; ``suggesters``: likewise, with their versions.
    ``on_progress``: told what is done of how much, by a worker's job. ``stopping``: set when the process
    is to end, for what would wait long.
    ``guarded``: this backend asks for a password. ``own_address``: whether an address is this backend's.
    ``public_url`` and ``label_studio_url``: where people's browsers reach this backend and Label Studio.
    """

    store: Store
    label_studio: LabelStudio
    model: LanguageModel | None
    ranker: Ranker
    templates: Templates
    defaults: ProjectSettings
    backend_url: str
    secrets: Secrets = field(repr=False)
    chunk: int
    samples: int
    public_url: str
    label_studio_url: str
    guarded: bool = False
    own_address: Callable[[str], bool] = _nowhere
    encoder: Encoder = field(default_factory=Encoder)
    on_progress: OnProgress = _silent
    stopping: Event = field(default_factory=Event, repr=False)
    meter: Meter = field(default_factory=Meter)
    preannotators: dict[int, tuple[object, Preannotator]] = field(default_factory=dict, repr=False)
    suggesters: dict[int, tuple[str, Suggester]] = field(default_factory=dict, repr=False)

    @property
    def webhook_secret(self) -> str:
        return self.secrets.webhook()

    @property
    def own_key(self) -> str:
        return self.secrets.own()

    def tell(self, project_id: int, doing: str, done: int, total: int) -> None:
        """How far the work on a project is, for pages, terminals and the job's own record."""
        self.store.set_progress(project_id, doing, done, total)
        self.on_progress(doing, done, total)
