"""An address is a name only when proved: sign-up, log-in, new passwords, and who loses it."""

import importlib
import re
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.core import mail
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from accounts import guards
from accounts.models import User
from accounts.names import EmailStatus
from accounts.throttle import Limit
from tests.conftest import PASSWORD, prove_who_asks
from tests.web.pages import text_of
from utils.json_storage import json_storage
from workspace.users.document import person_named

pytestmark = pytest.mark.django_db(transaction=True)

BOSS = "boss@corp.example"
VERIFY = "/accounts/verify/"


def sign_up(client: Client, name: str, address: str = BOSS) -> Any:
    form = {"username": name, "email": address, "password1": PASSWORD, "password2": PASSWORD}
    return client.post("/accounts/signup/", form)


def log_in(client: Client, login: str) -> str:
    """Return where a log-in leads; "" if it is refused."""
    answer = client.post("/accounts/login/", {"login": login, "password": PASSWORD})
    return answer["Location"] if answer.status_code == 302 else ""


def code_in(message: mail.EmailMessage) -> str:
    found = re.search(r"^    (\S+)$", str(message.body), re.MULTILINE)
    assert found, message.body
    return found[1]


def enter(client: Client, code: str) -> Any:
    return client.post(VERIFY, {"code": code})


def kinds(user: User) -> list[str]:
    return [activity["type"] for activity in json_storage.activities(user.pk)]


def test_account_opens_once_its_address_is_proved(client: Client, sends_mail: None) -> None:
    assert sign_up(client, "boss")["Location"] == VERIFY
    assert client.get("/dashboard/").status_code == 302
    other = Client()
    assert log_in(other, "boss") == VERIFY and other.get("/dashboard/").status_code == 302
    assert person_named(BOSS) is None and log_in(Client(), BOSS) == ""
    assert "incorrect" in text_of(enter(client, "WRONG1")).lower()
    assert enter(client, code_in(mail.outbox[0]))["Location"] == "/dashboard/"
    assert client.get("/dashboard/").status_code == 200
    user = User.objects.get(username="boss")
    assert person_named(BOSS) == (user.pk, "boss")
    assert log_in(Client(), BOSS) == "/dashboard/"
    assert "address_proved" in kinds(user)


def test_sign_up_answers_the_same_for_known_and_unknown_addresses(
    alice: User, sends_mail: None, settings: Settings
) -> None:
    pages = []
    for name, address in (("one", "alice@example.com"), ("two", "nobody@example.com")):
        client = Client()
        answer = sign_up(client, name, address)
        assert answer["Location"] == VERIFY
        pages.append(text_of(client.get(VERIFY)).replace(address, "").replace(name, ""))
        client.post(VERIFY, {"action": "resend"})
        pages.append(text_of(client.get(VERIFY)).replace(address, "").replace(name, ""))
        assert User.objects.filter(username=name).exists()  # the name is gone in both cases
    assert pages[:2] == pages[2:]
    to_alice = [message for message in mail.outbox if message.to == ["alice@example.com"]]
    assert [str(message.subject) for message in to_alice] == [
        "[NeuralFlow] You have an account already"
    ] * 2
    assert not [message for message in to_alice if re.search(r"^    [A-Z0-9-]+$", message.body, 8)]


def test_sign_up_without_mail_takes_any_address_and_gives_it_no_power(
    client: Client, alice: User
) -> None:
    assert sign_up(client, "squatter", "alice@example.com")["Location"] == "/dashboard/"
    assert person_named("alice@example.com") == (alice.pk, "alice")
    sign_up(Client(), "text", BOSS)
    assert person_named(BOSS) is None
    assert log_in(Client(), BOSS) == "" and log_in(Client(), "text") == "/dashboard/"
    client.post("/accounts/password/reset/", {"email": BOSS})
    assert not [message for message in mail.outbox if "password/reset/key" in message.body]
    assert client.get(VERIFY).status_code == 404


