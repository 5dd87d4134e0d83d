"""Requests made from the OpenAPI description, good and bad: nothing crashes, all is as described."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from redis import Redis
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.schemas import APIOperation

import backend.usecases.predict
from backend.adapters.store import Store
from backend.app import create_app
from backend.settings import read_settings
from backend.usecases.connect import register
from backend.usecases.memory import SECRET_HEADER
from backend.usecases.sync import sync
from backend.usecases.tools import Tools
from fakes import FakeLabelStudio, ScriptedModel, make_tools

pytestmark = pytest.mark.slow

LOGIN = ("ann", "password")
SETTINGS = read_settings({"BASIC_AUTH_USER": LOGIN[0], "BASIC_AUTH_PASS": LOGIN[1]})
SECRET = {SECRET_HEADER: "secret"}
load_all_checks()
# A string is fine by the description and no label config all the same: 422, which has its own tests.
NOT_MEANT = CHECKS.get_by_names(["positive_data_acceptance"])
# Schemathesis takes the description of a tuple (prefixItems), which the map's points are, for no schema.
OF_TUPLES = CHECKS.get_by_names(["response_schema_conformance"])


def make_tools_on(redis: Redis) -> Tools:
    label_studio = FakeLabelStudio({1: "an apple", 2: "a pear"})
    return make_tools(Store(redis), label_studio, ScriptedModel(lambda _: "{}"))


@pytest.fixture
def app(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastAPI]:
    """With one project; no worker runs, so nobody waits for the model."""
    monkeypatch.setattr(backend.usecases.predict, "ANSWER_WITHIN", 0.0)
    tools = make_tools_on(redis)
    register(tools, 1, backend_url="", extra_params={})
    sync(tools, 1)
    redis.zadd("allabel:workers", {"one that never dies": 4e9})
    yield create_app(SETTINGS, tools)
    # Schemathesis starts the app's lifespan with the first request; its plugin, not loaded, would end it.
    shutdown_lifespans()


# Describing asks nothing of Redis.
DESCRIBED = create_app(SETTINGS, make_tools_on(Redis()))
DESCRIPTION = schemathesis.openapi.from_dict(DESCRIBED.openapi())
DESCRIPTION.app = DESCRIBED
# The credentials are ours; that wrong ones are refused is tested elsewhere.
DESCRIPTION.config.generation.update(with_security_parameters=False)
OPERATIONS = [found.ok() for found in DESCRIPTION.get_all_operations()]
CASES = [
    pytest.param(operation, mode, id=f"{operation.label} {mode.value}")
    for operation in OPERATIONS
    for mode in GenerationMode
    # Of a request without any parameter there is no wrong form.
    if mode is GenerationMode.POSITIVE or operation.body or operation.path_parameters or operation.query
]


# Schemathesis draws from Python's own randomness, which Hypothesis advises against.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
@pytest.mark.parametrize(("operation", "mode"), CASES)
def test_everything_is_as_described(operation: APIOperation, mode: GenerationMode, app: FastAPI) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=25, deadline=20_000, suppress_health_check=list(HealthCheck))
    def check(case: schemathesis.Case) -> None:
        excluded = [*NOT_MEANT, *(OF_TUPLES if operation.path.endswith("/map") else ())]
        case.call_and_validate(auth=LOGIN, headers=SECRET, excluded_checks=excluded, app=app)

    check()
