"""Requests to Label Studio: what is repeated, what is not, and what a person is told."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from backend.adapters.label_studio import LabelStudioClient
from backend.adapters.label_studio_http import LabelStudioHttp
from backend.errors import (
    LabelStudioError,
    LabelStudioNotFoundError,
    LabelStudioRejectedError,
    LabelStudioUnauthorisedError,
    LabelStudioUnreachableError,
)
from backend.ports import NewPrediction

KEY = "a-secret-legacy-token"
PERSONAL = "a-secret.personal.token"
BASE = "http://studio.example/ls"
INNER = "http://127.0.0.1:8190"
PUBLIC = "http://public.example/ls"


class Studio:
    """Answers with what it is given, in turn, and remembers the requests and the waits."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.waits: list[float] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def http(self) -> LabelStudioHttp:
        transport = httpx.MockTransport(self.handle)
        return LabelStudioHttp(BASE, KEY, retries=2, transport=transport, sleep=self.waits.append)

    def client(self) -> LabelStudioClient:
        return LabelStudioClient(BASE, KEY, transport=httpx.MockTransport(self.handle))


def ok(body: object = None) -> httpx.Response:
    return httpx.Response(200, json={} if body is None else body)


def test_a_call_carries_the_token_and_keeps_the_path_of_the_address() -> None:
    studio = Studio(ok({"a": 1}))
    assert studio.http().call("GET", "api/x", params={"p": 1}) == {"a": 1}
    assert str(studio.requests[0].url) == f"{BASE}/api/x?p=1"
    assert studio.requests[0].headers["authorization"] == f"Token {KEY}"


@pytest.mark.parametrize("trouble", [httpx.Response(status) for status in (429, 500, 502, 503, 504)])
def test_a_repeatable_call_is_repeated_with_growing_waits(trouble: httpx.Response) -> None:
    studio = Studio(trouble, httpx.ReadTimeout("slow"), ok())
    studio.http().call("PATCH", "api/x", json={})
    first, second = studio.waits
    assert 0.4 <= first <= 0.6
    assert 0.8 <= second <= 1.2


def test_a_wait_that_label_studio_asks_for_is_kept() -> None:
    studio = Studio(httpx.Response(429, headers={"retry-after": "7"}), ok())
    studio.http().call("GET", "api/x")
    assert studio.waits == [7.0]


@pytest.mark.parametrize("trouble", [httpx.Response(503), httpx.ReadTimeout("slow")])
def test_a_post_is_not_repeated(trouble: httpx.Response | Exception) -> None:
    studio = Studio(trouble, ok())
    with pytest.raises(LabelStudioUnreachableError):
        studio.http().call("POST", "api/x", json={})
    assert len(studio.requests) == 1


def test_a_post_that_found_no_connection_is_repeated() -> None:
    studio = Studio(httpx.ConnectError("refused"), ok())
    studio.http().call("POST", "api/x", json={})
    assert len(studio.requests) == 2


def test_in_the_end_the_reason_is_told() -> None:
    studio = Studio(*[httpx.ConnectError("refused")] * 3)
    with pytest.raises(LabelStudioUnreachableError, match="LABEL_STUDIO_URL") as caught:
        studio.http().call("GET", "api/x")
    assert isinstance(caught.value.__cause__, httpx.ConnectError)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (
            httpx.Response(401, json={"detail": "Invalid token."}),
            LabelStudioUnauthorisedError,
            "legacy tokens",
        ),
        (
            httpx.Response(403, json={"detail": "No."}),
            LabelStudioUnauthorisedError,
            "does not allow this: No",
        ),
        (httpx.Response(404, json={"detail": "Not found."}), LabelStudioNotFoundError, "/api/x"),
        (
            httpx.Response(400, json={"validation_errors": {"score": ["bad"]}, "detail": "Validation error"}),
            LabelStudioRejectedError,
            "400 score: ['bad']",
        ),
        (
            httpx.Response(302, headers={"location": "https://new.example/a"}),
            LabelStudioRejectedError,
            "new.example",
        ),
        (httpx.Response(200, text="<html>"), LabelStudioRejectedError, "LABEL_STUDIO_URL"),
    ],
)
def test_refusals_are_told_apart(answer: httpx.Response, kind: type[LabelStudioError], words: str) -> None:
    with pytest.raises(kind) as caught:
        Studio(answer).http().call("GET", "api/x")
    assert words in str(caught.value)


