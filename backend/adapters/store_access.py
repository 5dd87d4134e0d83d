"""What Redis holds of people: who has signed in, and how many wrong passwords were tried of late."""

from __future__ import annotations

from typing import cast

from redis import Redis

# PEXPIRE with NX needs Redis 7.
_COUNT_DISTINCT = """
redis.call('SADD', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('SCARD', KEYS[1])
"""


class StoredAccess:
    """A part of ``Store``."""

    redis: Redis

    def note_try(self, name: str, what: str, seconds: float) -> int:
        """How many different things were tried under this name, within so many seconds of the first one."""
        arguments = (f"allabel:tries:{name}", what, str(int(seconds * 1000)))
        return int(cast(int, self.redis.eval(_COUNT_DISTINCT, 1, *arguments)))

    def tries(self, *names: str) -> list[int]:
        """How many different things were tried of late, name by name."""
        with self.redis.pipeline() as pipe:
            for name in names:
                pipe.scard(f"allabel:tries:{name}")
            return [int(count) for count in pipe.execute()]

    def forget_tries(self, name: str) -> None:
        self.redis.delete(f"allabel:tries:{name}")

    def sign_in(self, session: str, credentials: str, seconds: int) -> None:
        """The session of this id is signed in for so long. ``credentials``: what it was signed in with."""
        self.redis.set(f"allabel:session:{session}", credentials, ex=seconds)

    def signed_in_with(self, session: str) -> str:
        """What the session was signed in with; empty where it is not signed in, or not any more."""
        raw = cast("bytes | None", self.redis.get(f"allabel:session:{session}"))
        return raw.decode() if raw is not None else ""

    def sign_out(self, session: str) -> None:
        self.redis.delete(f"allabel:session:{session}")
