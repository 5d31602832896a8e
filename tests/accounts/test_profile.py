import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.conftest import PASSWORD
from tests.folders import exact
from tests.web.pages import text_of
from utils.json_storage import json_storage

pytestmark = pytest.mark.django_db(transaction=True)

FORM = {
    "first_name": "Alice",
    "last_name": "Liddell",
    "email": "alice@example.com",
    "user_type": "business",
    "skill_level": "expert",
    "company_name": "Looking Glass",
    "job_title": "Explorer",
    "location": "Oxford",
    "bio": "Curious.\r\nAnd curiouser.",
    "website": "https://example.com/",
    "linkedin_url": "",
    "github_url": "http://example.com/alice",
    "skills": "chess, croquet,, chess ",
    "interests": "",
    "certifications": "Queen",
    "experience_years": "7",
    "education": "Down the hole",
}


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def save(client: Client, **changes: str) -> Any:
    return client.post("/accounts/profile/", FORM | changes)


def stored(user: User) -> dict[str, Any]:
    document = json_storage.get_user_data(user.pk)
    assert document is not None
    return document


def test_it_works(signed_in: Client, alice: User) -> None:
    page = signed_in.get("/accounts/profile/")
    assert page.status_code == 200
    assert "0 of 1000 used" in page.content.decode()
    response = save(signed_in)
    assert (response.status_code, response["Location"]) == (302, "/accounts/profile/")
    document = stored(alice)
    assert document["first_name"] == "Alice"
    assert document["user_type"] == "business"
    assert document["bio"] == "Curious.\nAnd curiouser."
    assert document["profile"] == {
        "skills": ["chess", "croquet"],
        "interests": [],
        "experience_years": 7,
        "education": "Down the hole",
        "certifications": ["Queen"],
    }
    page = signed_in.get("/accounts/profile/")
    assert 'value="chess, croquet"' in page.content.decode()


def test_profile_unused_fields_are_hidden_and_retained(signed_in: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(
        is_profile_public=True, receive_notifications=True, subscription_plan="pro"
    )
    page = text_of(signed_in.get("/accounts/profile/"))
    assert not {"Plan", "Public profile", "Notifications"} & set(
        re.findall(r"[A-Z]\w+(?: profile)?", page)
    )
    save(signed_in, is_profile_public="", receive_notifications="")
    names = ("is_profile_public", "receive_notifications", "subscription_plan")
    assert [stored(alice)[name] for name in names] == [True, True, "pro"]


def test_it_is_logged_and_earlier_activities_stay(signed_in: Client, alice: User) -> None:
    before = [activity["type"] for activity in stored(alice)["activities"]]
    save(signed_in)
    after = [activity["type"] for activity in stored(alice)["activities"]]
    assert after == [*before, "profile_updated"]


def test_nobody_else_is_changed_or_seen(signed_in: Client, alice: User, charlie: User) -> None:
    before = stored(charlie)
    save(signed_in, id=str(charlie.pk), pk=str(charlie.pk), username="charlie")
    assert stored(charlie) == before
    alice.refresh_from_db()
    assert alice.username == "alice"
    assert "charlie" not in signed_in.get("/accounts/profile/").content.decode()


def test_a_stranger_is_asked_to_sign_in(client: Client) -> None:
    response = client.get("/accounts/profile/")
    assert response["Location"] == "/accounts/login/?next=/accounts/profile/"


def test_protected_fields_cannot_be_set(signed_in: Client, alice: User) -> None:
    save(
        signed_in,
        is_staff="on",
        is_superuser="on",
        subscription_plan="gold",
        api_calls_limit="9999999",
        password="x",
    )
    alice.refresh_from_db()
    assert not (alice.is_staff or alice.is_superuser)
    assert (alice.subscription_plan, alice.api_calls_limit) == ("free", 1000)
    assert alice.check_password(PASSWORD)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("website", "javascript:alert(1)"),
        ("website", "ftp://example.com/"),
        ("github_url", "not an address"),
        ("user_type", "emperor"),
        ("skill_level", ""),
        ("email", ""),
        ("experience_years", "-1"),
        ("experience_years", "1e9"),
        ("bio", "x" * 2001),
        ("bio", "bell \x07"),
        ("skills", ",".join(f"skill {number}" for number in range(51))),
        ("skills", "x" * 101),
        ("location", "nul \x00"),
        ("job_title", "escape \x1b[31m"),
    ],
)
def test_bad_input_names_the_field_and_changes_nothing(
    signed_in: Client, alice: User, bob: User, field: str, value: str
) -> None:
    before = stored(alice)
    response = save(signed_in, **{field: value})
    assert response.status_code == 200
    assert list(response.context["form"].errors) == [field]
    assert stored(alice) == before


def test_markup_is_shown_as_text(signed_in: Client) -> None:
    save(signed_in, bio="</textarea><script>alert(1)</script>", first_name="<b>A</b>")
    page = signed_in.get("/accounts/profile/").content.decode()
    assert "<script>alert" not in page
    assert "<b>A</b>" not in page


def test_new_address_without_mail_is_text_and_the_old_one_opens_nothing_any_more(
    client: Client, alice: User
) -> None:
    client.force_login(alice)
    asked = save(client, email="Mirror@Example.com")
    assert asked["Location"].startswith("/accounts/reauthenticate/?next=")
    assert stored(alice)["email"] == "alice@example.com"
    client.post(asked["Location"], {"password": PASSWORD, "next": "/accounts/profile/"})
    assert stored(alice)["email"] == "mirror@example.com"
    for login, works in (
        ("mirror@example.com", False),
        ("alice@example.com", False),
        ("alice", True),
    ):
        form = {"login": login, "password": PASSWORD}
        assert (Client().post("/accounts/login/", form).status_code == 302) is works


def test_unknown_keys_of_the_profile_are_kept(signed_in: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(profile={"skills": ["old"], "pet": "Dinah"})
    save(signed_in)
    assert stored(alice)["profile"]["pet"] == "Dinah"


def test_an_unreadable_document_shows_a_notice(
    signed_in: Client, alice: User, data_folder: Path
) -> None:
    path = exact(data_folder / "users" / f"user_{alice.pk}.json")
    path.write_text("{ broken")
    page = signed_in.get("/accounts/profile/")
    assert page.status_code == 200
    assert "cannot be read." in page.content.decode()
    assert save(signed_in).status_code == 302
    assert exact(path).read_text() == "{ broken"
    alice.refresh_from_db()
    assert alice.first_name == "Alice"