def test_no_token_and_no_text_gets_into_a_message() -> None:
    echoed = f"{{'task': 1, 'result': [{{'text': 'a secret text'}}]}} is wrong, {KEY}"
    with pytest.raises(LabelStudioRejectedError) as caught:
        Studio(httpx.Response(400, json=[echoed])).http().call("POST", "api/x", json={})
    assert "secret" not in str(caught.value)
    assert "{...} is wrong, ***" in str(caught.value)
    assert KEY not in repr(Studio().client()) + repr(Studio().http())


class PersonalTokens:
    """A Label Studio whose access tokens are good for ``lifetime`` calls each."""

    def __init__(self, lifetime: int) -> None:
        self.lifetime = lifetime
        self.exchanged = 0
        self.calls: list[str] = []
        self._left = 0

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/ls/api/token/refresh/":
            assert json.loads(request.content) == {"refresh": PERSONAL}
            self.exchanged += 1
            self._left = self.lifetime
            return ok({"access": f"access-{self.exchanged}"})
        if request.headers["authorization"] != f"Bearer access-{self.exchanged}" or not self._left:
            return httpx.Response(401, json={"detail": "Token is expired"})
        self._left -= 1
        self.calls.append(request.method)
        return ok()


def test_a_personal_token_is_exchanged_and_renewed_when_it_ends() -> None:
    tokens = PersonalTokens(lifetime=2)
    http = LabelStudioHttp(BASE, PERSONAL, transport=httpx.MockTransport(tokens.handle))
    for method in ("GET", "GET", "POST", "GET", "POST"):
        http.call(method, "api/x")
    assert tokens.calls == ["GET", "GET", "POST", "GET", "POST"]
    assert tokens.exchanged == 3


def test_a_personal_token_that_never_serves_is_unauthorised() -> None:
    http = LabelStudioHttp(BASE, PERSONAL, transport=httpx.MockTransport(PersonalTokens(0).handle))
    with pytest.raises(LabelStudioUnauthorisedError, match="expired"):
        http.call("GET", "api/x")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(401, json={"detail": "revoked"}), LabelStudioUnauthorisedError),
        (httpx.Response(404, text="no such page"), LabelStudioUnauthorisedError),
        (httpx.Response(503), LabelStudioUnreachableError),
        (httpx.Response(200, text="<html>"), LabelStudioRejectedError),
        (httpx.Response(200, json=["access"]), LabelStudioRejectedError),
    ],
)
def test_a_personal_token_that_is_not_exchanged(answer: httpx.Response, kind: type[LabelStudioError]) -> None:
    http = LabelStudioHttp(BASE, PERSONAL, transport=httpx.MockTransport(lambda _: answer))
    with pytest.raises(kind) as caught:
        http.call("GET", "api/x")
    assert PERSONAL not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "/ls/data/upload/1/a.txt",
        f"{BASE}/tasks/3/resolve/?fileuri=abc",
    ],
)
def test_texts_of_label_studio_are_read(address: str) -> None:
    studio = Studio(httpx.Response(200, content="\ufeffnaïve".encode()))
    assert studio.http().text(address) == "naïve"


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://studio.example:81/ls/data/a",
        "https://studio.example/ls/data/a",
        "http://studio.example@evil.example/ls/data/a",
        "//evil.example/data/a",
        "file:///etc/passwd",
        "/ls/api/users/",
        "/ls/data/../api/users/",
        "/ls/data/%2e%2e/api/users/",
        "/ls/data/%252e%252e/api/users/",
        "/data/a",
        "s3://bucket/a",
    ],
)
def test_nothing_else_is_read_with_our_token(address: str) -> None:
    studio = Studio()
    with pytest.raises(LabelStudioRejectedError, match="lies outside"):
        studio.http().text(address)
    assert studio.requests == []


