"""What was spent is written down in Label Studio, so that a cap holds where Redis is lost."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from projects import PROJECT, AnyLabelStudio, connected, make_tools, spot_fruits

from backend.adapters.llm_config import LlmConfig
from backend.adapters.llm_ledger import Ledger
from backend.adapters.llm_store import RedisKeyValue
from backend.adapters.store import Store
from backend.ports import ConnectedBackend, ModelFailure, Spending, Webhook
from backend.usecases.memory import SPENT_HEADER, noted_spending
from backend.usecases.reconcile import reconcile
from backend.usecases.sync import sync
from backend.usecases.tools import Tools
from fakes import ScriptedModel

pytestmark = pytest.mark.slow

URL = "http://backend:9090"


class Accounted(ScriptedModel):
    """With the ledger of production; each question takes 100 tokens."""

    def __init__(self, store: Store) -> None:
        super().__init__(spot_fruits)
        self.ledger = Ledger(RedisKeyValue(store.redis), LlmConfig(model="m", max_tokens=2000))

    def spend(self, tokens: int) -> None:
        self.ledger.settle(PROJECT, prompt_tokens=tokens, completion_tokens=0, cached_tokens=0)

    def spending(self, project_id: int) -> Spending:
        return self.ledger.spending(project_id)

    def recall_spending(self, project_id: int, noted: Spending) -> None:
        self.ledger.recall(project_id, noted)


@pytest.fixture
def label_studio() -> AnyLabelStudio:
    made = AnyLabelStudio({n: {"text": f"a pear, no. {n}"} for n in range(1, 9)})
    made.connected = [ConnectedBackend(URL, "ALLabel", "", "")]
    return made


@pytest.fixture
def model(store: Store) -> Accounted:
    return Accounted(store)


@pytest.fixture
def tools(store: Store, label_studio: AnyLabelStudio, model: Accounted) -> Tools:
    return connected(make_tools(store, label_studio, model))


def hook_of(label_studio: AnyLabelStudio) -> Webhook:
    [hook] = label_studio.hooks.values()
    return hook


def test_reconciling_writes_it_down_when_it_has_changed(
    tools: Tools, label_studio: AnyLabelStudio, model: Accounted
) -> None:
    model.spend(500)
    reconcile(tools)
    assert noted_spending(hook_of(label_studio)) == Spending(calls=1, prompt_tokens=500)
    written = label_studio.calls.count("secure_webhook")
    reconcile(tools)
    assert label_studio.calls.count("secure_webhook") == written
    assert "setup" not in tools.store.dirty(PROJECT)[0]


@pytest.mark.parametrize("how", ["reconciled", "connected again"])
def test_a_lost_redis_does_not_lift_the_cap(
    tools: Tools, label_studio: AnyLabelStudio, model: Accounted, how: str
) -> None:
    model.spend(1900)
    reconcile(tools)
    tools.store.redis.flushall()
    assert model.spending(PROJECT) == Spending()
    if how == "reconciled":
        tools.store.note_unknown(PROJECT)
        reconcile(tools)
        sync(tools, PROJECT)
    else:
        connected(tools)
    assert model.spending(PROJECT).prompt_tokens == 1900
    assert isinstance(model.ledger.reserve(PROJECT, 200, 0), ModelFailure)
    assert noted_spending(hook_of(label_studio)) == Spending(calls=1, prompt_tokens=1900)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "x",
        "[]",
        "null",
        '{"a": 1}',
        '{"calls": -1}',
        '{"calls": 1e400}',
        '{"calls": 1.5}',
        '{"cost": NaN}',
        '{"prompt_tokens": "5"}',
        '{"calls": true}',
        json.dumps({"calls": 10**30}),
    ],
)
def test_strangers_words_in_the_note_are_no_spending(words: str) -> None:
    assert noted_spending(Webhook(1, URL, True, {SPENT_HEADER: words})) is None
    assert noted_spending(Webhook(1, URL, True, {})) is None


def test_a_note_is_read_as_it_was_written() -> None:
    spent = Spending(3, 400, 50, 30, 0.25, 1)
    assert noted_spending(Webhook(1, URL, True, {SPENT_HEADER: json.dumps(asdict(spent))})) == spent
