"""The adapter's parts, each by itself; the store also on a real Redis."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from allabel_core.errors import InvalidInputError
from backend.adapters import llm_cache, llm_lease
from backend.adapters.llm_breaker import Breaker
from backend.adapters.llm_cache import ReplyCache, persist
from backend.adapters.llm_config import LlmConfig, Prices
from backend.adapters.llm_failures import MalformedReplyError, wait_asked_for
from backend.adapters.llm_lease import Leases
from backend.adapters.llm_ledger import Ledger, Reservation, plausible
from backend.adapters.llm_reply import Reply, read_reply
from backend.adapters.llm_store import KeyValue, MemoryKeyValue, RedisKeyValue
from backend.ports import ModelFailure, Spending

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def redis_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed")
    folder = tmp_path_factory.mktemp("redis")
    path = folder / "socket"
    command = [server, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not path.exists():
            time.sleep(0.02)
        yield path
        process.terminate()


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[KeyValue]:
    if request.param == "memory":
        yield MemoryKeyValue()
        return
    with Redis(unix_socket_path=str(request.getfixturevalue("redis_socket"))) as redis:
        redis.flushall()
        yield RedisKeyValue(redis)


def test_values_expire(store: KeyValue) -> None:
    store.put("a", b"1", seconds=0.1)
    store.put("b", b"2", seconds=10.0)
    assert (store.get("a"), store.get("b"), store.get("c")) == (b"1", b"2", None)
    time.sleep(0.15)
    assert (store.get("a"), store.get("b")) == (None, b"2")
    store.drop("b")
    assert store.get("b") is None


def test_a_claim_is_one_owners_until_released_or_expired(store: KeyValue) -> None:
    assert store.claim("k", "me", seconds=0.2)
    assert not store.claim("k", "you", seconds=10.0)
    assert store.claim("k", "me", seconds=0.2)
    store.release("k", "you")
    assert not store.claim("k", "you", seconds=10.0)
    time.sleep(0.25)
    assert store.claim("k", "you", seconds=10.0)
    store.release("k", "you")
    assert store.claim("k", "me", seconds=10.0)


def test_a_claim_can_be_prolonged(store: KeyValue) -> None:
    store.claim("k", "me", seconds=0.2)
    store.claim("k", "me", seconds=10.0)
    time.sleep(0.25)
    assert not store.claim("k", "you", seconds=1.0)


def test_sums(store: KeyValue) -> None:
    assert store.sums("s") == {}
    assert store.add("s", {"a": 2, "b": 3}) == {"a": 2, "b": 3}
    assert store.add("s", {"a": -5}, seconds=0.1) == {"a": -3, "b": 3}
    assert store.sums("s") == {"a": -3, "b": 3}
    time.sleep(0.15)
    assert store.sums("s") == {}


def config(**settings: Any) -> LlmConfig:
    return LlmConfig(**({"model": "m", "base_url": "http://localhost:1/v1"} | settings))


def test_a_reply_survives_the_cache(store: KeyValue) -> None:
    cache = ReplyCache(store, seconds=10.0)
    reply = Reply("İ 😀", True, False, 1, 2, 3, (("İ", -0.25), (" 😀", -1.5)))
    cache.put("k", reply)
    assert cache.get("k") == reply
    assert cache.get("other") is None


def test_reservations_never_exceed_the_cap_and_end(store: KeyValue) -> None:
    ledger = Ledger(store, config(max_tokens=1000))
    first, second = ledger.reserve(1, 300, 100), ledger.reserve(1, 300, 100)
    assert isinstance(first, Reservation)
    assert isinstance(second, Reservation)
    third = ledger.reserve(1, 300, 100)
    assert isinstance(third, ModelFailure)
    assert third.kind == "budget"
    assert isinstance(ledger.reserve(2, 300, 100), Reservation)
    # A call that came cheaper than reserved makes room.
    ledger.settle(1, prompt_tokens=100, completion_tokens=20, cached_tokens=0)
    ledger.release(first)
    assert isinstance(ledger.reserve(1, 300, 100), Reservation)
    assert isinstance(ledger.reserve(1, 300, 100), ModelFailure)


@given(st.lists(st.tuples(*[st.integers(0, 10**6)] * 3), max_size=20))
def test_the_ledger_adds_up(calls: list[tuple[int, int, int]]) -> None:
    prices = Prices(0.15, 0.6, 0.075)
    ledger = Ledger(MemoryKeyValue(), config(prices=prices))
    for prompt, completion, cached in calls:
        ledger.settle(
            1, prompt_tokens=prompt, completion_tokens=completion, cached_tokens=min(prompt, cached)
        )
    expected = sum(prices.cost(p, c, min(p, cached)) for p, c, cached in calls)
    assert ledger.spending(1).calls == len(calls)
    assert ledger.spending(1).cost == pytest.approx(expected, abs=1e-8)


def test_price_of_a_call() -> None:
    assert Prices(2.0, 8.0).cost(1_000_000, 500_000, 400_000) == 2.0 + 4.0
    assert Prices(2.0, 8.0, 0.5).cost(1_000_000, 500_000, 400_000) == 0.6 * 2.0 + 0.4 * 0.5 + 4.0


def test_the_breaker_opens_lets_one_try_and_closes(store: KeyValue) -> None:
    def breaker() -> Breaker:
        return Breaker(store, "b", threshold=2, seconds=0.2, trial_seconds=5.0)

    async def story() -> None:
        first, second = breaker(), breaker()
        first.failed()
        assert await second.admits()
        second.failed()
        assert not await first.admits()
        assert first.is_open()
        await asyncio.sleep(0.25)
        assert await first.admits()
        waiting = asyncio.create_task(second.admits())
        await asyncio.sleep(0.3)
        assert not waiting.done()
        first.succeeded()
        assert await waiting
        assert store.sums("breaker:b:count") == {}

    asyncio.run(story())


def test_a_success_in_between_is_no_failure_in_a_row() -> None:
    breaker = Breaker(MemoryKeyValue(), "b", threshold=2, seconds=10.0, trial_seconds=5.0)
    for _ in range(5):
        breaker.failed()
        breaker.succeeded()
    assert not breaker.is_open()


def test_a_lease_of_a_dead_worker_ends_and_that_of_a_living_one_does_not(
    store: KeyValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llm_lease, "LEASE_SECONDS", 0.4)
    monkeypatch.setattr(llm_lease, "_RENEW_SECONDS", 0.1)

    async def story() -> None:
        store.claim("dead", "someone", seconds=0.4)
        start = time.monotonic()
        async with Leases(store) as mine, Leases(store) as yours:
            assert await mine.found_or_taken("dead", lambda: None) is None
            assert 0.3 < time.monotonic() - start < 1.5
            await asyncio.sleep(0.8)
            made: list[str] = []
            waiting = asyncio.create_task(yours.found_or_taken("dead", lambda: made[0] if made else None))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            made.append("reply")
            assert await waiting == "reply"
        # Whoever leaves gives up what is left.
        assert store.claim("dead", "someone else", seconds=1.0)

    asyncio.run(story())


def test_a_store_that_is_away_for_a_moment_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []

    def save() -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise RedisConnectionError

    asyncio.run(persist(save))
    assert len(attempts) == 3
    monkeypatch.setattr(llm_cache, "_PATIENCE_SECONDS", 0.1)
    attempts.clear()
    with pytest.raises(RedisConnectionError):
        asyncio.run(persist(save))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 90.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:01 GMT"}, 0.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_the_time_a_provider_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_asked_for(httpx2.Headers(headers), now=10.0) == seconds


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        (None, None),
        ({"content": [{"token": "a", "logprob": -1}]}, (("a", -1.0),)),
        ({"tokens": ["a", "b"], "token_logprobs": [-1.0, -2.0]}, (("a", -1.0), ("b", -2.0))),
        ({"tokens": ["a", "b"], "token_logprobs": [None, -2.0]}, None),
        ({"tokens": ["a"], "token_logprobs": [-1.0, -2.0]}, None),
        ({"content": []}, None),
    ],
)
def test_both_shapes_of_logprobs(logprobs: Any, expected: Any) -> None:
    raw = {"choices": [{"text": "ab", "logprobs": logprobs}]}
    assert read_reply(raw, form="completion", max_answer_tokens=10).logprobs == expected


def test_deepseeks_cached_tokens() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 5}
    reply = read_reply({"choices": [{"text": "ab"}], "usage": usage}, form="completion", max_answer_tokens=10)
    assert (reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens) == (9, 2, 5)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "text", "usage", "logprobs", "tokens", "refusal"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values, st.sampled_from(["chat", "completion"]))
def test_no_reply_breaks_the_reader(raw: Any, form: Any) -> None:
    with suppress(MalformedReplyError):
        assert len(read_reply(raw, form=form, max_answer_tokens=1).text) <= 16


def test_the_key_is_masked() -> None:
    assert "verysecret" not in repr(config(api_key=SecretStr("sk-verysecret")))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"model": ""}, "OPENAI_MODEL"),
        ({"provider": "azure", "base_url": ""}, "AZURE_RESOURCE_ENDPOINT"),
        ({"max_cost": 1.0}, "prices"),
        ({"base_url": "localhost:8000"}, "OPENAI_BASE_URL"),
        ({"api_key": SecretStr("sk-1\n")}, "OPENAI_API_KEY"),
        ({"api_key": SecretStr("“sk-1”")}, "OPENAI_API_KEY"),
    ],
)
def test_settings_that_cannot_work_say_which(settings: dict[str, Any], names: str) -> None:
    with pytest.raises(InvalidInputError, match=names):
        config(**settings)


@pytest.mark.parametrize(
    ("provider", "url", "endpoint"),
    [
        ("openai", "", "https://api.openai.com/v1"),
        ("deepseek", "", "https://api.deepseek.com"),
        ("ollama", "", "http://localhost:11434/v1"),
        ("ollama", "http://gpu:11434", "http://gpu:11434/v1"),
        ("ollama", "http://gpu:11434/v1/", "http://gpu:11434/v1"),
        ("openai", "http://gpu:8000/v1", "http://gpu:8000/v1"),
    ],
)
def test_endpoints(provider: Any, url: str, endpoint: str) -> None:
    assert config(provider=provider, base_url=url).endpoint == endpoint


# What the ledger cannot know for sure


def test_a_call_whose_answer_never_came_counts_by_estimate_and_is_marked() -> None:
    ledger = Ledger(MemoryKeyValue(), config(prices=Prices(1.0, 2.0), max_tokens=1000))
    ledger.lose(1, 300, 100)
    ledger.settle(1, prompt_tokens=300, completion_tokens=50, cached_tokens=0)
    spent = ledger.spending(1)
    assert (spent.calls, spent.unanswered) == (2, 1)
    assert (spent.prompt_tokens, spent.completion_tokens) == (600, 150)
    assert spent.cost == pytest.approx(600e-6 + 300e-6)
    assert isinstance(ledger.reserve(1, 300, 100), ModelFailure)


def test_a_call_under_way_when_its_worker_died_counts_once_it_is_asked_again() -> None:
    store = MemoryKeyValue()
    ledger = Ledger(store, config())
    ledger.begin(1, "a", 300, 100)
    ledger.begin(1, "b", 300, 100)
    ledger.end("b")
    assert ledger.spending(1).calls == 0
    survivor = Ledger(store, config())
    survivor.begin(1, "b", 300, 100)
    assert survivor.spending(1).unanswered == 0
    survivor.begin(1, "a", 300, 100)
    survivor.end("a")
    survivor.begin(1, "a", 300, 100)
    assert survivor.spending(1).unanswered == 1


@pytest.mark.parametrize(
    ("told", "counted"), [(0, 0), (310, 310), (60_000, 60_000), (None, 300), (10**30, 300), (2**62, 300)]
)
def test_usage_is_believed_within_bounds(told: int | None, counted: int) -> None:
    assert plausible(told, 300) == counted


def test_more_tokens_from_the_cache_than_there_were_make_nothing_cheaper() -> None:
    ledger = Ledger(MemoryKeyValue(), config(prices=Prices(1.0, 1.0, 0.0)))
    ledger.settle(1, prompt_tokens=10, completion_tokens=10, cached_tokens=10**6)
    assert ledger.spending(1).cached_tokens == 10
    assert ledger.spending(1).cost == pytest.approx(10e-6)


def test_what_was_written_down_is_a_lower_bound() -> None:
    ledger = Ledger(MemoryKeyValue(), config(prices=Prices(1.0, 1.0)))
    ledger.settle(1, prompt_tokens=500, completion_tokens=1, cached_tokens=0)
    noted = Spending(calls=7, prompt_tokens=100, completion_tokens=900, cost=0.5, unanswered=2)
    for _ in range(2):
        ledger.recall(1, noted)
        assert ledger.spending(1) == Spending(7, 500, 900, 0, 0.5, 2)