@pytest.mark.parametrize(
    ("base", "public", "address", "asked"),
    [
        (INNER, PUBLIC, f"{PUBLIC}/data/local-files/?d=files/a.txt", "/data/local-files/?d=files/a.txt"),
        (INNER, PUBLIC, "/ls/data/upload/1/a.txt", "/data/upload/1/a.txt"),
        (INNER, PUBLIC, "/data/upload/1/a.txt", "/data/upload/1/a.txt"),
        (INNER, PUBLIC, f"{INNER}/data/upload/1/a.txt", "/data/upload/1/a.txt"),
        (INNER, PUBLIC, f"{PUBLIC.replace('http:', 'https:')}/data/upload/1/a.txt", "/data/upload/1/a.txt"),
        (INNER, f"{PUBLIC}/", f"{PUBLIC.upper().replace('/LS', '/ls')}/data/a", "/data/a"),
        (INNER, "http://p.example:80", "http://P.example/data/a", "/data/a"),
        (
            INNER,
            "https://p.example",
            "https://p.example/tasks/3/resolve/?fileuri=x",
            "/tasks/3/resolve/?fileuri=x",
        ),
        (f"{INNER}/in", "http://p.example/out", "http://p.example/out/data/a", "/in/data/a"),
        (f"{INNER}/in", "http://p.example/out", "/out/data/a", "/in/data/a"),
        (f"{INNER}/in", "http://p.example/out", "/in/data/a", "/in/data/a"),
    ],
)
def test_texts_are_read_where_label_studio_is_reached_from_here(
    base: str, public: str, address: str, asked: str
) -> None:
    studio = Studio(httpx.Response(200, content=b"a"))
    transport = httpx.MockTransport(studio.handle)
    http = LabelStudioHttp(base, KEY, public_url=public, transport=transport)
    assert http.text(address) == "a"
    assert str(studio.requests[0].url) == INNER + asked


@pytest.mark.parametrize(
    "address",
    [
        "http://public.example/data/a",
        "http://public.example/lsx/data/a",
        "http://public.example:81/ls/data/a",
        "http://public.example/ls/api/users/",
        "http://public.example/ls/data/%252e%252e/api/users/",
        "//evil.example/ls/data/a",
        "ftp://public.example/ls/data/a",
    ],
)
def test_what_is_beside_the_public_address_is_not_read(address: str) -> None:
    studio = Studio()
    transport = httpx.MockTransport(studio.handle)
    with pytest.raises(LabelStudioRejectedError, match=r"lies outside .* and http://public\.example/ls"):
        LabelStudioHttp(INNER, KEY, public_url=PUBLIC, transport=transport).text(address)
    assert studio.requests == []


@pytest.mark.parametrize("key", ["“abc”", "abc def", "abc\n", "ключ", "a\x00"])
def test_a_key_that_cannot_be_sent_is_a_sentence(key: str) -> None:
    studio = Studio()
    http = LabelStudioHttp(BASE, key, transport=httpx.MockTransport(studio.handle))
    with pytest.raises(LabelStudioUnauthorisedError, match="LABEL_STUDIO_API_KEY has a character") as caught:
        http.call("GET", "api/x")
    assert key not in str(caught.value)
    assert studio.requests == []


class Endless(httpx.SyncByteStream):
    """A text without an end; ``given``: bytes that were taken of it."""

    given = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.given += 65536
            yield b"a" * 65536


def test_of_a_text_that_is_too_long_no_more_is_taken_in_than_may_be_read() -> None:
    body = Endless()
    with pytest.raises(LabelStudioRejectedError, match="longer than 5,000,000 bytes"):
        Studio(httpx.Response(200, stream=body)).http().text("/ls/data/a")
    assert body.given < 5_200_000


