"""The language model's cache and ledger in a file: a prompt is paid once, and no Redis is needed."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_BUSY_SECONDS = 30.0


class FileKeyValue:
    """Fulfils ``adapters.llm_store.KeyValue`` in an SQLite file; safe between threads and processes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB NOT NULL, ends REAL)"
        )

    def close(self) -> None:
        self._database.close()

    def get(self, key: str) -> bytes | None:
        return self._atomically(lambda: self._alive(key))

    def put(self, key: str, value: bytes, *, seconds: float) -> None:
        self._atomically(lambda: self._set(key, value, time.time() + seconds))

    def drop(self, key: str) -> None:
        self._atomically(lambda: self._delete(key))

    def claim(self, key: str, owner: str, *, seconds: float) -> bool:
        def claimed() -> bool:
            if self._alive(key) not in (None, owner.encode()):
                return False
            self._set(key, owner.encode(), time.time() + seconds)
            return True

        return self._atomically(claimed)

    def release(self, key: str, owner: str) -> None:
        def released() -> None:
            if self._alive(key) == owner.encode():
                self._delete(key)

        self._atomically(released)

    def add(self, key: str, amounts: Mapping[str, int], *, seconds: float | None = None) -> dict[str, int]:
        def added() -> dict[str, int]:
            sums = self._sums(key)
            for name, amount in amounts.items():
                sums[name] = sums.get(name, 0) + amount
            ends = self._ends(key) if seconds is None else time.time() + seconds
            self._set(key, json.dumps(sums).encode(), ends)
            return sums

        return self._atomically(added)

    def sums(self, key: str) -> dict[str, int]:
        return self._atomically(lambda: self._sums(key))

    def _atomically(self, change: Callable[[], T]) -> T:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                result = change()
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
            return result

    def _alive(self, key: str) -> bytes | None:
        row = self._database.execute(
            "SELECT value FROM entries WHERE key = ? AND (ends IS NULL OR ends > ?)", (key, time.time())
        ).fetchone()
        return None if row is None else bytes(row[0])

    def _ends(self, key: str) -> float | None:
        row = self._database.execute("SELECT ends FROM entries WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def _sums(self, key: str) -> dict[str, int]:
        value = self._alive(key)
        return {} if value is None else {name: int(amount) for name, amount in json.loads(value).items()}

    def _set(self, key: str, value: bytes, ends: float | None) -> None:
        self._database.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", (key, value, ends))

    def _delete(self, key: str) -> None:
        self._database.execute("DELETE FROM entries WHERE key = ?", (key,))
