"""The one place that builds adapters from settings."""

from __future__ import annotations

import time
from collections.abc import Callable

from redis import Redis

from allabel_core.errors import InvalidInputError
from allabel_core.prompting import DEFAULT_TEMPLATES, Templates

from .adapters import kept_secret
from .adapters.kept_secret import KeptSecret
from .adapters.label_studio import LabelStudioClient
from .adapters.llm import OpenAiModel
from .adapters.llm_config import LlmConfig, Prices
from .adapters.llm_store import KeyValue, RedisKeyValue
from .adapters.store import Store
from .errors import SettingsError
from .ports import LanguageModel, ProjectSettings
from .settings import Settings, require_label_studio
from .usecases.connect import with_params
from .usecases.encoder import Encoder
from .usecases.ranking import Ranker
from .usecases.tools import Secrets, Tools

REDIS_TIMEOUT = 5.0

WEBHOOK, OWN = "webhook", "own"
"""Names of the secrets that Redis keeps."""


def connect_redis(settings: Settings, *, blocking: bool = False) -> Redis:
    """``blocking``: for a worker's queue, whose reads wait for work longer than the usual time limit."""
    try:
        return Redis.from_url(
            settings.redis_url.get_secret_value(),
            socket_timeout=None if blocking else REDIS_TIMEOUT,
            socket_connect_timeout=REDIS_TIMEOUT,
            health_check_interval=30,
        )
    except ValueError:
        raise SettingsError(
            "REDIS_URL must look like redis://[:PASSWORD@]HOST:PORT/0 or rediss://..."
        ) from None


def build_tools(settings: Settings) -> Tools:
    """Everything that the use cases need.

    :raises SettingsError: a setting is missing or wrong.
    :raises redis.exceptions.RedisError: Redis does not answer.
    """
    require_label_studio(settings)
    redis = connect_redis(settings)
    encoder = Encoder()
    return Tools(
        store=build_store(redis),
        label_studio=build_label_studio(settings),
        model=build_model(settings, redis),
        ranker=Ranker(settings.dask_scheduler, encoder),
        encoder=encoder,
        templates=read_templates(settings),
        defaults=project_defaults(settings),
        backend_url=settings.own_url,
        secrets=Secrets(webhook_secret(settings, redis), KeptSecret(redis, OWN)),
        chunk=settings.openai_concurrency,
        samples=settings.samples,
        public_url=settings.public_url or settings.own_url,
        label_studio_url=settings.label_studio_public_url or settings.label_studio_url,
        guarded=settings.basic_auth is not None,
        own_address=lambda address: settings.address_for(address) == address,
    )


def project_defaults(settings: Settings) -> ProjectSettings:
    """The settings of every project that chooses nothing else.

    :raises SettingsError: one of the environment's cannot be used.
    """
    made = ProjectSettings(
        similarity=settings.similarity,
        k=settings.demonstrations,
        window=settings.window,
        audit=settings.audit_share,
    )
    for variable, name, value in (
        ("BUDGET", "budget", settings.budget),
        ("STRATEGY", "strategy", settings.strategy),
    ):
        try:
            made = with_params(made, {name: value})
        except InvalidInputError as error:
            raise SettingsError(f"Wrong settings: {variable}: {error}") from error
    return made


def build_store(redis: Redis) -> Store:
    """What Redis holds of ours."""
    return Store(redis)


def build_label_studio(settings: Settings) -> LabelStudioClient:
    """The Label Studio of the settings."""
    return LabelStudioClient(
        settings.label_studio_url,
        settings.label_studio_api_key.get_secret_value(),
        public_url=settings.label_studio_public_url,
    )


def build_model(settings: Settings, redis: Redis) -> LanguageModel | None:
    """The language model of the settings, None where none is configured."""
    return build_model_on(settings, RedisKeyValue(redis))


def build_model_on(settings: Settings, store: KeyValue) -> LanguageModel | None:
    """The same with its cache and ledger in ``store``."""
    provider = settings.openai_provider
    if provider == "none" or not settings.model_configured:
        return None
    base_url = {"azure": settings.azure_resource_endpoint, "ollama": settings.ollama_endpoint}.get(
        provider, ""
    )
    if (settings.price_prompt is None) != (settings.price_completion is None):
        raise SettingsError("PRICE_PROMPT and PRICE_COMPLETION belong together; set both or neither.")
    try:
        config = LlmConfig(
            model=(settings.azure_deployment_name if provider == "azure" else "") or settings.openai_model,
            provider=provider,
            base_url=base_url or settings.openai_base_url,
            api_key=settings.openai_api_key,
            azure_api_version=settings.azure_api_version,
            api_style=settings.openai_api_style,
            temperature=settings.temperature,
            seed=settings.seed,
            reasoning_effort=settings.reasoning_effort,
            extra_body=settings.openai_extra_body,
            context_window=settings.context_window,
            timeout_seconds=settings.openai_timeout,
            concurrency=settings.openai_concurrency,
            prices=_prices(settings),
            max_cost=settings.max_cost,
            max_tokens=settings.max_tokens,
        )
    except InvalidInputError as error:
        raise SettingsError(str(error)) from error
    return OpenAiModel(config, store)


def _prices(settings: Settings) -> Prices | None:
    if settings.price_prompt is None or settings.price_completion is None:
        return None
    return Prices(settings.price_prompt, settings.price_completion, settings.price_cached)


def read_templates(settings: Settings) -> Templates:
    """The prompt's templates, some of them replaced by the files in TEMPLATES_DIR."""
    folder = settings.templates_dir
    if folder is None:
        return DEFAULT_TEMPLATES
    if not folder.is_dir():
        raise SettingsError("TEMPLATES_DIR is not a folder.")
    try:
        return Templates.load({path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.txt"))})
    except (InvalidInputError, OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"TEMPLATES_DIR: {error}") from error


def webhook_secret(settings: Settings, redis: Redis) -> Callable[[], str]:
    """The one of the settings, otherwise one that is kept in Redis."""
    chosen = settings.webhook_secret.get_secret_value()
    return (lambda: chosen) if chosen else KeptSecret(redis, WEBHOOK)


def rotate_secrets(settings: Settings) -> None:
    """Draw other secrets than those that Redis keeps; returns when all processes have noticed.

    :raises SettingsError: the webhook's is not one of those.
    """
    if settings.webhook_secret.get_secret_value():
        raise SettingsError("WEBHOOK_SECRET is set: change it where it stands, then restart all processes.")
    redis = connect_redis(settings)
    for name in (WEBHOOK, OWN):
        KeptSecret(redis, name).rotate()
    time.sleep(kept_secret.READ_EVERY)