@pytest.mark.parametrize("content", [b"\xff\xfe\xfa", b"a" * 5_000_001])
def test_a_text_that_cannot_be_used_is_refused(content: bytes) -> None:
    with pytest.raises(LabelStudioRejectedError):
        Studio(httpx.Response(200, content=content)).http().text("/ls/data/a")


def test_a_redirect_of_a_text_is_not_followed() -> None:
    studio = Studio(httpx.Response(302, headers={"location": "http://169.254.169.254/"}))
    with pytest.raises(LabelStudioRejectedError):
        studio.http().text("/ls/data/a")
    assert len(studio.requests) == 1


def test_predictions_that_were_not_all_created_are_an_error() -> None:
    studio = Studio(httpx.Response(201, json={"created": 1}))
    with pytest.raises(LabelStudioRejectedError, match="1 of 2"):
        studio.client().import_predictions(1, "v", [NewPrediction(1, [], 0.1), NewPrediction(2, [], 2.0)])


def test_pages_go_on_after_the_last_id_and_report_progress() -> None:
    first = {"tasks": [{"id": 3, "data": {"t": "a"}}, {"id": 5, "data": {"t": "b"}}], "total": 3}
    second = {"tasks": [{"id": 9, "data": {"t": "c"}}], "total": 1}
    studio = Studio(ok(first), ok(second))
    seen: list[tuple[int, int]] = []
    tasks = studio.client().tasks(7, on_page=lambda done, total: seen.append((done, total)))
    assert [task.id for task in tasks] == [3, 5, 9]
    assert seen == [(2, 3), (3, 3)]
    query = json.loads(studio.requests[1].url.params["query"])
    assert query["filters"]["items"][0]["value"] == 5


def test_an_empty_project_has_no_tasks() -> None:
    assert list(Studio(ok({"tasks": [], "total": 0})).client().tasks(7)) == []


def test_an_address_that_label_studio_may_not_call_is_explained() -> None:
    refusal = {"detail": "URL resolves to a reserved network address (block: 10.0.0.0/8)"}
    studio = Studio(ok([]), httpx.Response(403, json=refusal))
    with pytest.raises(LabelStudioRejectedError, match="ML_BLOCK_LOCAL_IP=false"):
        studio.client().connect_backend(1, url="http://b", title="T", extra_params={}, auth=None)


def test_an_address_that_label_studio_takes_for_none_is_explained() -> None:
    studio = Studio(ok([]), httpx.Response(400, json={"url": ["Enter a valid URL."]}))
    with pytest.raises(LabelStudioRejectedError, match="without a dot in its name"):
        studio.client().secure_webhook(1, url="http://backend:9090/webhook", headers={})


def test_a_right_that_is_missing_stays_one() -> None:
    studio = Studio(ok([]), httpx.Response(403, json={"detail": "No permission."}))
    with pytest.raises(LabelStudioUnauthorisedError, match="No permission"):
        studio.client().secure_webhook(1, url="http://b/webhook", headers={})


# Its clock


@pytest.mark.parametrize(
    ("its_time", "asks_for_all"), [("10:00:00", False), ("09:59:58", False), ("09:00:00", True)]
)
def test_where_its_clock_was_set_back_no_change_is_missed(its_time: str, asks_for_all: bool) -> None:
    now = {"date": f"Sat, 28 Nov 2026 {its_time} GMT"}
    page = {"tasks": [], "total": 0}
    studio = Studio(httpx.Response(200, json={"release": "1"}, headers=now), *(ok(page) for _ in range(2)))
    client = studio.client()
    client.reachable(1.0)
    client.annotated_tasks(1, "2026-11-28T10:00:00.5Z")
    query = json.loads(studio.requests[1].url.params["query"])
    asked = {item["filter"] for item in query["filters"]["items"]}
    assert ("filter:tasks:updated_at" not in asked) == asks_for_all
