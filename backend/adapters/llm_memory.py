"""What some worker has found out about an endpoint, for all of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from .llm_config import LlmConfig
from .llm_store import KeyValue
from .llm_wire import Capabilities

_REMEMBER_SECONDS = 7 * 86400.0
# What was found out while the provider was failing is doubted soon.
_DOUBTFUL_SECONDS = 600.0
# A request rejected in production may mean that the server has changed: ask again, but not each time.
_REPROBE_SECONDS = 600.0
# What one schema was refused may have been a fault of the moment.
_WAY_SECONDS = 6 * 3600.0
_ANSWERED_SECONDS = 3600.0
# Raised when what is stored changes its form.
_VERSION = 2


class Memory:
    """Capabilities, and what differs from them for single schemas."""

    def __init__(self, store: KeyValue, config: LlmConfig) -> None:
        self._store = store
        named = [
            _VERSION,
            config.provider,
            config.endpoint,
            config.azure_api_version,
            config.model,
            config.api_style,
            config.reasoning_effort,
            config.extra_body,
        ]
        self.name = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:32]
        self._key = f"capabilities:{self.name}"

    def recall(self) -> Capabilities | None:
        return self._read(self._key)

    def remember(self, found: Capabilities, *, doubtful: bool) -> None:
        self._write(self._key, found, _DOUBTFUL_SECONDS if doubtful else _REMEMBER_SECONDS)

    def recall_way(self, schema: str) -> Capabilities | None:
        return self._read(f"way:{self.name}:{schema}")

    def remember_way(self, schema: str, way: Capabilities) -> None:
        self._write(f"way:{self.name}:{schema}", way, _WAY_SECONDS)

    def doubt(self) -> None:
        """A request made of these capabilities was rejected."""
        if self._store.claim(f"reprobe:{self.name}", "", seconds=_REPROBE_SECONDS):
            self._store.drop(self._key)

    def note_answered(self, schema: str) -> None:
        self._store.put(f"answered:{self.name}:{schema}", b"1", seconds=_ANSWERED_SECONDS)

    def answered_lately(self, schema: str) -> bool:
        return self._store.get(f"answered:{self.name}:{schema}") is not None

    def _read(self, key: str) -> Capabilities | None:
        stored = self._store.get(key)
        return Capabilities(**json.loads(stored)) if stored else None

    def _write(self, key: str, found: Capabilities, seconds: float) -> None:
        self._store.put(key, json.dumps(asdict(found)).encode(), seconds=seconds)
