"""What providers say when something is wrong, as their users have met it, and what people are told of it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import httpx2
import openai
import pytest

from backend.adapters.llm_config import LlmConfig, Provider
from backend.adapters.llm_failures import ErrorInsideError, Trouble, trouble_of


def of(
    status: int, body: Any, provider: Provider = "openai", headers: dict[str, str] | None = None
) -> Trouble:
    """What is made of a reply, as the ``openai`` client hands it on."""
    config = LlmConfig(model="m", provider=provider, base_url="https://host.example/v1")
    content = body if isinstance(body, str) else json.dumps(body)
    request = httpx2.Request("POST", config.endpoint)
    response = httpx2.Response(status, content=content.encode(), headers=headers, request=request)
    return trouble_of(client()._make_status_error_from_response(response), config)


@cache
def client() -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url="https://host.example/v1")


def err(message: str, code: Any = None, kind: str = "invalid_request_error", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


def google(message: str, status: str = "INVALID_ARGUMENT", code: int = 400) -> list[Any]:
    return [{"error": {"code": code, "message": message, "status": status}}]


def vllm(message: str, code: int = 400) -> dict[str, Any]:
    return {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": code}


CASES: list[tuple[str, str, int, Any]] = [
    # kind, words of a right message, status, body
    ("rejected", "OPENAI_API_KEY", 401, err("Incorrect API key provided: sk-a***b.", "invalid_api_key")),
    ("rejected", "OPENAI_API_KEY", 400, err("Incorrect API key provided: xa***. You can obtain an API key from https://")),
    ("rejected", "OPENAI_API_KEY", 400, google("API key not valid. Please pass a valid API key.")),
    ("rejected", "OPENAI_API_KEY", 401, {"message": "Unauthorized", "request_id": "1"}),
    ("rejected", "OPENAI_API_KEY", 401, {"detail": "Unauthorized"}),
    ("rejected", "OPENAI_API_KEY", 401, {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}),
    ("rejected", "OPENAI_API_KEY", 401, err("No auth credentials found", 401)),
    ("rejected", "credit", 402, err("Insufficient Balance", "invalid_request_error", "unknown_error")),
    ("rejected", "credit", 402, err("Insufficient credits. Add more using https://openrouter.ai/credits", 402)),
    ("rejected", "credit", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API."}}),
    ("rejected", "quota", 429, err("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota")),
    ("rejected", "quota", 429, err("Your account is not active, please check your billing details on our website.", "billing_not_active")),
    ("rejected", "credit", 403, {"code": "The caller does not have permission", "error": "Your newly created team doesn't have any credits yet."}),
    ("rejected", "credit", 400, err("Access denied, please make sure your account is in good standing.", "Arrearage")),
    ("rejected", "credit", 429, {"error": {"code": "1113", "message": "您的账户已欠费,请充值后重试。"}}),
    ("rejected", "quota", 403, err("Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys", 403)),
    ("rejected", "credit", 402, {"error": "You have exceeded your monthly included credits for Inference Providers."}),
    ("rate_limited", "OPENAI_CONCURRENCY", 429, err("Rate limit reached for m on requests per min (RPM): Limit 3. Please try again in 20s. You can increase your rate limit by adding a payment method to your account at https://platform.openai.com/account/billing.", "rate_limit_exceeded")),
    ("rate_limited", "tokens", 429, err("Request too large for gpt-4 on tokens per min (TPM): Limit 10000, Requested 20000.", "rate_limit_exceeded", "tokens")),
    ("rate_limited", "tokens", 413, err("Request too large for model `l` on tokens per minute (TPM): Limit 6000, Requested 8000", "rate_limit_exceeded", "tokens")),
    ("rate_limited", "OPENAI_CONCURRENCY", 429, google("You exceeded your current quota, please check your plan and billing details. Quota exceeded for metric: generate_content_free_tier_requests, limit: 10. Please retry in 35.4s.", "RESOURCE_EXHAUSTED", 429)),
    ("rejected", "quota", 429, google("You exceeded your current quota. Quota exceeded for metric: generate_content_free_tier_requests, limit: 0, model: m", "RESOURCE_EXHAUSTED", 429)),
    ("rate_limited", "OPENAI_CONCURRENCY", 429, {"message": "Service tier capacity exceeded for this model.", "type": "service_tier_capacity_exceeded"}),
    ("rate_limited", "OPENAI_CONCURRENCY", 429, "slow down"),
    ("rejected", "country", 403, err("Country, region, or territory not supported", "unsupported_country_region_territory", "request_forbidden")),
    ("rejected", "country", 400, google("User location is not supported for the API use.", "FAILED_PRECONDITION")),
    ("rejected", "network", 403, err("Public access is disabled. Please configure private endpoint.", "403")),
    ("rejected", "network", 403, err("Access denied due to Virtual Network/Firewall rules.", "403")),
    ("rejected", "network", 401, err("Your IP address is not authorized.", "ip_not_authorized")),
    ("rejected", "verif", 400, err("Your organization must be verified to use the model `o3`.", "unsupported_value")),
    ("rejected", "verif", 404, err("Your organization must be verified to use the model `gpt-5`. Please go to: https://", "model_not_found")),
    ("rejected", "access", 403, err("You don't have access to the model with the specified model ID.", "AccessDeniedException")),
    ("rejected", "OPENAI_MODEL", 403, err("Project `p` does not have access to model `gpt-4`", "model_not_found")),
    ("rejected", "OPENAI_MODEL", 404, err("The model `x` does not exist or you do not have access to it.", "model_not_found")),
    ("rejected", "OPENAI_MODEL", 400, err("Model Not Exist", "invalid_request_error")),
    ("rejected", "OPENAI_MODEL", 400, err("x is not a valid model ID", 400)),
    ("rejected", "OPENAI_MODEL", 404, err("No endpoints found for x.", 404)),
    ("rejected", "withdrawn", 400, err("The model `mixtral-8x7b-32768` has been decommissioned and is no longer supported.", "model_decommissioned")),
    ("rejected", "withdrawn", 404, err("The model `gpt-4.5-preview` has been deprecated, learn more here: https://", "model_not_found")),
    ("rejected", "policy", 404, err("No endpoints found matching your data policy (Free model publication).", 404)),
    ("rejected", "OPENAI_API_STYLE", 404, err("This is not a chat model and thus not supported in the v1/chat/completions endpoint.")),
    ("rejected", "OPENAI_API_STYLE", 400, err("The chatCompletion operation does not work with the specified model, m.", "OperationNotSupported")),
    ("rejected", "OPENAI_BASE_URL", 404, {"detail": "Not Found"}),
    ("rejected", "OPENAI_BASE_URL", 404, err("Invalid URL (POST /v1/v1/chat/completions)")),
    ("rejected", "OPENAI_BASE_URL", 405, {"detail": "Method Not Allowed"}),
    ("rejected", "web page", 403, "<!DOCTYPE html><html><title>Just a moment...</title>the model's context length, billing</html>"),
    ("rejected", "memory", 500, err("model requires more system memory (8.0 GiB) than is available (5.1 GiB)", None, "api_error")),
    ("rejected", "memory", 500, err("CUDA out of memory. Tried to allocate 2.00 GiB")),
    ("rejected", "memory", 500, err("llama runner process has terminated: signal: killed", None, "api_error")),
    ("unreachable", "loading", 503, err("Loading model", 503, "unavailable_error")),
    ("unreachable", "loading", 503, {"error": "Model m is currently loading", "estimated_time": 20.0}),
    ("unreachable", "overloaded", 529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    ("unreachable", "overloaded", 503, google("The model is overloaded. Please try again later.", "UNAVAILABLE", 503)),
    ("unreachable", "overloaded", 502, "<html><head><title>502 Bad Gateway</title></head></html>"),
    ("unreachable", "overloaded", 500, err("The server had an error while processing your request. Sorry about that!", None, "server_error")),
    ("too_long", "CONTEXT_WINDOW", 400, err("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in the messages, 1000 in the completion).", "context_length_exceeded")),
    ("too_long", "CONTEXT_WINDOW", 400, err("prompt is too long: 210000 tokens > 200000 maximum")),
    ("too_long", "CONTEXT_WINDOW", 422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 300 `max_new_tokens`", "error_type": "validation"}),
    ("too_long", "CONTEXT_WINDOW", 400, {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 131072 but the request contains 150000 tokens."}),
    ("too_long", "CONTEXT_WINDOW", 400, err("the request exceeds the available context size, try increasing it", 400, "exceed_context_size_error")),
    ("too_long", "CONTEXT_WINDOW", 400, google("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).")),
    ("too_long", "CONTEXT_WINDOW", 400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000."}),
    ("too_long", "CONTEXT_WINDOW", 400, {"object": "error", "message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length"}),
    ("too_long", "CONTEXT_WINDOW", 400, err("Range of input length should be [1, 30720]", "InvalidParameter")),
    ("too_long", "CONTEXT_WINDOW", 400, err("Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192")),
    ("too_long", "CONTEXT_WINDOW", 400, {"error": "The number of tokens to keep from the initial prompt is greater than the context length."}),
    ("too_long", "CONTEXT_WINDOW", 400, {"message": "Input is too long for requested model."}),
    ("too_long", "CONTEXT_WINDOW", 413, "<html><title>413 Request Entity Too Large</title></html>"),
    ("refused", "declined", 400, err("The response was filtered due to the prompt triggering Azure OpenAI's content management policy.", "content_filter", innererror={"code": "ResponsibleAIPolicyViolation"})),
    ("refused", "declined", 400, err("This prompt has been flagged as potentially biological risk.", "invalid_prompt")),
    ("refused", "declined", 400, err("Invalid prompt: your prompt was flagged as potentially violating our usage policy.", "invalid_prompt")),
    ("refused", "declined", 400, err("Input data may contain inappropriate content.", "data_inspection_failed")),
    ("refused", "declined", 400, err("Content Exists Risk")),
    ("refused", "declined", 400, err("The request was rejected because it was considered high risk", "content_filter")),
    ("refused", "declined", 400, {"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}}),
    ("refused", "declined", 403, err('Your input was flagged for "violence".', 403, metadata={"reasons": ["violence"]})),
    ("refused", "declined", 403, {"error": "Content violates usage guidelines.", "code": "permission"}),
    ("refused", "declined", 400, err("Your request was rejected as a result of our safety system.", "content_policy_violation")),
    ("rejected", "access", 403, {"error": "Access to model m is restricted and you are not in the authorized list. Visit the page to ask for access."}),
    ("rejected", "country", 403, err("Your access was terminated due to unsupported country")),
    ("rejected", "credit", 400, err("Budget has been exceeded! Current cost: 10.2, Max budget: 10.0", "400", "budget_exceeded")),
    ("too_long", "CONTEXT_WINDOW", 400, err("the max length of current question is 5120, input exceeds", "invalid_argument")),
    ("refused", "declined", 400, err("Provider returned error", 400, metadata={"raw": '{"error": {"code": "data_inspection_failed"}}'})),
    ("rate_limited", "OPENAI_CONCURRENCY", 429, err("Provider returned error", 429, metadata={"raw": "m is temporarily rate-limited upstream"})),
    ("rejected", "OPENAI_MODEL", 404, err("model: claude-x", None, "not_found_error")),
    ("rejected", "stream", 400, err("This model only support stream mode, please enable the stream parameter to access the model.")),
    ("rejected", "REASONING_EFFORT", 400, err("parameter.enable_thinking must be set to false for non-streaming calls")),
    ("rejected", "REASONING_EFFORT", 400, err('"llama3" does not support thinking', None, "api_error")),
    ("rejected", "HTTP 400", 400, err("something nobody has seen before")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "words", "status", "body"), CASES)
def test_people_are_told_what_to_do(kind: str, words: str, status: int, body: Any) -> None:
    found = of(status, body)
    assert found.failure.kind == kind
    assert words in found.failure.message
    # Errors that pass are tried again, the others are not.
    assert (found.retries is None) == (kind in ("rate_limited", "unreachable"))


@pytest.mark.parametrize(
    ("kind", "words", "status", "body"),
    [case for case in CASES if isinstance(case[3], dict) and isinstance(case[3].get("error"), dict)],
)
def test_the_same_inside_a_reply_of_http_200(kind: str, words: str, status: int, body: Any) -> None:
    config = LlmConfig(model="m", base_url="https://host.example/v1")
    inside = {"error": {**body["error"], "code": status, "reason": body["error"].get("code")}}
    found = trouble_of(ErrorInsideError(inside), config)
    assert found.failure.kind == kind
    assert words in found.failure.message


AZURE: list[tuple[str, int, Any]] = [
    ("AZURE_API_VERSION", 400, err("Model o3-mini is enabled only for api versions 2024-12-01-preview and later", "BadRequest")),
    ("AZURE_API_VERSION", 400, err("API version not supported", "BadRequest")),
    ("AZURE_DEPLOYMENT_NAME", 404, err("The API deployment for this resource does not exist.", "DeploymentNotFound")),
    ("AZURE_RESOURCE_ENDPOINT", 404, err("Resource not found", "404")),
    ("OPENAI_API_KEY", 401, err("Access denied due to invalid subscription key or wrong API endpoint.", "401")),
    ("the Azure portal", 403, err("Public access is disabled. Please configure private endpoint.", "403")),
]  # fmt: skip


@pytest.mark.parametrize(("words", "status", "body"), AZURE)
def test_azures_own_settings_are_named(words: str, status: int, body: Any) -> None:
    found = of(status, body, "azure").failure
    assert found.kind == "rejected"
    assert words in found.message


def test_a_model_that_ollama_lacks_can_be_pulled() -> None:
    assert (
        "ollama pull m" in of(404, err('model "m" not found, try pulling it first'), "ollama").failure.message
    )


def test_the_place_to_go_to_is_the_providers() -> None:
    config = LlmConfig(model="m", provider="deepseek")
    error = ErrorInsideError(err("Insufficient Balance", 402))
    assert "platform.deepseek.com" in trouble_of(error, config).failure.message


ABOUT: list[tuple[str, int, Any]] = [
    ("schema", 400, vllm("The provided JSON schema contains features not supported by xgrammar.")),
    ("schema", 400, err("Invalid schema for response_format 'answer': enum has 600 values, the limit is 500.")),
    ("schema", 400, google("The specified schema produces a constraint that has too many states for serving.")),
    ("schema", 400, err("Failed to generate JSON. Please adjust your prompt.", "json_validate_failed")),
    ("schema", 400, err("This response_format type is unavailable now")),
    ("schema", 400, err("response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later")),
    ("schema", 400, err("failed to parse grammar", 400)),
    ("system", 400, vllm("System role not supported")),
    ("system", 400, err("Unsupported value: 'messages[0].role' does not support 'system' with this model.", "unsupported_value")),
    ("system", 400, vllm("Conversation roles must alternate user/assistant/user/assistant/...")),
    ("system", 400, google("Developer instruction is not enabled for models/gemma-3-27b-it")),
    ("system", 500, err("Value is not callable: Jinja Exception: System role not supported")),
    ("logprobs", 403, err("You are not allowed to request logprobs from this model")),
    ("logprobs", 400, err("`logprobs` is not supported with this model")),
    ("logprobs", 422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "top_logprobs"], "msg": "Extra inputs are not permitted"}]}),
    ("seed", 422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}),
    ("seed", 400, google('Unknown name "seed": Cannot find field.')),
    ("temperature", 400, err("Unsupported value: 'temperature' does not support 0.0 with this model.", "unsupported_value")),
    ("limit_name", 400, err("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "unsupported_parameter")),
    ("output", 400, err("max_tokens is too large: 20000. This model supports at most 16384 completion tokens, whereas you provided 20000.", "invalid_value")),
    ("output", 400, err("Range of max_tokens should be [1, 8192]", "InvalidParameter")),
    ("context", 400, vllm("'max_tokens' or 'max_completion_tokens' is too large: 6000. This model's maximum context length is 4096 tokens and your request has 1000 input tokens")),
]  # fmt: skip


@pytest.mark.parametrize(("about", "status", "body"), ABOUT)
def test_what_of_the_request_is_refused_is_understood(about: str, status: int, body: Any) -> None:
    assert of(status, body).about == about


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Please try again in 7.66s.", 7.66),
        ("Please try again in 1m30s.", 90.0),
        ("Please try again in 250ms.", 0.25),
        ("Please retry after 6 seconds.", 6.0),
        ("Please retry in 35.4s. retryDelay: 35s", 35.0),
        ("Rate limit exceeded", None),
    ],
)
def test_the_wait_is_read_from_the_words(words: str, seconds: float | None) -> None:
    assert of(429, err(words)).wait_seconds == seconds
    assert of(429, err(words), headers={"retry-after": "2"}).wait_seconds == 2.0


def test_nothing_of_the_providers_words_is_passed_on() -> None:
    secret = "sk-verysecret"
    for status in (400, 401, 403, 404, 413, 422, 429, 500):
        for _, _, _, body in CASES:
            said = json.dumps(body) if not isinstance(body, str) else body
            message = of(status, err(f"{secret} {said}")).failure.message
            assert secret not in message
