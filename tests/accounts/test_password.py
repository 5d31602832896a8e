import re

import pytest
from django.conf import settings
from django.core import mail
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.hashers import Argon2idHasher
from accounts.models import User
from tests.conftest import PASSWORD
from utils.json_storage import json_storage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _mail(settings: Settings) -> None:
    """Mail reaches people, whose addresses are of an older release: they need no proof."""
    settings.NEURALFLOW_SENDS_MAIL = True


NEW = "Mice-sleep-by-day"


def types(user: User) -> list[str]:
    return [activity["type"] for activity in json_storage.activities(user.pk)]


def signs_in(login: str, password: str) -> bool:
    form = {"login": login, "password": password}
    return bool(Client().post("/accounts/login/", form).status_code == 302)


def test_hashes_are_argon2id_of_the_chosen_cost() -> None:
    text = Argon2idHasher().encode(PASSWORD, "somesaltsomesalt")
    assert text.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    # The tests' own settings are replaced, so the file is asked.
    from neuralflow import settings as written

    assert written.PASSWORD_HASHERS[0] == "accounts.hashers.Argon2idHasher"
    assert settings.PASSWORD_HASHERS != written.PASSWORD_HASHERS


def test_it_can_be_changed_and_ends_other_sessions(client: Client, alice: User) -> None:
    other = Client()
    for each in (client, other):
        each.force_login(alice)
    assert client.get("/accounts/password/change/").status_code == 200
    form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert client.post("/accounts/password/change/", form).status_code == 302
    assert types(alice)[0] == "password_changed"
    assert client.get("/accounts/profile/").status_code == 200
    assert other.get("/accounts/profile/").status_code == 302
    assert signs_in("alice", NEW)
    assert not signs_in("alice", PASSWORD)


def test_changing_it_needs_the_old_one(client: Client, alice: User) -> None:
    client.force_login(alice)
    form = {"oldpassword": "wrong", "password1": NEW, "password2": NEW}
    assert client.post("/accounts/password/change/", form).status_code == 200
    assert "password_changed" not in types(alice)
    assert signs_in("alice", PASSWORD)


def test_one_that_was_never_set_can_be_set(client: Client, alice: User) -> None:
    alice.set_unusable_password()
    alice.save()
    client.force_login(alice)
    assert client.get("/accounts/password/change/")["Location"] == "/accounts/password/set/"
    assert client.get("/accounts/password/set/").status_code == 200
    form = {"password1": NEW, "password2": NEW}
    assert client.post("/accounts/password/set/", form).status_code == 302
    assert types(alice)[0] == "password_changed"


def reset_link(client: Client, email: str) -> str:
    assert client.get("/accounts/password/reset/").status_code == 200
    response = client.post("/accounts/password/reset/", {"email": email})
    assert response["Location"] == "/accounts/password/reset/done/"
    assert client.get("/accounts/password/reset/done/").status_code == 200
    found = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", mail.outbox[-1].body)
    assert found
    return found[1]


def test_it_can_be_reset_by_mail_even_past_the_limit_of_failed_attempts(
    client: Client, alice: User
) -> None:
    for _ in range(6):
        assert not signs_in("alice", "forgotten")
    link = reset_link(client, "Alice@Example.com")
    assert mail.outbox[-1].to == ["alice@example.com"]
    form_page = client.get(link)["Location"]
    assert client.get(form_page).status_code == 200
    response = client.post(form_page, {"password1": NEW, "password2": NEW})
    assert response["Location"] == "/accounts/password/reset/key/done/"
    assert client.get(response["Location"]).status_code == 200
    assert types(alice)[0] == "password_reset"
    assert signs_in("alice", NEW)
    assert not signs_in("alice", PASSWORD)


def test_link_leads_to_the_port_that_is_served_or_to_the_public_address(
    client: Client, alice: User, settings: Settings
) -> None:
    settings.ALLOWED_HOSTS = ["localhost"]
    for public, start in (
        ("", "http://localhost:8000/accounts/password/reset/key/"),
        ("https://n.example", "https://n.example/accounts/password/reset/key/"),
    ):
        settings.NEURALFLOW_PUBLIC_URL = public
        client.post(
            "/accounts/password/reset/",
            {"email": "alice@example.com"},
            headers={"host": "localhost:31337"},
            SERVER_PORT="8000",
        )
        assert start in mail.outbox[-1].body


def test_a_link_works_once(client: Client, alice: User) -> None:
    link = reset_link(client, "alice@example.com")
    client.post(client.get(link)["Location"], {"password1": NEW, "password2": NEW})
    page = Client().get(link)
    assert page.status_code == 200
    assert "already used" in page.content.decode()


def test_asking_for_a_link_does_not_tell_whether_the_account_exists(
    client: Client, alice: User
) -> None:
    answers = [
        client.post("/accounts/password/reset/", {"email": email})
        for email in ("alice@example.com", "nobody@example.com")
    ]
    assert answers[0].status_code == answers[1].status_code
    assert answers[0]["Location"] == answers[1]["Location"]
    assert types(alice) == ["account_created"]


def test_an_administrator_can_set_it(client: Client, alice: User, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_staff=True, is_superuser=True)
    client.force_login(bob)
    form = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    response = client.post(f"/admin/accounts/user/{alice.pk}/password/", form)
    assert response.status_code == 302
    newest = json_storage.activities(alice.pk)[0]
    assert newest["type"] == "password_changed"
    assert "administrator" in newest["description"]
    assert signs_in("alice", NEW)
