"""Two-factor authentication: an app's codes, recovery codes, and what guards them."""

import math
import re
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth
from allauth.mfa.totp.internal.auth import TOTP
from django.apps import apps
from django.core.cache import cache
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from tests.conftest import PASSWORD, prove_who_asks
from utils.json_storage import json_storage

pytestmark = pytest.mark.django_db(transaction=True)


def code_of(secret: str) -> str:
    """What the app shows now. As it does not wait, it forgets that it has shown it before."""
    cache.clear()
    return code_at(secret, time.time())


def code_at(secret: str, moment: float) -> str:
    """The app's code at a moment, in seconds since 1970: RFC 6238."""
    return str(auth.format_hotp_value(auth.hotp_value(secret, int(moment) // 30)))


def turn_on(client: Client, user: User) -> tuple[str, list[str]]:
    """Turns the second factor on, as a person does; the app's key and the recovery codes."""
    client.force_login(user)
    prove_who_asks(client)
    page = client.get("/accounts/2fa/totp/activate/")
    secret = page.context["form"].secret
    assert 'src="data:image/svg+xml;base64,' in page.content.decode()
    answer = client.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)})
    assert answer["Location"] == "/accounts/2fa/codes/"
    page = client.get(answer["Location"])
    codes = re.findall(r"<code>(\d{10})</code>", page.content.decode())
    assert len(set(codes)) == 10
    return secret, codes


def sign_in(client: Client) -> Any:
    return client.post("/accounts/login/", {"login": "alice", "password": PASSWORD})


def signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def types(user: User) -> list[str]:
    return [activity["type"] for activity in json_storage.activities(user.pk)]


def test_a_password_alone_opens_nothing_any_more(client: Client, alice: User) -> None:
    secret, _ = turn_on(client, alice)
    assert "second_factor_on" in types(alice)
    other = Client()
    asked = sign_in(other)
    assert asked["Location"] == "/accounts/2fa/authenticate/"
    assert not signed_in(other)
    assert other.get("/dashboard/")["Location"].startswith("/accounts/login/")
    assert other.get("/accounts/2fa/authenticate/").status_code == 200
    assert other.post("/accounts/2fa/authenticate/", {"code": "000000"}).status_code == 200
    assert not signed_in(other)
    assert types(alice)[0] == "login_failed"
    other.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert signed_in(other)


def test_a_code_of_the_app_opens_once(client: Client, alice: User) -> None:
    secret, _ = turn_on(client, alice)
    code = code_of(secret)
    opened = []
    for browser in (Client(), Client()):
        sign_in(browser)
        browser.post("/accounts/2fa/authenticate/", {"code": code})
        opened.append(signed_in(browser))
    assert opened == [True, False]


def at(monkeypatch: pytest.MonkeyPatch, moment: float) -> None:
    """Sets the clock of codes, of sessions, and of the cache that remembers used codes."""
    monkeypatch.setattr(time, "time", lambda: moment)


def opens(code: str) -> bool:
    browser = Client()
    sign_in(browser)
    browser.post("/accounts/2fa/authenticate/", {"code": code})
    return signed_in(browser)


NOON = 1_796_040_000.0  # 12:00:00 in UTC, the first second of a step


@pytest.mark.parametrize(
    ("drift", "accepted"), [(-31, False), (-30, True), (0, True), (59, True), (60, False)]
)
def test_app_clock_one_step_off_is_accepted(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch, drift: int, accepted: bool
) -> None:
    secret, _ = turn_on(client, alice)
    cache.clear()
    at(monkeypatch, NOON)
    assert opens(code_at(secret, NOON + drift)) is accepted


