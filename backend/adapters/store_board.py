"""The part of the store that tells what stands in Label Studio, and what annotators were shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple
from typing import Any, cast

from redis import Redis

from ..ports import Place, PlaceState, ShownSuggestion, Suggestion

SHOWN_KEPT = 3
"""So many suggestions of a task are remembered: a page may have been opened before the last change."""


class StoredBoard:
    """The board: the tasks whose predictions in Label Studio are ours, as far as we know."""

    redis: Redis

    @staticmethod
    def _key(project_id: int, name: str) -> str:
        return f"allabel:project:{project_id}:{name}"

    def board(self, project_id: int) -> dict[int, Place]:
        raw = cast(dict[bytes, bytes], self.redis.hgetall(self._key(project_id, "board")))
        return {int(task_id): _place(value) for task_id, value in raw.items()}

    def places(self, project_id: int, task_ids: Sequence[int]) -> dict[int, Place]:
        """Those of these tasks that have one."""
        if not task_ids:
            return {}
        raw = cast(
            list["bytes | None"], self.redis.hmget(self._key(project_id, "board"), list(map(str, task_ids)))
        )
        return {
            task_id: _place(value) for task_id, value in zip(task_ids, raw, strict=True) if value is not None
        }

    def save_places(self, project_id: int, places: Mapping[int, Place]) -> None:
        mapping = {str(task_id): json.dumps(astuple(place)) for task_id, place in places.items()}
        if mapping:
            self.redis.hset(self._key(project_id, "board"), mapping=cast(Any, mapping))

    def drop_places(self, project_id: int, task_ids: Iterable[int]) -> None:
        """Their predictions are no more."""
        if gone := [str(task_id) for task_id in task_ids]:
            self.redis.hdel(self._key(project_id, "board"), *gone)

    def replace_board(self, project_id: int, places: Mapping[int, Place]) -> None:
        """Label Studio has been asked, and holds these."""
        key = self._key(project_id, "board")
        with self.redis.pipeline() as pipe:
            pipe.delete(key)
            for start in range(0, len(places), 1000):
                chunk = list(places.items())[start : start + 1000]
                pipe.hset(
                    key, mapping=cast(Any, {str(task): json.dumps(astuple(each)) for task, each in chunk})
                )
            pipe.execute()

    def old_versions(self, project_id: int) -> dict[str, float]:
        """Versions that were replaced as a whole, with the time of that."""
        raw = cast(dict[bytes, bytes], self.redis.hgetall(self._key(project_id, "old-versions")))
        return {version.decode(): float(since) for version, since in raw.items()}

    def note_old_version(self, project_id: int, version: str, since: float) -> None:
        self.redis.hsetnx(self._key(project_id, "old-versions"), version, str(since))

    def forget_old_version(self, project_id: int, version: str) -> None:
        self.redis.hdel(self._key(project_id, "old-versions"), version)

    def former_predictions(self, project_id: int) -> set[int]:
        """The ids of our predictions that were replaced: pages may have been opened with them."""
        return set(map(int, cast(set[bytes], self.redis.smembers(self._key(project_id, "former")))))

    def note_former(self, project_id: int, prediction_ids: Iterable[int]) -> None:
        if members := list(prediction_ids):
            self.redis.sadd(self._key(project_id, "former"), *members)

    def strays(self, project_id: int) -> dict[int, float]:
        """Retired predictions beside a task's place, with the time of their retirement."""
        raw = cast(dict[bytes, bytes], self.redis.hgetall(self._key(project_id, "strays")))
        return {int(prediction_id): float(since) for prediction_id, since in raw.items()}

    def note_stray(self, project_id: int, prediction_id: int, since: float) -> None:
        self.redis.hsetnx(self._key(project_id, "strays"), str(prediction_id), str(since))
        self.note_former(project_id, [prediction_id])

    def forget_stray(self, project_id: int, prediction_id: int) -> None:
        self.redis.hdel(self._key(project_id, "strays"), str(prediction_id))

    # What people may have open, and what they were shown

    def exposed(self, project_id: int) -> dict[int, float]:
        """Tasks that annotators may have open, with the time since when."""
        raw = cast(dict[bytes, bytes], self.redis.hgetall(self._key(project_id, "exposed")))
        return {int(task_id): float(since) for task_id, since in raw.items()}

    def save_exposed(self, project_id: int, exposed: Mapping[int, float]) -> None:
        key = self._key(project_id, "exposed")
        with self.redis.pipeline() as pipe:
            pipe.delete(key)
            if exposed:
                pipe.hset(key, mapping=cast(Any, {str(task): since for task, since in exposed.items()}))
            pipe.execute()

    def answered(self, project_id: int) -> set[int]:
        """Tasks that Label Studio has asked us about, so that it may hold predictions we do not know of."""
        return set(map(int, cast(set[bytes], self.redis.smembers(self._key(project_id, "answered")))))

    def add_answered(self, project_id: int, task_ids: Iterable[int]) -> None:
        if members := list(task_ids):
            self.redis.sadd(self._key(project_id, "answered"), *members)

    def forget_answered(self, project_id: int, task_ids: Iterable[int]) -> None:
        if members := list(task_ids):
            self.redis.srem(self._key(project_id, "answered"), *members)

    def shown(self, project_id: int, task_ids: Sequence[int]) -> dict[int, Suggestion]:
        """The suggestions as annotators saw them, or would see them now."""
        return {
            task_id: history[-1].suggestion
            for task_id, history in self.shown_history(project_id, task_ids).items()
        }

    def shown_history(self, project_id: int, task_ids: Sequence[int]) -> dict[int, list[ShownSuggestion]]:
        """The last few suggestions that were put before annotators, oldest first."""
        if not task_ids:
            return {}
        raw = cast(
            list["bytes | None"], self.redis.hmget(self._key(project_id, "shown"), list(map(str, task_ids)))
        )
        return {
            task_id: [ShownSuggestion(at, Suggestion.from_json(made)) for at, made in json.loads(value)]
            for task_id, value in zip(task_ids, raw, strict=True)
            if value is not None
        }

    def save_shown(self, project_id: int, shown: Sequence[ShownSuggestion]) -> None:
        """They stand before annotators now."""
        known = self.shown_history(project_id, [each.suggestion.task_id for each in shown])
        for each in shown:
            history = known.setdefault(each.suggestion.task_id, [])
            history.append(each)
        self._write_shown(project_id, known)

    def settle_shown(self, project_id: int, seen: Iterable[ShownSuggestion]) -> None:
        """Their tasks are annotated, and this is what the annotators saw."""
        self._write_shown(project_id, {each.suggestion.task_id: [each] for each in seen})

    def _write_shown(self, project_id: int, histories: Mapping[int, Sequence[ShownSuggestion]]) -> None:
        mapping = {
            str(task_id): json.dumps([(each.at, asdict(each.suggestion)) for each in history[-SHOWN_KEPT:]])
            for task_id, history in histories.items()
        }
        if mapping:
            self.redis.hset(self._key(project_id, "shown"), mapping=cast(Any, mapping))


def _place(raw: bytes) -> Place:
    prediction_id, score, digest, state, since = json.loads(raw)
    return Place(prediction_id, score, digest, PlaceState(state), since)
