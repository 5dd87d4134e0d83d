"""Settings: defaults that work, errors that name the variable, secrets that stay secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backend.errors import SettingsError
from backend.settings import SECRETS, Settings, read_settings, require_label_studio

ROOT = Path(__file__).parents[2]
SETTINGS = {str(field.alias) for field in Settings.model_fields.values()}


def example() -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))


def test_every_setting_has_a_default() -> None:
    settings = read_settings({})
    assert settings.port == 9090
    assert settings.own_url == "http://localhost:9090"
    assert settings.basic_auth is None
    assert not settings.model_configured


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("LABEL_STUDIO_URL", "localhost:8080"),
        ("TEMPERATURE", "hot"),
        ("SIMILARITY", "tfidf"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings({name: value})


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"PORT.*WINDOW"):
        read_settings({"PORT": "0", "WINDOW": "none"})


def test_an_empty_variable_counts_as_not_set() -> None:
    assert read_settings({"PORT": "", "SEED": ""}).port == 9090


def test_a_missing_token_is_named_with_the_way_to_one() -> None:
    with pytest.raises(SettingsError, match="LABEL_STUDIO_API_KEY is missing: copy a token"):
        require_label_studio(read_settings({}))


def test_secrets_come_from_files_too(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    settings = read_settings({"OPENAI_API_KEY_FILE": str(tmp_path / "key")})
    assert settings.openai_api_key.get_secret_value() == "s3cret"


def test_an_unreadable_secret_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="OPENAI_API_KEY_FILE"):
        read_settings({"OPENAI_API_KEY_FILE": str(tmp_path / "nothing")})


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_in_no_repr_and_no_error(name: str) -> None:
    secret = "redis://:s3cret@host:1/0"
    user = {"BASIC_AUTH_USER": "ann"} if name == "BASIC_AUTH_PASS" else {}
    assert "s3cret" not in repr(read_settings({name: secret, **user}))
    with pytest.raises(SettingsError) as caught:
        read_settings({name: secret, "PORT": "x"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["LABEL_STUDIO_URL", "LABEL_STUDIO_PUBLIC_URL", "BACKEND_URL", "PUBLIC_URL"])
@pytest.mark.parametrize("address", ["http://ann:s3cret@host:80", "https://ann@host", "http://:s3cret@host"])
def test_addresses_that_are_shown_hold_no_password(name: str, address: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}: .*no user name or password") as caught:
        read_settings({name: address})
    assert "s3cret" not in str(caught.value)


def test_the_example_lists_every_setting_with_its_default() -> None:
    given = example()
    assert given.keys() >= SETTINGS
    assert read_settings(given) == read_settings({})


def test_what_else_the_example_lists_is_for_containers_and_all_settings_reach_them() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    passed_on = set(re.findall(r"^    ([A-Z_]+):", compose, re.MULTILINE))
    assert passed_on == SETTINGS
    for name in (example().keys() - SETTINGS) - {"COMPOSE_PROFILES"}:
        assert f"${{{name}:-" in compose


def test_fields_of_the_providers_own_are_a_json_object() -> None:
    given = '{"chat_template_kwargs": {"enable_thinking": false}}'
    read = read_settings({"OPENAI_EXTRA_BODY": given, "REASONING_EFFORT": "low"})
    assert read.openai_extra_body == {"chat_template_kwargs": {"enable_thinking": False}}
    assert read.reasoning_effort == "low"
    assert read_settings({"OPENAI_EXTRA_BODY": ""}).openai_extra_body == {}


@pytest.mark.parametrize("given", ["enable_thinking", "[1]", "{'a': 1}"])
def test_what_is_no_json_object_is_refused_with_an_example(given: str) -> None:
    with pytest.raises(SettingsError, match=r"OPENAI_EXTRA_BODY.*JSON object"):
        read_settings({"OPENAI_EXTRA_BODY": given})
