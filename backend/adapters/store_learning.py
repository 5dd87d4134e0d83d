"""The part of the store that holds what a project's annotations have taught."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import cast

from redis import Redis

from ..ports import Suggestion

TO_LEARN = "allabel:to-learn"

# Between reading and writing, the model may have answered: its answer must not be lost.
_REPLACE_SUGGESTION = """
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored and cjson.decode(stored)['recipe'] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class StoredLearning:
    """``version`` of what was learnt: the same where it is the same to the last bit."""

    redis: Redis

    @staticmethod
    def _key(project_id: int, name: str) -> str:
        return f"allabel:project:{project_id}:{name}"

    def want_to_learn(self, project_id: int) -> None:
        """Annotations have changed: a job is to learn from them."""
        self.redis.sadd(TO_LEARN, project_id)

    def to_learn(self) -> list[int]:
        """The projects whose annotations have not been learnt from."""
        return sorted(int(member) for member in cast(set[bytes], self.redis.smembers(TO_LEARN)))

    def learnt(self, project_id: int) -> None:
        """There is nothing more to learn."""
        self.redis.srem(TO_LEARN, project_id)

    def suggester(self, project_id: int) -> bytes | None:
        """What was learnt last."""
        return cast("bytes | None", self.redis.get(self._key(project_id, "suggester")))

    def suggester_version(self, project_id: int) -> str:
        """Empty where nothing was learnt yet."""
        raw = cast("bytes | None", self.redis.hget(self._key(project_id, "facts"), "suggester"))
        return raw.decode() if raw else ""

    def save_suggester(self, project_id: int, content: bytes) -> str:
        """Its version."""
        version = hashlib.sha256(content).hexdigest()[:16]
        with self.redis.pipeline() as pipe:
            pipe.set(self._key(project_id, "suggester"), content)
            pipe.hset(self._key(project_id, "facts"), "suggester", version)
            pipe.execute()
        return version

    def replace_suggestions(self, project_id: int, changed: Sequence[tuple[Suggestion, Suggestion]]) -> None:
        """(as read, as it is to be) of each; one that the model has answered since stays."""
        key = self._key(project_id, "suggestions")
        with self.redis.pipeline() as pipe:
            for before, after in changed:
                value = json.dumps(asdict(after))
                pipe.eval(_REPLACE_SUGGESTION, 1, key, str(after.task_id), before.recipe, value)
            pipe.execute()
