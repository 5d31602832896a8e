import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.models import User
from accounts.validators import LONGEST


@pytest.mark.parametrize(
    "password",
    [
        "kqzvwmxp",
        "830174659283",
        "only small letters and spaces",
        "ÄÖÜ ключ 鍵 🗝 and so on",
        "x" * 63 + "y",
        "long " * 200,
    ],
)
def test_any_kind_of_characters_will_do(password: str) -> None:
    validate_password(password)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("kqzvwmx", "too short"),
        ("password1", "too common"),
        ("QWERTY123", "too common"),
        ("12345678", "too common"),
        ("alexandra", "too similar"),
        ("x" * (LONGEST + 1), f"{LONGEST} characters"),
    ],
)
def test_password_easy_to_guess_is_refused(password: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        validate_password(password, User(username="alexandra"))


@pytest.mark.django_db
def test_an_endless_password_is_not_hashed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("hashed")

    monkeypatch.setattr("django.contrib.auth.hashers.MD5PasswordHasher.encode", fail)
    form = {"login": "nobody", "password": "x" * 900_000}
    assert client.post("/accounts/login/", form).status_code == 200


@pytest.mark.django_db
def test_the_form_says_what_is_advised(client: Client) -> None:
    assert "15 or more is better" in client.get("/accounts/signup/").content.decode()