def test_verified_address_is_removed_from_unverified_account(
    client: Client, sends_mail: None
) -> None:
    squatter = User.objects.create_user("squatter", BOSS, PASSWORD)
    User.objects.filter(pk=squatter.pk).update(email_status=EmailStatus.LEGACY)
    EmailAddress.objects.create(user=squatter, email=BOSS, primary=True)
    assert log_in(Client(), BOSS) == "/dashboard/"
    assert sign_up(client, "boss")["Location"] == VERIFY
    enter(client, code_in(mail.outbox[-1]))
    squatter.refresh_from_db()
    assert (squatter.email, squatter.email_status) == ("", EmailStatus.CONTACT)
    assert not EmailAddress.objects.filter(user=squatter).exists()
    document = json_storage.get_user_data(squatter.pk)
    assert document is not None and document["email"] == ""
    assert "address_lost" in kinds(squatter)
    browser = Client()
    assert log_in(browser, BOSS) == "/dashboard/"
    assert browser.session["_auth_user_id"] == str(User.objects.get(username="boss").pk)
    assert log_in(Client(), "squatter") == "/dashboard/"


def test_code_of_a_proved_address_works_for_nobody_else(
    client: Client, alice: User, bob: User, sends_mail: None
) -> None:
    client.force_login(bob)
    prove_who_asks(client)
    page = client.get("/accounts/profile/")
    form = {name: value for name, value in page.context["form"].initial.items() if value}
    form |= {"email": "alice@example.com", "experience_years": 3}
    form = {key: ", ".join(v) if isinstance(v, list) else v for key, v in form.items()}
    assert client.post("/accounts/profile/", form)["Location"] == VERIFY
    assert mail.outbox[-1].subject == "[NeuralFlow] You have an account already"
    code = client.session["account_email_verification_code"]["code"]
    assert enter(client, code).status_code == 200
    bob.refresh_from_db()
    assert bob.email == "bob@example.com"
    assert person_named("alice@example.com") == (alice.pk, "alice")


def test_new_address_in_the_profile_counts_once_it_is_proved(
    client: Client, bob: User, sends_mail: None
) -> None:
    client.force_login(bob)
    prove_who_asks(client)
    form = {"user_type": "individual", "skill_level": "beginner", "experience_years": "3"}
    answer = client.post("/accounts/profile/", form | {"email": BOSS, "bio": "New"})
    assert answer["Location"] == VERIFY
    bob.refresh_from_db()
    assert (bob.email, bob.bio) == ("bob@example.com", "New")
    assert enter(client, code_in(mail.outbox[-1]))["Location"] == "/accounts/profile/"
    bob.refresh_from_db()
    assert bob.email == BOSS and person_named(BOSS) == (bob.pk, "bob")
    assert person_named("bob@example.com") is None and log_in(Client(), "bob@example.com") == ""


def test_account_made_without_mail_proves_its_address_from_the_profile(
    client: Client, sends_mail: None
) -> None:
    user = User.objects.create_user("early", BOSS, PASSWORD)
    assert log_in(client, "early") == "/dashboard/"
    assert "is not confirmed" in text_of(client.get("/accounts/profile/"))
    assert client.post("/accounts/profile/prove/")["Location"] == VERIFY
    enter(client, code_in(mail.outbox[-1]))
    assert person_named(BOSS) == (user.pk, "early")
    assert "is not confirmed" not in text_of(client.get("/accounts/profile/"))


def test_accounts_of_an_older_release_log_in_and_reset_by_their_address(
    client: Client, sends_mail: None
) -> None:
    user = User.objects.create_user("old", BOSS, PASSWORD)
    migration = importlib.import_module("accounts.migrations.0007_proved_addresses")
    migration.keep_log_in_by_address(apps, SimpleNamespace(connection=connection))
    assert log_in(Client(), BOSS) == "/dashboard/"
    assert person_named(BOSS) is None  # an invitation waits for the proof
    client.post("/accounts/password/reset/", {"email": BOSS})
    link = re.search(r"http://testserver(/\S+/key/\S+)", mail.outbox[-1].body)
    assert link
    form = client.get(link[1])["Location"]
    client.post(form, {"password1": "Mice-sleep-by-day", "password2": "Mice-sleep-by-day"})
    assert person_named(BOSS) == (user.pk, "old")  # the link proved it


