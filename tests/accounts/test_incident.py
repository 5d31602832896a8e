"""What a new password ends, and how people hear of it."""

import io
import os
import re
import sys
import time
from typing import Any
from unittest.mock import patch

import pytest
import time_machine
from django.core import mail
from django.core.management import call_command
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from accounts.tokens import create_token, live_token
from tests.accounts.test_mfa import code_of, turn_on
from tests.accounts.test_password import reset_link
from tests.conftest import PASSWORD
from utils.json_storage import json_storage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _mail(settings: Settings) -> None:
    """Mail reaches people, whose addresses are of an older release: they need no proof."""
    settings.NEURALFLOW_SENDS_MAIL = True


NEW = "Mice-sleep-by-day"


def signed_in(name: str = "alice") -> Client:
    client = Client()
    form = {"login": name, "password": PASSWORD}
    assert client.post("/accounts/login/", form).status_code == 302
    return client


def is_open(client: Client) -> bool:
    return client.get("/accounts/profile/").status_code == 200


def call(text: str) -> int:
    headers = {"authorization": f"Bearer {text}"}
    return int(Client(headers=headers).get("/accounts/api/tasks/").status_code)


def reset(client: Client) -> str:
    """Reset alice's password by mail, and return the page that follows."""
    form_page = client.get(reset_link(client, "alice@example.com"))["Location"]
    done = client.post(form_page, {"password1": NEW, "password2": NEW}, follow=True)
    return str(done.content.decode())


def change(client: Client, **form: str) -> str:
    fields = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW} | form
    return str(client.post("/accounts/password/change/", fields, follow=True).content.decode())


def test_reset_ends_tokens_and_sessions_and_says_so(client: Client, alice: User, bob: User) -> None:
    intruder = signed_in()
    stolen = [create_token(alice, name)[1] for name in ("Laptop", "")]
    of_bob = create_token(bob)[1]
    page = reset(client)
    assert [call(text) for text in (*stolen, of_bob)] == [401, 401, 200]
    assert not is_open(intruder)
    for text in (page, mail.outbox[-1].body):
        assert "1 other session was ended." in text
        assert re.search(r"2 API tokens were revoked: .*Laptop", text)
    assert mail.outbox[-1].to == ["alice@example.com"]
    assert "password/reset/key" not in mail.outbox[-1].body
    said = [a["description"] for a in json_storage.activities(alice.pk)[:6]]
    assert any("Revoked 2 API tokens" in text and "Laptop" in text for text in said)


@pytest.mark.parametrize("spared", [False, True])
def test_change_offers_to_revoke_tokens_ticked(alice: User, spared: bool) -> None:
    here, elsewhere = signed_in(), signed_in()
    text = create_token(alice, "Laptop")[1]
    page = here.get("/accounts/password/change/").content.decode()
    assert re.search(r'<input[^>]*name="revoke_tokens"[^>]*checked', page)
    assert not re.search(r"<li>\s*</li>", page)
    assert "Laptop" in page
    page = change(here, **({} if spared else {"revoke_tokens": "on"}))
    assert call(text) == (200 if spared else 401)
    assert [is_open(each) for each in (here, elsewhere)] == [True, False]
    still, gone = "This API token still works", "1 API token was revoked"
    expected = f"{still if spared else gone}: “Laptop”."
    for said in (page, mail.outbox[-1].body):
        assert expected in said
        assert "1 other session was ended." in said


def test_change_without_tokens_offers_nothing(alice: User) -> None:
    client = signed_in()
    assert "revoke_tokens" not in client.get("/accounts/password/change/").content.decode()
    assert "There was no API token to revoke." in change(client)


@pytest.mark.parametrize("way", ["administration", "command"])
def test_operator_setting_a_password_ends_tokens_too(alice: User, bob: User, way: str) -> None:
    text, intruder = create_token(alice)[1], signed_in()
    if way == "administration":
        User.objects.filter(pk=bob.pk).update(is_staff=True, is_superuser=True)
        operator = Client()
        operator.force_login(bob)
        form = {"password1": NEW, "password2": NEW, "usable_password": "true"}
        operator.post(f"/admin/accounts/user/{alice.pk}/password/", form)
        assert is_open(operator)
    else:
        with patch("getpass.getpass", lambda prompt: NEW):
            call_command("changepassword", "alice", stdout=io.StringIO())
    assert live_token(text) is None
    assert not is_open(intruder)
    assert Client().login(username="alice", password=NEW)


def test_better_hash_of_the_same_password_ends_nothing(alice: User, settings: Settings) -> None:
    text = create_token(alice)[1]
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    signed_in()
    assert User.objects.get(pk=alice.pk).password.startswith("pbkdf2")
    assert call(text) == 200


def test_log_in_that_waits_for_a_code_ends_with_the_password(client: Client, alice: User) -> None:
    secret, _codes = turn_on(Client(), alice)
    intruder = Client()
    asked = intruder.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
    assert asked["Location"] == "/accounts/2fa/authenticate/"
    assert "Two-factor authentication stays on" not in reset(client)
    assert "Two-factor authentication stays on" in mail.outbox[-1].body
    answer = intruder.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert answer["Location"] == "/accounts/login/"
    assert not is_open(intruder)
    page = intruder.get("/accounts/login/").content.decode()
    assert "Your password was changed meanwhile." in page


def test_link_is_valid_for_hours_and_the_mail_says_so(client: Client, alice: User) -> None:
    link = reset_link(client, "alice@example.com")
    assert "within 4 hours" in mail.outbox[-1].body
    for hours, is_valid in ((4, True), (4.1, False)):
        with time_machine.travel(time.time() + hours * 3600 - 10, tick=False):
            assert (Client().get(link).status_code == 302) is is_valid


def test_without_mail_no_link_is_made_and_the_page_names_the_command(
    client: Client, alice: User, settings: Settings, capfd: Any
) -> None:
    settings.NEURALFLOW_SENDS_MAIL = False
    page = client.get("/accounts/password/reset/")
    assert page.status_code == 200
    assert "manage.py changepassword NAME" in page.content.decode()
    assert client.post("/accounts/password/reset/", {"email": alice.email}).status_code == 409
    sys.stdout.flush()
    out, err = capfd.readouterr()
    assert "password/reset/key" not in out + err
    assert not mail.outbox


def test_by_default_mail_is_not_written_to_the_output() -> None:
    from neuralflow import settings as written

    assert os.environ.get("EMAIL_URL") is None
    assert written.EMAIL_BACKEND == "django.core.mail.backends.dummy.EmailBackend"
    assert not written.NEURALFLOW_SENDS_MAIL