def test_used_code_is_refused_as_long_as_it_is_valid(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, _ = turn_on(client, alice)
    cache.clear()
    code = code_at(secret, NOON)
    at(monkeypatch, NOON - 1)  # the app is a second ahead
    assert opens(code)
    at(monkeypatch, NOON + 59)
    assert not opens(code)
    assert opens(code_at(secret, NOON + 59))


def test_code_that_turned_it_on_opens_nothing(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, NOON)
    secret, _ = turn_on(client, alice)
    assert not opens(code_at(secret, NOON))
    assert opens(code_at(secret, NOON + 30))


def test_a_recovery_code_opens_once_and_is_shown_once(client: Client, alice: User) -> None:
    _, codes = turn_on(client, alice)
    opened = []
    for browser in (Client(), Client()):
        sign_in(browser)
        browser.post("/accounts/2fa/authenticate/", {"code": codes[0]})
        opened.append(signed_in(browser))
    assert opened == [True, False]
    page = client.get("/accounts/2fa/codes/").content.decode()
    assert not any(code in page for code in codes)
    assert "9 codes left" in page


def test_new_recovery_codes_end_the_old_ones(client: Client, alice: User) -> None:
    _, codes = turn_on(client, alice)
    answer = client.post("/accounts/2fa/codes/generate/")
    assert codes[0] not in client.get(answer["Location"]).content.decode()
    assert "recovery_codes_made" in types(alice)
    other = Client()
    sign_in(other)
    other.post("/accounts/2fa/authenticate/", {"code": codes[0]})
    assert not signed_in(other)


def test_wrong_codes_are_counted_over_browsers_and_a_right_password_forgives_none(
    client: Client, alice: User
) -> None:
    _, codes = turn_on(client, alice)
    statuses = []
    for number in range(7):
        browser = Client()
        sign_in(browser)
        code = codes[0] if number == 6 else "12345678"
        statuses.append(browser.post("/accounts/2fa/authenticate/", {"code": code}).status_code)
        assert not signed_in(browser)
    assert statuses == [200] * 5 + [429] * 2


def test_it_can_be_turned_off_again_by_whoever_proves_who_they_are(
    client: Client, alice: User
) -> None:
    turn_on(client, alice)
    thief = Client()
    thief.force_login(alice)  # somebody at an open browser
    for address in ("totp/deactivate/", "codes/generate/", "codes/"):
        for answer in (
            thief.get(f"/accounts/2fa/{address}"),
            thief.post(f"/accounts/2fa/{address}"),
        ):
            assert answer.status_code in {302, 405}
            assert answer.status_code == 405 or "reauthenticate" in answer["Location"]
    assert Authenticator.objects.count() == 2
    assert client.get("/accounts/2fa/totp/deactivate/").status_code == 200
    assert client.post("/accounts/2fa/totp/deactivate/").status_code == 302
    assert not Authenticator.objects.exists()
    assert types(alice)[0] == "second_factor_off"
    other = Client()
    sign_in(other)
    assert signed_in(other)


def test_it_can_prove_who_asks_in_place_of_the_password(client: Client, alice: User) -> None:
    secret, _ = turn_on(client, alice)
    other = Client()
    other.force_login(alice)
    form = {"name": "Notebook", "scopes": ["read"], "lifetime": "30d"}
    assert "reauthenticate" in other.post("/accounts/tokens/", form)["Location"]
    assert not alice.api_tokens.exists()
    page = other.get("/accounts/2fa/reauthenticate/")
    assert page.status_code == 200
    answer = other.post(
        "/accounts/2fa/reauthenticate/", {"code": code_of(secret), "next": "/accounts/tokens/"}
    )
    assert answer.status_code == 201  # what was asked for before, is done now
    assert alice.api_tokens.count() == 1


def test_the_administration_asks_for_it_too(client: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    secret, _ = turn_on(client, alice)
    other = Client()
    form = {"login": "alice", "password": PASSWORD, "next": "/admin/"}
    assert other.post("/accounts/login/", form)["Location"] == "/accounts/2fa/authenticate/"
    assert other.get("/admin/").status_code == 302
    answer = other.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert answer["Location"] == "/admin/"
    assert other.get("/admin/").status_code == 200


def test_the_database_does_not_hold_the_secrets(client: Client, alice: User) -> None:
    secret, codes = turn_on(client, alice)
    kept = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in kept
    assert not any(code in kept for code in codes)


def test_with_another_key_of_the_installation_no_code_opens(
    client: Client, alice: User, settings: Settings
) -> None:
    secret, codes = turn_on(client, alice)
    first, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    for code in (code_of(secret), code_of(""), codes[0]):
        other = Client()
        sign_in(other)
        other.post("/accounts/2fa/authenticate/", {"code": code})
        assert not signed_in(other)
    settings.SECRET_KEY_FALLBACKS = [first]
    other = Client()
    sign_in(other)
    other.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert signed_in(other)


def test_the_page_shows_whether_it_is_on(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert "Turn on" in client.get("/accounts/2fa/").content.decode()
    turn_on(client, alice)
    page = client.get("/accounts/2fa/").content.decode()
    assert "Turn off" in page
    assert "10 codes left" in page


def test_recovery_codes_of_an_earlier_release_go_on(
    client: Client, alice: User, settings: Settings
) -> None:
    settings.MFA_RECOVERY_CODE_DIGITS = 8
    turn_on_with_8 = RecoveryCodes.activate(alice)
    old = turn_on_with_8.generate_codes()
    assert turn_on_with_8.validate_code(old[0])
    TOTP.activate(alice, "A" * 32)
    settings.MFA_RECOVERY_CODE_DIGITS = 10
    migration = import_module("accounts.migrations.0008_recovery_codes")
    with connection.schema_editor() as editor:
        migration.keep_shorter_codes(apps, editor)
    assert [opens(code) for code in (old[0], old[1], old[1], old[9])] == [False, True, False, True]
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert not any(code in stored for code in old)
    client.force_login(alice)
    assert "7 codes left" in client.get("/accounts/2fa/").content.decode()


def test_recovery_codes_are_as_strong_as_the_manual_says(client: Client, alice: User) -> None:
    _, codes = turn_on(client, alice)
    assert all(re.fullmatch("[0-9]{10}", code) for code in codes)
    assert math.log2(10**10) > 33
    security = (Path(__file__).parents[2] / "docs/security.md").read_text("utf-8")
    assert "recovery codes of 33 bits" in security
