from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from tests.api.conftest import Caller
from utils.json_storage import json_storage

TASKS = "/accounts/api/tasks/"


@pytest.fixture
def browser(alice: Caller) -> Client:
    """A browser that has signed in, and is asked for the proof of origin like any other."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice.user)
    return client


def send(client: Client, **headers: str) -> int:
    answer = client.post(TASKS, {"title": "A"}, content_type="application/json", headers=headers)
    return answer.status_code


def test_it_works(alice: Caller) -> None:
    bearer = {"authorization": f"Bearer {alice.token}"}

    assert Client().get(TASKS, headers=bearer).status_code == 200
    assert send(Client(enforce_csrf_checks=True), **bearer) == 201


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "address", ["tasks/", "tasks/1/", "dashboard/", "tasks", "nothing/here/", "", "%00"]
)
def test_strangers_learn_nothing(method: str, address: str) -> None:
    answer = Client(enforce_csrf_checks=True).generic(method, f"/accounts/api/{address}")

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="NeuralFlow"'
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Cache-Control"] == "no-store"
    if method != "HEAD":
        assert answer.json()["type"] == "/problems/not-authenticated"


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer nf_guessed", "Basic YWxpY2U6cHc=", "nf_x", "Bearer \xff\xfe"],
)
def test_a_bad_token_never_falls_back_to_the_session(browser: Client, authorization: str) -> None:
    answer = browser.get(TASKS, HTTP_AUTHORIZATION=authorization)

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


def test_the_scheme_may_be_written_small(alice: Caller) -> None:
    headers = {"authorization": f"bearer {alice.token}"}

    assert Client().get(TASKS, headers=headers).status_code == 200


def test_a_session_reads(browser: Client) -> None:
    assert browser.get(TASKS).status_code == 200


def test_a_session_writes_with_the_csrf_token_only(browser: Client, alice: Caller) -> None:
    browser.cookies["csrftoken"] = "a" * 32

    assert send(browser) == 403
    assert send(browser, **{"x-csrftoken": "b" * 32}) == 403
    assert json_storage.list("tasks", alice.id) == []
    assert send(browser, **{"x-csrftoken": "a" * 32}) == 201


def test_a_strange_origin_is_refused_even_with_the_csrf_token(browser: Client) -> None:
    browser.cookies["csrftoken"] = "a" * 32
    headers = {"x-csrftoken": "a" * 32}

    assert send(browser, **headers, origin="http://evil.example") == 403
    assert send(browser, **headers, origin="http://testserver") == 201


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_the_refusal_is_a_problem(browser: Client, method: str) -> None:
    answer = browser.generic(method, TASKS, "{}", "application/json")

    assert answer.status_code == 403
    problem = answer.json()
    assert problem["type"] == "/problems/csrf-failed"
    assert "X-CSRFToken" in problem["detail"]


def test_a_form_is_not_read_in_search_of_the_csrf_token(browser: Client) -> None:
    browser.cookies["csrftoken"] = "a" * 32

    assert browser.post(TASKS, {"csrfmiddlewaretoken": "a" * 32}).status_code == 403


def test_inactive_people_are_strangers(alice: Caller, browser: Client) -> None:
    alice.user.is_active = False
    alice.user.save()

    assert alice.get("tasks/").status_code == 401
    assert browser.get(TASKS).status_code == 401


def test_people_are_kept_apart_by_token(alice: Caller, charlie: Caller) -> None:
    alice.post("tasks/", {"title": "Alice's"})

    assert charlie.get("tasks/").json()["total"] == 0


def test_call_with_a_token_looks_up_nothing_but_the_token(
    alice: Caller, charlie: Caller, browser: Client, django_assert_num_queries: Any
) -> None:
    """A session that comes along costs nothing and says nothing, even where it is another's."""
    charlie.post("tasks/", {"title": "Charlie's"})
    bearer = {"authorization": f"Bearer {charlie.token}"}
    browser.get(TASKS, headers=bearer)  # notes the time of its use, once a minute
    with django_assert_num_queries(1):
        answer = browser.get(TASKS, headers=bearer)
    assert [task["title"] for task in answer.json()["tasks"]] == ["Charlie's"]
    assert int(answer["Content-Length"]) == len(answer.content)
    assert answer["Vary"] == "Authorization, Cookie" and not answer.cookies


def test_address_without_its_slash_is_told_so_with_a_token_too(alice: Caller) -> None:
    assert alice.get("tasks").headers["Location"] == TASKS
    assert alice.get("docs/").status_code == 200
    assert alice.get("nothing/").status_code == 404


def test_call_without_tls_is_refused_where_there_is_tls(alice: Caller, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    bearer = {"authorization": f"Bearer {alice.token}"}
    for address in (TASKS, "/accounts/api/nothing/", "/accounts/api/openapi.json"):
        answer = Client().get(address, headers=bearer)
        assert answer.status_code == 403
        assert answer.json()["type"] == "/problems/plain-http"
        assert "revoke the token" in answer.json()["detail"]
    assert Client().get(TASKS, headers=bearer, secure=True).status_code == 200
    for page in ("/accounts/api/docs/", "/accounts/login/"):
        answer = Client().get(page)
        assert answer.status_code == 301
        assert answer["Location"] == f"https://testserver{page}"