def test_link_goes_to_no_address_that_only_looks_like_the_proved_one(
    alice: User, sends_mail: None
) -> None:
    # PostgreSQL takes the dotless i of another domain for an i where it ignores case.
    User.objects.create_user("old", "old@imail.example", email_status=EmailStatus.LEGACY)
    proved = EmailAddress(user=alice, email="boss@imail.example", verified=True)
    proved.save()

    def like(pattern: str, text: str | None, _escape: str) -> bool:
        return text is not None and pattern.upper() == text.upper()

    connection.ensure_connection()
    connection.connection.create_function("like", 3, like)
    try:
        for name in ("boss", "old"):
            address = f"{name}@\u0131mail.example"
            Client().post("/accounts/password/reset/", {"email": address})
            assert not User.objects.meant_by(address).exists()
    finally:
        connection.close()
    assert [message.subject for message in mail.outbox] == [
        "[NeuralFlow] No account with this address"
    ] * 2


def test_mails_that_strangers_cause_are_bounded_for_each_address(
    alice: User, sends_mail: None
) -> None:
    for number in range(4):
        client = Client(REMOTE_ADDR=f"10.0.{number}.1")
        for address in ("nobody@example.com", "other@example.com"):
            client.post("/accounts/password/reset/", {"email": address})
    to = [message.to[0] for message in mail.outbox]
    assert (to.count("nobody@example.com"), to.count("other@example.com")) == (2, 2)


def test_mails_to_many_addresses_are_bounded_for_each_network(
    alice: User, sends_mail: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "UNASKED_MAILS_FROM", Limit("unasked mail from", 3, 3600))
    for number in range(5):
        form = {"email": f"nobody{number}@example.com"}
        answer = Client(REMOTE_ADDR="10.0.0.1").post("/accounts/password/reset/", form)
        assert answer["Location"] == "/accounts/password/reset/done/"  # alike, sent or not
    assert len(mail.outbox) == 3


def test_codes_are_bounded_for_each_account_and_each_address(
    client: Client, bob: User, sends_mail: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "CODE_MAILS", Limit("code mail", 3, 86_400))
    monkeypatch.setattr(guards, "CODE_MAILS_TO", Limit("code mail to", 2, 86_400))
    client.force_login(bob)
    prove_who_asks(client)
    form = {"user_type": "individual", "skill_level": "beginner", "experience_years": "3"}
    for number, status in enumerate((302, 302, 302, 429)):
        form["email"] = f"victim+{number}@corp.example"
        assert client.post("/accounts/profile/", form).status_code == status
    assert len(mail.outbox) == 3
    for number in range(3):
        assert sign_up(Client(), f"somebody{number}")["Location"] == VERIFY
    assert [message.to for message in mail.outbox].count([BOSS]) == 2


def test_mails_name_the_public_address_and_no_host_of_a_request(
    alice: User, sends_mail: None, settings: Settings
) -> None:
    settings.NEURALFLOW_PUBLIC_URL = "https://n.example"
    settings.ALLOWED_HOSTS = ["*"]
    for address in ("alice@example.com", "nobody@example.com"):
        Client(headers={"host": "evil.example:99"}).post(
            "/accounts/password/reset/", {"email": address}
        )
        sign_up(Client(headers={"host": "evil.example:99"}), f"new-{address[:5]}", address)
    assert len(mail.outbox) == 4
    for message in mail.outbox:
        assert "n.example" in message.body and "evil" not in message.body + str(message.subject)
