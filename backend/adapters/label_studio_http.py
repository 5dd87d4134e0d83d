"""Requests to Label Studio: authorised, retried, errors translated.

Not through label-studio-sdk (2.1.2): its client takes 1.1 s to import (pandas), repeats calls that must
not be made twice, re-encodes bodies in Python, and lacks routes that we need (next task, model
versions). What remained, the exchange of tokens, is a few lines here.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from ..errors import (
    LabelStudioFailingError,
    LabelStudioNotFoundError,
    LabelStudioRejectedError,
    LabelStudioUnauthorisedError,
    LabelStudioUnreachableError,
)
from .label_studio_addresses import text_url

logger = logging.getLogger(__name__)

# 500 is what a Label Studio on SQLite answers when two people save at once ("database is locked").
RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
IDEMPOTENT_METHODS = frozenset({"GET", "PUT", "PATCH", "DELETE"})
LONGEST_WAIT_SECONDS = 30.0
MAX_TEXT_BYTES = 5_000_000
_MESSAGE_LENGTH = 500
_HEADER_VALUE = re.compile(r"[!-~]*")
_ITEM = re.compile(r"\{.*\}", re.DOTALL)
_REMEDY = (
    "Check LABEL_STUDIO_API_KEY: use a personal access token (Account & Settings > Personal Access Token), "
    "or have legacy tokens switched on (Organization > API Token Settings) to use one of those"
)


class LabelStudioHttp:
    """One authorised connection pool. Safe to share between threads.

    :param api_key: a legacy token or a personal access token; the latter is exchanged as needed.
    :param retries: further attempts where a call may be repeated, with doubling waits.
    :param public_url: where people reach the same Label Studio, if that is elsewhere.
    :param transport: replaces the network, for tests.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout: float = 60.0,
        retries: int = 3,
        public_url: str = "",
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._public_url = public_url.rstrip("/")
        self._api_key = api_key
        self._retries = retries
        self._sleep = sleep
        self._client = httpx.Client(timeout=timeout, transport=transport)
        # A personal access token is a JSON web token, to be exchanged; a legacy token is 40 hex digits.
        self._personal = api_key.count(".") == 2
        self._access_token = ""
        self._exchange = threading.Lock()
        self.clock: datetime | None = None
        """Label Studio's, to the second, when it last answered; None before."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    def close(self) -> None:
        self._client.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: object = None,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> Any:
        """The JSON that Label Studio answers, None for an empty answer.

        :raises LabelStudioError: the subclass tells what can be done about it.
        """
        url = f"{self.base_url}/{path.lstrip('/')}"
        response = self._send(method, url, params=params, json=json, timeout=timeout, retries=retries)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise LabelStudioRejectedError(
                f"{self.base_url} does not answer as Label Studio would ({path}). Check LABEL_STUDIO_URL"
            ) from error

    def text(self, address: str) -> str:
        """A text that Label Studio serves for a task: an uploaded file or a storage's object.

        :raises LabelStudioRejectedError: the address is elsewhere, or the text is too long or not UTF-8.
        """
        url = text_url(address, self.base_url, self._public_url)
        content = self._send("GET", url, limit=MAX_TEXT_BYTES, retries=min(self._retries, 1)).content
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise LabelStudioRejectedError("The text of a task is not UTF-8") from error

    def _send(self, method: str, url: str, *, retries: int | None = None, **request: Any) -> httpx.Response:
        if request.get("timeout") is None:
            request.pop("timeout", None)
        retries = self._retries if retries is None else retries
        for attempt in range(retries + 1):
            last = attempt == retries
            try:
                response = self._authorised(method, url, **request)
            except httpx.TransportError as error:
                # A request that found no connection was never seen, so repeating it is safe.
                if last or not (method in IDEMPOTENT_METHODS or isinstance(error, httpx.ConnectError)):
                    raise LabelStudioUnreachableError(
                        f"Label Studio at {self.base_url} does not answer ({type(error).__name__}). "
                        "Check that it runs and that LABEL_STUDIO_URL is its address as seen from here"
                    ) from error
                self._wait(attempt, None)
                continue
            self.clock = _date(response) or self.clock
            if last or method not in IDEMPOTENT_METHODS or response.status_code not in RETRIED_STATUSES:
                self._check(response)
                return response
            self._wait(attempt, response.headers.get("retry-after"))
        raise AssertionError("the last attempt returns or raises")

    def _wait(self, attempt: int, retry_after: str | None) -> None:
        asked = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
        backoff = 0.5 * 2**attempt * random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries, no secret
        seconds = min(max(asked, backoff), LONGEST_WAIT_SECONDS)
        logger.info("Label Studio is not ready, attempt %d; next in %.1f s", attempt + 1, seconds)
        self._sleep(seconds)

    def _authorised(self, method: str, url: str, **request: Any) -> httpx.Response:
        """One request. An access token lives for minutes; a 401 tells that it has to be renewed."""
        if not _HEADER_VALUE.fullmatch(self._api_key):
            raise LabelStudioUnauthorisedError(
                "LABEL_STUDIO_API_KEY has a character that no token has, such as a blank, a line break or a "
                f"curly quotation mark. {_REMEDY}"
            )
        if not self._personal:
            return self._request(method, url, headers={"Authorization": f"Token {self._api_key}"}, **request)
        with self._exchange:
            known = self._access_token
            token = self._access_token = known or self._new_access_token()
        response = self._request(method, url, headers={"Authorization": f"Bearer {token}"}, **request)
        if response.status_code != 401 or not known:
            return response
        with self._exchange:
            if self._access_token == known:
                self._access_token = self._new_access_token()
            token = self._access_token
        return self._request(method, url, headers={"Authorization": f"Bearer {token}"}, **request)

    def _request(self, method: str, url: str, *, limit: int | None = None, **request: Any) -> httpx.Response:
        """With ``limit``, no more than so many bytes are taken in."""
        if limit is None:
            return self._client.request(method, url, **request)
        content = bytearray()
        with self._client.stream(method, url, **request) as response:
            for part in response.iter_bytes():
                content += part
                if len(content) > limit:
                    raise LabelStudioRejectedError(f"The text of a task is longer than {limit:,} bytes")
        known = ("content-type", "location", "retry-after")
        headers = {name: response.headers[name] for name in known if name in response.headers}
        return httpx.Response(
            response.status_code, headers=headers, content=bytes(content), request=response.request
        )

    def _new_access_token(self) -> str:
        response = self._client.post(f"{self.base_url}/api/token/refresh/", json={"refresh": self._api_key})
        if response.status_code in (400, 401, 403, 404):
            raise LabelStudioUnauthorisedError(
                f"Label Studio refuses the personal access token: {self._said(response)}. {_REMEDY}"
            )
        self._check(response)
        try:
            return str(response.json()["access"])
        except (ValueError, TypeError, KeyError) as error:
            raise LabelStudioRejectedError(
                f"{self.base_url} does not exchange tokens as Label Studio does. Check LABEL_STUDIO_URL"
            ) from error

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status < 300:
            return
        said = self._said(response)
        if status < 400:
            raise LabelStudioRejectedError(
                f"{self.base_url} redirects to {_origin(response)}. Set LABEL_STUDIO_URL to its final address"
            )
        if status == 401:
            raise LabelStudioUnauthorisedError(f"Label Studio refuses the token: {said}. {_REMEDY}")
        if status == 403:
            raise LabelStudioUnauthorisedError(f"Label Studio does not allow this: {said}")
        if status == 404:
            raise LabelStudioNotFoundError(f"Label Studio has no {response.request.url.path}: {said}")
        if status == 500:
            raise LabelStudioFailingError(f"Label Studio is failing (500 {said})")
        if status in RETRIED_STATUSES:
            raise LabelStudioUnreachableError(f"Label Studio is overloaded or failing ({status} {said})")
        raise LabelStudioRejectedError(
            f"Label Studio answered {response.request.method} {response.request.url.path}: {status} {said}"
        )

    def _said(self, response: httpx.Response) -> str:
        """Label Studio's own explanation, short, without our token or repeated items: they hold texts."""
        try:
            body = response.json()
        except ValueError:
            return response.reason_phrase
        reasons = body
        if isinstance(body, dict):
            reasons = body.get("validation_errors") or body.get("detail") or body
        if isinstance(reasons, dict):
            reasons = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        said = _ITEM.sub("{...}", str(reasons)).replace(self._api_key or "\0", "***")
        return said.rstrip(".")[:_MESSAGE_LENGTH]


def _date(response: httpx.Response) -> datetime | None:
    try:
        return parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None


def _origin(response: httpx.Response) -> str:
    target = urlsplit(urljoin(str(response.request.url), response.headers.get("location", "")))
    return f"{target.scheme}://{target.netloc}"
