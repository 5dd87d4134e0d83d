"""Settings from the environment, read once. Names are those the ecosystem uses; see `.env.example`.

What stands below a setting is its line in docs/reference/settings.md.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import SettingsError

SECRETS = ("LABEL_STUDIO_API_KEY", "OPENAI_API_KEY", "BASIC_AUTH_PASS", "REDIS_URL", "WEBHOOK_SECRET")
"""Each may also be given as the path of a file that holds it, as NAME_FILE."""

NO_SECRET = SecretStr("")

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class Settings(BaseSettings):
    """Everything that can be set from outside. Secrets are masked in reprs."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    label_studio_url: str = Field("http://localhost:8080", alias="LABEL_STUDIO_URL")
    """Label Studio's address as seen from backend and workers."""
    label_studio_api_key: SecretStr = Field(NO_SECRET, alias="LABEL_STUDIO_API_KEY")
    """A personal access token, or a legacy token where those are switched on. Must be set."""
    redis_url: SecretStr = Field(SecretStr("redis://localhost:6379/0"), alias="REDIS_URL")
    """`redis://[:PASSWORD@]HOST:PORT/DB`, or `rediss://` for TLS."""

    host: str = Field("127.0.0.1", alias="HOST")
    """The address on which `allabel serve` listens; `0.0.0.0` for all."""
    port: Annotated[int, Field(ge=1, le=65535)] = Field(9090, alias="PORT")
    """The port on which `allabel serve` listens."""
    backend_url: str = Field("", alias="BACKEND_URL")
    """Where Label Studio reaches this backend; needed where the address typed in when connecting, or
    `http://localhost:PORT`, is not it."""
    public_url: str = Field("", alias="PUBLIC_URL")
    """Where people's browsers reach this backend, if not at `BACKEND_URL`."""
    allowed_hosts: str = Field("", alias="ALLOWED_HOSTS")
    """Further names in addresses of this backend, separated by commas, beside `localhost` and those of
    `BACKEND_URL` and `PUBLIC_URL`. Requests under other names are refused; `*` allows all."""
    forwarded_allow_ips: str = Field("", alias="FORWARDED_ALLOW_IPS")
    """Addresses or networks of the proxies in front of `allabel serve`, separated by commas. Theirs alone
    are the words on a visitor's address (`X-Forwarded-For`) and on TLS (`X-Forwarded-Proto`) that count."""
    label_studio_public_url: str = Field("", alias="LABEL_STUDIO_PUBLIC_URL")
    """Where people's browsers reach Label Studio, if not at `LABEL_STUDIO_URL`."""
    basic_auth_user: str = Field("", alias="BASIC_AUTH_USER")
    """The name to sign in with: on pages, in scripts, once in *Connect Model*; empty asks for none."""
    basic_auth_pass: SecretStr = Field(NO_SECRET, alias="BASIC_AUTH_PASS")
    """The password that goes with it. Label Studio gets a token for each project in its place."""
    webhook_secret: SecretStr = Field(NO_SECRET, alias="WEBHOOK_SECRET")
    """What Label Studio's webhook must send; empty means one drawn at random, kept in Redis, which
    `allabel rotate-secret` replaces."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", alias="LOG_LEVEL")
    """How much is logged. No level logs texts or keys."""
    log_format: Literal["text", "json"] = Field("text", alias="LOG_FORMAT")
    """`json` is for machines: one object a line, with the ids of project, job and task."""
    reconcile_seconds: Annotated[float, Field(gt=0)] = Field(60.0, alias="RECONCILE_SECONDS")
    """How often a worker compares what it knows with Label Studio, since webhooks get lost."""

    openai_provider: Literal["openai", "azure", "ollama", "deepseek", "none"] = Field(
        "openai", alias="OPENAI_PROVIDER"
    )
    """`openai` stands for every compatible server, by `OPENAI_BASE_URL`; with `none`, suggestions are learnt
    from annotations alone, and no text leaves this backend."""
    openai_api_key: SecretStr = Field(NO_SECRET, alias="OPENAI_API_KEY")
    """The provider's key; local servers mostly need none."""
    openai_base_url: str = Field("", alias="OPENAI_BASE_URL")
    """The server's address up to and with `/v1`; empty for the provider's own."""
    openai_model: str = Field("gpt-6-luna", alias="OPENAI_MODEL")
    """The model's name as the server knows it."""
    openai_api_style: Literal["auto", "chat", "completion"] = Field("auto", alias="OPENAI_API_STYLE")
    """`chat` for instruct models, `completion` for base models; `auto` tries in this order."""
    openai_extra_body: dict[str, Any] = Field({}, alias="OPENAI_EXTRA_BODY")
    """Fields of the provider's own as a JSON object, put into every request, such as
    `{"chat_template_kwargs": {"enable_thinking": false}}`."""
    reasoning_effort: str = Field("", alias="REASONING_EFFORT")
    """How long a model that thinks may do so, in the provider's words, such as `none`, `low` or `high`; empty
    leaves it to the provider."""
    openai_timeout: Annotated[float, Field(gt=0)] = Field(60.0, alias="OPENAI_TIMEOUT")
    """Seconds for one attempt, from connecting to the last byte."""
    openai_concurrency: Annotated[int, Field(ge=1, le=256)] = Field(4, alias="OPENAI_CONCURRENCY")
    """Calls at a time, and tasks per job, of one worker."""
    azure_resource_endpoint: str = Field("", alias="AZURE_RESOURCE_ENDPOINT")
    """Azure's resource endpoint, with `OPENAI_PROVIDER=azure`."""
    azure_deployment_name: str = Field("", alias="AZURE_DEPLOYMENT_NAME")
    """The deployment's name there; empty takes `OPENAI_MODEL`."""
    azure_api_version: str = Field("2024-10-21", alias="AZURE_API_VERSION")
    """The version of Azure's interface."""
    ollama_endpoint: str = Field("", alias="OLLAMA_ENDPOINT")
    """Ollama's address, with `OPENAI_PROVIDER=ollama`; empty is `http://localhost:11434`."""
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.0, alias="TEMPERATURE")
    """How freely the model answers."""
    seed: int | None = Field(None, alias="SEED")
    """Sent where the server takes one; empty sends none."""
    context_window: Annotated[int, Field(ge=512)] = Field(8192, alias="CONTEXT_WINDOW")
    """Tokens that fit the model, prompt and answer together."""
    price_prompt: Annotated[float, Field(ge=0)] | None = Field(None, alias="PRICE_PROMPT")
    """Price of a million prompt tokens, in any currency."""
    price_completion: Annotated[float, Field(ge=0)] | None = Field(None, alias="PRICE_COMPLETION")
    """Price of a million answer tokens; set both or neither."""
    price_cached: Annotated[float, Field(ge=0)] | None = Field(None, alias="PRICE_CACHED")
    """Price of a million prompt tokens that the provider bills as cached; empty is the full price."""
    max_cost: Annotated[float, Field(gt=0)] | None = Field(None, alias="MAX_COST")
    """What each project may spend, in the prices' currency; empty is no cap."""
    max_tokens: Annotated[int, Field(gt=0)] | None = Field(None, alias="MAX_TOKENS")
    """How many tokens each project may use, prompts and answers together; empty is no cap."""
    samples: Annotated[int, Field(ge=1, le=20)] = Field(1, alias="SAMPLES")
    """Answers per text; more than one measures agreement where the server gives no log-probabilities."""

    budget: str = Field("10%", alias="BUDGET")
    """Default of the project setting `budget`."""
    strategy: str = Field("coverage", alias="STRATEGY")
    """Default of the project setting `strategy`."""
    similarity: Literal["bm25", "sbert"] = Field("bm25", alias="SIMILARITY")
    """Default of the project setting `similarity`."""
    demonstrations: Annotated[int, Field(ge=0, le=64)] = Field(3, alias="DEMONSTRATIONS")
    """Default of the project setting `k`."""
    window: Annotated[int, Field(ge=1, le=1000)] = Field(25, alias="WINDOW")
    """Default of the project setting `window`."""
    audit_share: Annotated[float, Field(ge=0, le=0.5)] = Field(0.1, alias="AUDIT_SHARE")
    """Default of the project setting `audit`: the share of the budget annotated without suggestions."""
    dask_scheduler: str = Field("", alias="DASK_SCHEDULER")
    """A Dask scheduler, such as `tcp://localhost:8786`, whose workers share the ranking of very large
    projects; empty is this machine alone."""
    templates_dir: Path | None = Field(None, alias="TEMPLATES_DIR")
    """A folder with prompt templates of your own; empty is those of `allabel_core/templates`."""

    @field_validator(
        "label_studio_url",
        "label_studio_public_url",
        "backend_url",
        "public_url",
        "openai_base_url",
        "azure_resource_endpoint",
        "ollama_endpoint",
    )
    @classmethod
    def _is_http_url(cls, value: str) -> str:
        if value and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
            raise ValueError("must be an address that begins with http:// or https://")
        return value.rstrip("/")

    @field_validator("label_studio_url", "label_studio_public_url", "backend_url", "public_url")
    @classmethod
    def _holds_no_credentials(cls, value: str) -> str:
        # Such addresses are shown to people, in pages, messages and Label Studio.
        if "@" in urlsplit(value).netloc:
            raise ValueError("must hold no user name or password; those have settings of their own")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_names(cls, value: str) -> str:
        for name in filter(None, map(str.strip, value.split(","))):
            if not re.fullmatch(r"\*|(\*\.)?[\w.-]+|\[[0-9a-fA-F:.]+\]", name):
                raise ValueError(
                    "must be names such as allabel.example.org, *.example.org or *, without ports"
                )
        return value

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        for address in filter(None, map(str.strip, value.split(","))):
            try:
                if address != "*":
                    ip_network(address, strict=False)
            except ValueError:
                raise ValueError("must be addresses or networks such as 10.0.0.5 or 10.0.0.0/8") from None
        return value

    @field_validator("openai_extra_body", mode="before")
    @classmethod
    def _is_json_object(cls, value: object) -> object:
        try:
            read = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            read = None
        if not isinstance(read, dict):
            raise ValueError('must be a JSON object, such as {"enable_thinking": false}')
        return read

    @field_validator("dask_scheduler")
    @classmethod
    def _is_scheduler_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and not (parts.scheme in ("tcp", "tls", "ws", "wss") and parts.hostname and parts.port):
            raise ValueError("must be an address such as tcp://localhost:8786")
        return value

    @model_validator(mode="after")
    def _has_both_credentials(self) -> Self:
        if bool(self.basic_auth_user) != bool(self.basic_auth_pass.get_secret_value()):
            raise ValueError("BASIC_AUTH_USER and BASIC_AUTH_PASS belong together; set both or neither")
        return self

    @property
    def own_url(self) -> str:
        """Where Label Studio reaches this backend, unless it has told us by connecting."""
        return self.backend_url or f"http://localhost:{self.port}"

    @property
    def names(self) -> list[str]:
        """What may stand in a request's Host header, without the port."""
        own = [urlsplit(url).hostname or "" for url in (self.backend_url, self.public_url)]
        own = [f"[{name}]" if ":" in name else name for name in own]
        further = [name.strip().lower() for name in self.allowed_hosts.split(",")]
        return list(dict.fromkeys(name for name in (*LOOPBACK_NAMES, *own, *further) if name))

    def address_for(self, called_at: str) -> str:
        """The address that Label Studio is told for a connection that it has called at this one.

        It is a configured one, whatever the request says of itself.
        """
        if self.backend_url:
            return self.backend_url
        try:
            parts = urlsplit(called_at)
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        except ValueError:
            return self.own_url
        known = (parts.hostname or "") in {name.strip("[]") for name in self.names} and port == self.port
        return f"{parts.scheme}://{parts.netloc}" if known and not parts.username else self.own_url

    @property
    def model_configured(self) -> bool:
        return self.openai_provider != "none" and bool(
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
        problems = [": ".join([*map(str, found["loc"]), found["msg"]]) for found in error.errors()]
        raise SettingsError("Wrong settings: " + "; ".join(problems)) from None


def require_label_studio(settings: Settings) -> None:
    """:raises SettingsError: there is no token to reach Label Studio with."""
    if not settings.label_studio_api_key.get_secret_value():
        raise SettingsError(
            "LABEL_STUDIO_API_KEY is missing: copy a token from Label Studio's page 'Account & Settings' "
            "(a personal access token, or a legacy token where those are switched on)."
        )


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
