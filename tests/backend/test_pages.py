"""The pages and who may see them, over projects that the use cases have brought up on a real Redis."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from itsdangerous import URLSafeTimedSerializer
from projects import PROJECT, AnyLabelStudio, FullModel, connected, gold, make_tools, settle, spot_fruits
from redis.exceptions import ConnectionError as RedisConnectionError

from backend.adapters.store import Store
from backend.app import create_app
from backend.pages.sessions import COOKIE
from backend.pages.words import errors_in_words, in_ten
from backend.settings import read_settings
from backend.throttle import ATTEMPTS
from backend.usecases.tools import Secrets, Tools
from fakes import LABEL_CONFIG
from stored import everything_in

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script> pear"
FORMULA = '=HYPERLINK("http://evil.example") apple'
LOGIN = {"BASIC_AUTH_USER": "ann", "BASIC_AUTH_PASS": "päss"}
PAGES = ("", "/queue", "/tasks/1", "/map", "/consistency", "/review", "/finish")


@pytest.fixture
def tools(store: Store) -> Tools:
    tasks = {n: {"text": f"pear {n} with an apple of tree {n % 7}"} for n in range(3, 13)}
    label_studio = AnyLabelStudio({1: {"text": HOSTILE}, 2: {"text": FORMULA}, **tasks})
    label_studio.known = replace(label_studio.known, title="<b>Fruit</b>")
    return connected(make_tools(store, label_studio, FullModel(spot_fruits), k=2, window=12))


def visitor(tools: Tools, base_url: str = "http://backend", **environment: str) -> TestClient:
    app = create_app(read_settings({"ALLOWED_HOSTS": "backend", **environment}), tools)
    return TestClient(app, base_url=base_url, follow_redirects=False)


@pytest.fixture
def client(tools: Tools) -> Iterator[TestClient]:
    with visitor(tools) as client:
        yield client


@pytest.fixture
def guarded(tools: Tools) -> Iterator[TestClient]:
    with visitor(tools, **LOGIN) as client:
        yield client


def token(page: Response) -> str:
    found = re.search(r'name="token" value="([0-9a-f]+)"', page.text)
    assert found
    return found[1]


def sign_in(client: TestClient, password: str = "päss", wanted: str = "/projects") -> Response:
    page = client.get("/login", params={"next": wanted})
    fields = {"token": token(page), "next": wanted, "user": "ann", "password": password}
    return client.post("/login", data=fields)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_html_without_inline_code_and_shows_texts_as_text(
    client: TestClient, tools: Tools, page: str
) -> None:
    answer = client.get(f"/projects/1{page}")
    assert answer.status_code == 200
    assert "<b>Fruit</b>" not in answer.text
    assert "&lt;b&gt;Fruit&lt;/b&gt;" in answer.text
    assert "<script>" not in answer.text
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", answer.text)
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_hostile_texts_are_shown_as_they_are(client: TestClient) -> None:
    queue = client.get("/projects/1/queue").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; " in queue
    assert "<script>alert" not in queue
    assert "=HYPERLINK(&#34;http://evil.example&#34;) " in queue
    assert "&lt;script&gt;" in client.get("/projects/1/tasks/1").text


def test_the_list_and_the_project_show_the_figures_of_the_api(client: TestClient, tools: Tools) -> None:
    label_studio = tools.label_studio
    assert isinstance(label_studio, AnyLabelStudio)
    text = label_studio.data[3]["text"]
    label_studio.annotate(3, gold(label_studio, text, ("pear", "Fruit")))
    tools.store.mark_dirty(PROJECT, "annotations")
    settle(tools)
    shown = client.get("/api/projects/1").json()
    page = client.get("/projects/1").text
    assert f"<b>{shown['annotated']}</b> of {shown['budget']} texts annotated" in page
    assert shown["advice"]["sentence"] in page
    for stage in shown["stages"]:
        row = re.search(rf'<th scope="row">{stage["name"]}</th>(.*?)</tr>', page)
        assert row
        assert re.findall(r'class="n">([\d,]+)<', row[1]) == [
            str(stage[part]) for part in ("done", "in_window", "to_come")
        ]
    assert f"<b>{shown['annotated']}</b> of {shown['budget']} annotated" in client.get("/projects").text


def test_the_queue_says_why_and_links_into_label_studio(client: TestClient) -> None:
    page = client.get("/projects/1/queue").text
    first = client.get("/api/projects/1/queue").json()[0]
    assert first["reason"] in page
    assert f'href="{first["url"]}"' in page


def test_a_page_that_has_not_changed_is_not_sent_again(client: TestClient, store: Store) -> None:
    first = client.get("/projects/1/review")
    again = client.get("/projects/1/review", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    store.set_facts(PROJECT, title="Another")
    assert (
        client.get("/projects/1/review", headers={"If-None-Match": first.headers["ETag"]}).status_code == 200
    )


@pytest.mark.parametrize("path", ["/projects/2", "/projects/x", "/projects/1/tasks/99", "/projects/2/map"])
def test_what_is_not_there_is_a_page_too(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "<h1>No such page</h1>" in answer.text


def test_without_redis_the_page_says_so(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> list[int]:
        raise RedisConnectionError

    monkeypatch.setattr(Store, "projects", gone)
    answer = client.get("/projects")
    assert answer.status_code == 503
    assert "Redis does not answer" in answer.text


def test_browsers_are_led_from_the_root_to_the_projects(client: TestClient) -> None:
    browser = client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (browser.status_code, browser.headers["location"]) == (303, "/projects")
    assert client.get("/", headers={"Accept": "*/*"}).json()["status"] == "UP"


def test_static_files_may_be_kept_by_browsers(client: TestClient) -> None:
    page = client.get("/projects").text
    [style] = re.findall(r'href="(/static/pages\.css\?v=\w+)"', page)
    answer = client.get(style)
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get("/static/../routes.py").status_code == 404


# Signing in


def test_pages_lead_to_the_login_and_from_there_to_where_one_wanted_to_go(guarded: TestClient) -> None:
    answer = guarded.get("/projects/1/queue")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/projects/1/queue")
    assert sign_in(guarded, wanted="/projects/1/queue").headers["location"] == "/projects/1/queue"
    assert guarded.get("/projects/1/queue").status_code == 200


def test_a_wrong_password_does_not_sign_in(guarded: TestClient) -> None:
    answer = sign_in(guarded, "wrong")
    assert answer.status_code == 403
    assert "The name or the password is wrong." in answer.text
    assert guarded.get("/projects").status_code == 303


def test_passwords_cannot_be_guessed_fast(guarded: TestClient) -> None:
    assert [sign_in(guarded, "wrong").status_code for _ in range(ATTEMPTS)] == [403] * ATTEMPTS
    assert sign_in(guarded).status_code == 429
    assert guarded.get("/projects").status_code == 303


def test_a_right_password_clears_the_count(guarded: TestClient) -> None:
    for _ in range(ATTEMPTS - 1):
        sign_in(guarded, "wrong")
    assert sign_in(guarded).status_code == 303
    assert sign_in(guarded, "wrong").status_code == 403


@pytest.mark.parametrize(
    "wanted", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:1"]
)
def test_signing_in_leads_to_no_other_site(guarded: TestClient, wanted: str) -> None:
    assert sign_in(guarded, wanted=wanted).headers["location"] == "/projects"


def test_signing_out_ends_it(guarded: TestClient) -> None:
    sign_in(guarded)
    page = guarded.get("/projects")
    assert "Sign out" in page.text
    assert guarded.post("/logout", data={"token": token(page)}).status_code == 303
    assert guarded.get("/projects").status_code == 303


def test_a_signed_out_cookie_is_worth_nothing_whoever_has_it(guarded: TestClient, tools: Tools) -> None:
    sign_in(guarded)
    cookie = guarded.cookies[COOKIE]
    with visitor(tools, **LOGIN) as thief:
        thief.cookies.set(COOKIE, cookie)
        assert thief.get("/projects").status_code == 200
        assert guarded.post("/logout", data={"token": token(guarded.get("/projects"))}).status_code == 303
        assert thief.get("/projects").status_code == 303


def test_a_browser_that_was_signed_in_before_is_locked_out_by_nobody_else(
    guarded: TestClient, tools: Tools
) -> None:
    sign_in(guarded)
    guarded.cookies.delete(COOKIE)
    with visitor(tools, **LOGIN) as guesser:
        for _ in range(2 * ATTEMPTS):
            sign_in(guesser, "wrong")
        assert sign_in(guesser).status_code == 429
    assert sign_in(guarded).status_code == 303
    guarded.cookies.delete(COOKIE)
    for _ in range(ATTEMPTS):
        sign_in(guarded, "wrong")
    assert sign_in(guarded).status_code == 429


def test_the_session_key_follows_from_nothing_that_others_know(guarded: TestClient, tools: Tools) -> None:
    sign_in(guarded)
    cookie = guarded.cookies[COOKIE]
    other = replace(tools, secrets=Secrets(tools.secrets.webhook, lambda: "another key"))
    with visitor(other, **LOGIN) as client:
        client.cookies.set(COOKIE, cookie)
        assert client.get("/projects").status_code == 303


def test_redis_holds_no_session_s_identity(guarded: TestClient, store: Store) -> None:
    sign_in(guarded)
    cookie = guarded.cookies[COOKIE]
    assert b"allabel:session:" in everything_in(store.redis)
    identity = URLSafeTimedSerializer("key", salt="allabel session").loads(cookie)[0]
    assert identity.encode() not in everything_in(store.redis)


@pytest.mark.parametrize(("base_url", "secure"), [("http://backend", False), ("https://backend", True)])
def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    tools: Tools, base_url: str, secure: bool
) -> None:
    with visitor(tools, base_url, **LOGIN) as client:
        cookie = sign_in(client).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert ("secure" in cookie) == secure


def test_a_new_password_signs_everybody_out(guarded: TestClient, tools: Tools) -> None:
    sign_in(guarded)
    cookie = guarded.cookies[COOKIE]
    for password, status in (("päss", 200), ("other", 303)):
        with visitor(tools, **LOGIN | {"BASIC_AUTH_PASS": password}) as client:
            client.cookies.set(COOKIE, cookie)
            assert client.get("/projects").status_code == status


@pytest.mark.parametrize("forged", ["", "x", "WyJpZCIsImFubiJd.aaaa.bbbb"])
def test_a_forged_cookie_is_none(guarded: TestClient, forged: str) -> None:
    guarded.cookies.set(COOKIE, forged)
    assert guarded.get("/projects").status_code == 303


def test_signing_in_changes_the_session(guarded: TestClient) -> None:
    before = token(guarded.get("/login"))
    sign_in(guarded)
    assert token(guarded.get("/projects")) != before


def test_scripts_may_use_basic_auth(guarded: TestClient) -> None:
    assert guarded.get("/projects", auth=(b"ann", "päss".encode())).status_code == 200
    assert guarded.get("/projects", auth=("ann", "wrong")).status_code == 303


# Buttons


def test_a_button_does_what_it_says(client: TestClient, store: Store) -> None:
    page = client.get("/projects/1")
    assert store.dirty(PROJECT)[0] == set()
    answer = client.post("/projects/1/rerank", data={"token": token(page)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/projects/1")
    assert store.dirty(PROJECT)[0] == {"setup", "tasks"}


def test_labelling_the_rest_asks_first(client: TestClient, store: Store) -> None:
    page = client.get("/projects/1/finish")
    assert "Label the rest?" in page.text
    assert store.fact(PROJECT, "finishing") is None
    client.post("/projects/1/finish", data={"token": token(page)})
    assert store.fact(PROJECT, "finishing") == "1"


def test_labelling_the_rest_can_be_left_off(client: TestClient, store: Store) -> None:
    page = client.get("/projects/1")
    client.post("/projects/1/finish", data={"token": token(page)})
    store.set_facts(PROJECT, state="finishing")
    page = client.get("/projects/1")
    assert page.text.count("Leave off labelling") == 2
    assert "Label the rest …" not in page.text
    answer = client.post("/projects/1/finish/cancel", data={"token": token(page)})
    assert answer.headers["location"] == "/projects/1"
    assert not store.fact(PROJECT, "finishing")


def test_twenty_more_raises_the_budget_there_and_then(client: TestClient, store: Store) -> None:
    store.set_facts(PROJECT, tasks=100, budget=10, annotated=12)
    form = {"token": token(client.get("/projects/1"))}
    answer = client.post("/projects/1/budget/raise", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/projects/1")
    assert store.settings(PROJECT).budget == "32"
    assert "tasks" in store.dirty(PROJECT)[0]
    store.set_facts(PROJECT, budget=100)
    refused = client.post("/projects/1/budget/raise", data=form)
    assert "All 100 texts are annotated or in the budget already." in refused.text


@pytest.mark.parametrize(
    "path",
    [
        "/projects/1/rerank",
        "/projects/1/finish",
        "/projects/1/finish/cancel",
        "/projects/1/budget/raise",
        "/logout",
    ],
)
def test_forms_of_others_do_nothing(client: TestClient, tools: Tools, store: Store, path: str) -> None:
    page = client.get("/projects/1")
    with visitor(tools) as other:
        foreign = token(other.get("/projects/1"))
    attempts = [
        client.post(path),
        client.post(path, data={"token": foreign}),
        client.post(path, data={"token": "ä"}),
        client.post(path, data={"token": token(page), **{str(n): "x" for n in range(20)}}),
        client.post(path, data={"token": token(page)}, headers={"Sec-Fetch-Site": "cross-site"}),
        client.post(path, data={"token": token(page)}, headers={"Sec-Fetch-Site": "same-site"}),
    ]
    assert [answer.status_code for answer in attempts] == [403] * len(attempts)
    assert store.dirty(PROJECT)[0] == set()
    assert client.get(path).status_code in (200, 404, 405)
    assert store.dirty(PROJECT)[0] == set()


def test_buttons_need_a_signed_in_visitor(guarded: TestClient, store: Store) -> None:
    anonymous = token(guarded.get("/login"))
    answer = guarded.post("/projects/1/rerank", data={"token": anonymous})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/projects")
    assert store.dirty(PROJECT)[0] == set()


# What pages are to help with


def test_a_refused_connection_is_told_with_its_reason_and_leaves_no_trace(
    client: TestClient, store: Store
) -> None:
    body = {"project": "77", "schema": LABEL_CONFIG, "extra_params": '{"budgett": "10%"}'}
    assert client.post("/setup", json=body).status_code == 422
    assert not store.knows(77)
    page = client.get("/projects").text
    assert "Connection refused" in page
    assert "Unknown setting &#39;budgett&#39;" in page
    assert client.post("/setup", json=body | {"extra_params": '{"budget": "10%"}'}).status_code == 200
    assert "Connection refused" not in client.get("/projects").text


def test_projects_with_the_same_title_are_told_apart(client: TestClient, store: Store) -> None:
    store.add_project(2)
    for project_id in (PROJECT, 2):
        store.set_facts(project_id, title="Notes", state="ready")
    page = client.get("/projects").text
    assert page.count(">Notes</a>") == 2
    assert "project 1</small>" in page
    assert "project 2</small>" in page
    assert "project 2</small>" in client.get("/projects/2").text


@pytest.mark.parametrize("path", ["/project/1", "/projects/1/nothing", "/favicon.ico"])
def test_an_unknown_address_is_a_page_for_browsers(client: TestClient, path: str) -> None:
    page = client.get(path, headers={"Accept": "text/html,*/*"})
    assert page.status_code == 404
    assert "No such page" in page.text
    assert 'href="/projects"' in page.text
    assert client.get(path, headers={"Accept": "application/json"}).json() == {"detail": "Not Found"}


def test_the_queue_shows_suggestions_and_examples_with_their_entities(
    client: TestClient, tools: Tools
) -> None:
    page = client.get("/projects/1/queue").text
    assert re.search(
        r'<mark class="kept"><span class="words">apple</span><span class="label">Fruit</span>', page
    )


def test_precision_and_recall_in_words() -> None:
    assert in_ten(0.62, 0.5) == "of 10 marks it makes, 6 are right; of 10 that belong, 5 are found"
    assert in_ten(0.1, 1.0) == "of 10 marks it makes, 1 is right; of 10 that belong, 10 are found"


def test_expected_errors_in_words() -> None:
    assert errors_in_words(0.1, 0.9) == "probably all right"
    assert errors_in_words(0.8, 0.4) == "perhaps a mark wrong or missing"
    assert errors_in_words(2.6, 0.05) == "about 3 marks wrong or missing"
