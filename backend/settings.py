"""Settings from the environment, read once. Names are those the ecosystem uses; see `.env.example`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import SettingsError

SECRETS = ("LABEL_STUDIO_API_KEY", "OPENAI_API_KEY", "BASIC_AUTH_PASS", "REDIS_URL", "WEBHOOK_SECRET")
"""Each may also be given as the path of a file that holds it, as NAME_FILE."""

NO_SECRET = SecretStr("")


class Settings(BaseSettings):
    """Everything that can be set from outside. Secrets are masked in reprs."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    label_studio_url: str = Field("http://localhost:8080", alias="LABEL_STUDIO_URL")
    label_studio_api_key: SecretStr = Field(NO_SECRET, alias="LABEL_STUDIO_API_KEY")
    redis_url: SecretStr = Field(SecretStr("redis://localhost:6379/0"), alias="REDIS_URL")

    host: str = Field("127.0.0.1", alias="HOST")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(9090, alias="PORT")
    backend_url: str = Field("", alias="BACKEND_URL")
    basic_auth_user: str = Field("", alias="BASIC_AUTH_USER")
    basic_auth_pass: SecretStr = Field(NO_SECRET, alias="BASIC_AUTH_PASS")
    webhook_secret: SecretStr = Field(NO_SECRET, alias="WEBHOOK_SECRET")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", alias="LOG_LEVEL")
    reconcile_seconds: Annotated[float, Field(gt=0)] = Field(60.0, alias="RECONCILE_SECONDS")

    openai_provider: Literal["openai", "azure", "ollama", "deepseek"] = Field(
        "openai", alias="OPENAI_PROVIDER"
    )
    openai_api_key: SecretStr = Field(NO_SECRET, alias="OPENAI_API_KEY")
    openai_base_url: str = Field("", alias="OPENAI_BASE_URL")
    openai_model: str = Field("gpt-4o-mini", alias="OPENAI_MODEL")
    openai_api_style: Literal["auto", "chat", "completion"] = Field("auto", alias="OPENAI_API_STYLE")
    openai_timeout: Annotated[float, Field(gt=0)] = Field(60.0, alias="OPENAI_TIMEOUT")
    openai_concurrency: Annotated[int, Field(ge=1, le=256)] = Field(4, alias="OPENAI_CONCURRENCY")
    azure_resource_endpoint: str = Field("", alias="AZURE_RESOURCE_ENDPOINT")
    azure_deployment_name: str = Field("", alias="AZURE_DEPLOYMENT_NAME")
    azure_api_version: str = Field("2024-10-21", alias="AZURE_API_VERSION")
    ollama_endpoint: str = Field("", alias="OLLAMA_ENDPOINT")
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.0, alias="TEMPERATURE")
    seed: int | None = Field(None, alias="SEED")
    context_window: Annotated[int, Field(ge=512)] = Field(8192, alias="CONTEXT_WINDOW")
    price_prompt: Annotated[float, Field(ge=0)] | None = Field(None, alias="PRICE_PROMPT")
    price_completion: Annotated[float, Field(ge=0)] | None = Field(None, alias="PRICE_COMPLETION")
    price_cached: Annotated[float, Field(ge=0)] | None = Field(None, alias="PRICE_CACHED")
    max_cost: Annotated[float, Field(gt=0)] | None = Field(None, alias="MAX_COST")
    max_tokens: Annotated[int, Field(gt=0)] | None = Field(None, alias="MAX_TOKENS")
    samples: Annotated[int, Field(ge=1, le=20)] = Field(1, alias="SAMPLES")

    budget: str = Field("10%", alias="BUDGET")
    strategy: str = Field("allabel", alias="STRATEGY")
    similarity: Literal["bm25", "sbert"] = Field("bm25", alias="SIMILARITY")
    demonstrations: Annotated[int, Field(ge=0, le=64)] = Field(3, alias="DEMONSTRATIONS")
    window: Annotated[int, Field(ge=1, le=1000)] = Field(25, alias="WINDOW")
    dask_scheduler: str = Field("", alias="DASK_SCHEDULER")
    templates_dir: Path | None = Field(None, alias="TEMPLATES_DIR")

    @field_validator(
        "label_studio_url", "backend_url", "openai_base_url", "azure_resource_endpoint", "ollama_endpoint"
    )
    @classmethod
    def _is_http_url(cls, value: str) -> str:
        if value and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
            raise ValueError("must be an address that begins with http:// or https://")
        return value.rstrip("/")

    @field_validator("dask_scheduler")
    @classmethod
    def _is_scheduler_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and not (parts.scheme in ("tcp", "tls", "ws", "wss") and parts.hostname and parts.port):
            raise ValueError("must be an address such as tcp://localhost:8786")
        return value

    @property
    def own_url(self) -> str:
        """Where Label Studio reaches this backend, unless it has told us by connecting."""
        return self.backend_url or f"http://localhost:{self.port}"

    @property
    def model_configured(self) -> bool:
        return bool(
            self.openai_api_key.get_secret_value()
            or self.openai_base_url
            or self.openai_provider in ("azure", "ollama")
        )

    @property
    def basic_auth(self) -> tuple[str, str] | None:
        return (
            (self.basic_auth_user, self.basic_auth_pass.get_secret_value()) if self.basic_auth_user else None
        )


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process.

    :raises SettingsError: names every wrong variable and what it must be.
    """
    given = dict(os.environ if environment is None else environment)
    _read_secret_files(given)
    try:
        return Settings.model_validate(
            {name: value for name, value in given.items() if name in _NAMES and value}
        )
    except ValidationError as error:
        problems = [f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors()]
        raise SettingsError("Wrong settings: " + "; ".join(problems)) from None


def require_label_studio(settings: Settings) -> None:
    """:raises SettingsError: there is no token to reach Label Studio with."""
    if not settings.label_studio_api_key.get_secret_value():
        raise SettingsError(
            "LABEL_STUDIO_API_KEY is missing: copy a token from Label Studio's page 'Account & Settings' "
            "(a personal access token, or a legacy token where those are switched on)."
        )


def new_webhook_secret() -> str:
    return secrets.token_urlsafe(32)


def _read_secret_files(given: dict[str, str]) -> None:
    for name in SECRETS:
        path = given.pop(f"{name}_FILE", "")
        if not path:
            continue
        try:
            given[name] = Path(path).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{name}_FILE: the file cannot be read ({type(error).__name__}).") from None


_NAMES = {str(field.alias) for field in Settings.model_fields.values()}
