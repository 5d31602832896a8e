"""Rows of docs/security.md that no other test is about."""

import re
import time
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.test import Client

from accounts.models import ApiToken, User
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)


def page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return str(answer.content.decode())


def test_new_installation_has_no_account_and_no_token() -> None:
    assert not User.objects.exists()
    assert not ApiToken.objects.exists()


def test_sign_up_asks_no_secret_question(client: Client) -> None:
    names = set(
        re.findall(
            r'<(?:input|textarea|select)[^>]* name="([^"]+)"', page(client, "/accounts/signup/")
        )
    )
    assert names - {"language", "next", "csrfmiddlewaretoken"} == {
        "username",
        "email",
        "password1",
        "password2",
    }


def test_passwords_are_masked_and_left_to_password_managers(client: Client, alice: User) -> None:
    found = 0
    client.force_login(alice)
    for who, address in (
        (Client(), "/accounts/login/"),
        (Client(), "/accounts/signup/"),
        (client, "/accounts/password/change/"),
        (client, "/accounts/reauthenticate/"),
        (client, "/accounts/delete/"),
    ):
        for field in re.findall(
            r'<input[^>]* name="[a-z]*password[0-9]?"[^>]*>', page(who, address)
        ):
            assert 'type="password"' in field
            assert re.search(r'autocomplete="(current|new)-password"', field)
            assert "onpaste" not in field
            found += 1
    assert found == 8


def test_password_is_never_too_old(alice: User) -> None:
    with time_machine.travel(time.time() + 20 * 365 * 86_400, tick=False):
        client = Client()
        answer = client.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
        assert answer["Location"] == "/dashboard/"
        assert client.get("/dashboard/").status_code == 200


def test_password_is_compared_as_it_is(alice: User) -> None:
    for other in (PASSWORD.lower(), f"{PASSWORD} ", f" {PASSWORD}", PASSWORD[:-1]):
        answer = Client().post("/accounts/login/", {"login": "alice", "password": other})
        assert answer.status_code == 200


@pytest.mark.parametrize("field", ["username", "email"])
def test_no_line_of_a_mail_comes_from_input(client: Client, field: str) -> None:
    form = {"username": "dora", "email": "dora@example.com"} | {
        field: {"username": "dora\nBcc: x@example.com", "email": "dora@example.com\nBcc: x"}[field]
    }
    answer = client.post("/accounts/signup/", form | {"password1": PASSWORD, "password2": PASSWORD})
    assert answer.status_code == 200
    client.post("/accounts/password/reset/", {"email": "a@example.com\r\nBcc: x@example.com"})
    assert not User.objects.exists()
    assert not mail.outbox


def test_every_page_of_somebody_signed_in_has_the_way_out(client: Client, alice: User) -> None:
    client.force_login(alice)
    for address in ("/dashboard/", "/tasks/", "/projects/", "/models/", "/accounts/profile/"):
        assert "/accounts/logout/" in page(client, address)


def test_log_has_each_proof_and_code_that_was_wrong(alice: User, caplog: Any) -> None:
    client = Client()
    client.force_login(alice)
    client.post("/accounts/reauthenticate/", {"password": "wrong-and-secret"})
    assert "A sign-in failed from 127.0.0.1" in caplog.text
    assert "wrong-and-secret" not in caplog.text
