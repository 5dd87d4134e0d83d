"""What the language-model adapter must be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import SecretStr

from allabel_core.errors import InvalidInputError

Provider: TypeAlias = Literal["openai", "azure", "ollama", "deepseek"]
ApiStyle: TypeAlias = Literal["auto", "chat", "completion"]

NO_KEY = SecretStr("")
_DEFAULT_URLS: dict[Provider, str] = {
    "openai": "https://api.openai.com/v1",
    "ollama": "http://localhost:11434/v1",
    "deepseek": "https://api.deepseek.com",
}

# Where a provider's keys, credit, limits and models are seen, by the end of its host's name.
_CONSOLES = {
    "api.openai.com": "platform.openai.com",
    "api.deepseek.com": "platform.deepseek.com",
    "azure.com": "the Azure portal",
    "openrouter.ai": "openrouter.ai/settings",
    "googleapis.com": "aistudio.google.com",
    "api.mistral.ai": "console.mistral.ai",
    "api.anthropic.com": "platform.claude.com",
    "api.groq.com": "console.groq.com",
    "api.x.ai": "console.x.ai",
    "together.xyz": "api.together.ai",
    "together.ai": "api.together.ai",
    "fireworks.ai": "app.fireworks.ai",
    "dashscope.aliyuncs.com": "the Model Studio console of Alibaba Cloud",
    "dashscope-intl.aliyuncs.com": "the Model Studio console of Alibaba Cloud",
    "huggingface.co": "huggingface.co/settings",
    "api.cohere.ai": "dashboard.cohere.com",
    "nvidia.com": "build.nvidia.com",
}


@dataclass(frozen=True, slots=True)
class Prices:
    """Money per million tokens, in whatever currency; ``cached`` None means as dear as ``prompt``."""

    prompt: float
    completion: float
    cached: float | None = None

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """``cached_tokens`` are part of ``prompt_tokens``."""
        cached_price = self.prompt if self.cached is None else self.cached
        fresh = max(0, prompt_tokens - cached_tokens)
        total = fresh * self.prompt + cached_tokens * cached_price + completion_tokens * self.completion
        return total / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmConfig:
    """A model behind an OpenAI-compatible endpoint, and how to treat it.

    ``provider``: "openai" also serves vLLM, llama.cpp and every other compatible server, by
    ``base_url``. ``base_url``: "" is the provider's usual one; Azure's is the resource endpoint.
    ``model``: for Azure the deployment's name. ``seed``: sent where the server takes one, None never.
    ``reasoning_effort``: sent where it is not "". ``extra_body``: fields of the provider's own, put into
    every request last. ``sample_temperature``: of the second and further answers where agreement is measured.
    ``timeout_seconds``: for one attempt, from connecting to the last byte. ``longest_wait_seconds``:
    a provider that asks to wait longer is given up for now. ``max_cost`` (in the prices' currency)
    and ``max_tokens`` (prompt and answer together) cap what each project may spend, None is no cap.
    ``cache_seconds``: how long an answer is remembered. After ``breaker_failures`` texts in a row
    that failed because the provider is down, nobody asks it for ``breaker_seconds``.
    """

    model: str
    provider: Provider = "openai"
    base_url: str = ""
    api_key: SecretStr = NO_KEY
    azure_api_version: str = "2024-10-21"
    api_style: ApiStyle = "auto"
    temperature: float = 0.0
    sample_temperature: float = 0.7
    seed: int | None = None
    reasoning_effort: str = ""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    context_window: int = 8192
    timeout_seconds: float = 60.0
    concurrency: int = 4
    max_retries: int = 4
    longest_wait_seconds: float = 60.0
    prices: Prices | None = None
    max_cost: float | None = None
    max_tokens: int | None = None
    cache_seconds: float = 30 * 86400.0
    breaker_failures: int = 5
    breaker_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not self.model:
            raise InvalidInputError("No model is named: set OPENAI_MODEL.")
        if self.provider == "azure" and not self.base_url:
            raise InvalidInputError("Azure needs its endpoint: set AZURE_RESOURCE_ENDPOINT.")
        if self.max_cost is not None and self.prices is None:
            raise InvalidInputError("A cap on cost needs the prices of prompt and completion tokens.")
        if urlsplit(self.endpoint).scheme not in ("http", "https"):
            raise InvalidInputError(f"{self.url_variable} must begin with http:// or https://.")
        # A stray line break or quotation mark would fail deep inside, in an error that quotes the key.
        key = self.api_key.get_secret_value()
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise InvalidInputError("OPENAI_API_KEY holds a space, a line break or another odd character.")

    @property
    def endpoint(self) -> str:
        url = (self.base_url or _DEFAULT_URLS.get(self.provider, "")).rstrip("/")
        # Ollama's own interface is at the root, and what its users know is the root's address.
        return f"{url}/v1" if self.provider == "ollama" and not urlsplit(url).path else url

    @property
    def shown_endpoint(self) -> str:
        """The endpoint without what might be secret in it: user, password, query."""
        parts = urlsplit(self.endpoint)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}"

    @property
    def url_variable(self) -> str:
        """The environment variable that a person changes to reach another endpoint."""
        return {"azure": "AZURE_RESOURCE_ENDPOINT", "ollama": "OLLAMA_ENDPOINT"}.get(
            self.provider, "OPENAI_BASE_URL"
        )

    @property
    def console(self) -> str:
        """Where the account is looked after, in words."""
        host = urlsplit(self.endpoint).hostname or ""
        if self.provider == "azure":
            return _CONSOLES["azure.com"]
        found = (place for end, place in _CONSOLES.items() if host == end or host.endswith(f".{end}"))
        return next(found, "the provider's own pages")

    @property
    def model_variable(self) -> str:
        return "AZURE_DEPLOYMENT_NAME" if self.provider == "azure" else "OPENAI_MODEL"
