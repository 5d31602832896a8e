"""How long sessions last, and that their owner can end them."""

import time
from collections.abc import Callable
from importlib import import_module

import pytest
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from accounts import sessions
from accounts.models import User
from tests.conftest import PASSWORD
from utils.json_storage import json_storage

pytestmark = pytest.mark.django_db(transaction=True)

DAY = 86_400


def signed_in(agent: str = "Lynx") -> Client:
    client = Client(headers={"user-agent": agent})
    form = {"login": "alice", "password": PASSWORD, "remember": "on"}
    assert client.post("/accounts/login/", form).status_code == 302
    return client


def is_open(client: Client) -> bool:
    return client.get("/accounts/profile/").status_code == 200


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Called with seconds, lets them pass for sessions."""
    now = [time.time()]
    monkeypatch.setattr("accounts.sessions.time.time", lambda: now[0])

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


def test_one_that_is_not_used_ends_on_the_server(
    alice: User, clock: Callable[[float], None]
) -> None:
    client = signed_in()
    row = Session.objects.get()
    clock(DAY)
    assert is_open(client)
    clock(DAY + 1)
    assert not is_open(client)
    assert not Session.objects.filter(pk=row.pk).exists()


def test_one_that_is_used_ends_too(
    alice: User, clock: Callable[[float], None], settings: Settings
) -> None:
    client = signed_in()
    for _ in range(14):
        assert is_open(client)
        clock(DAY)
    assert is_open(client)
    clock(1)
    assert not is_open(client)


def test_use_is_noted_once_a_minute(alice: User, clock: Callable[[float], None]) -> None:
    client = signed_in()
    began = client.session["seen"]
    clock(sessions._SEEN_EVERY - 1)
    assert is_open(client)
    assert client.session["seen"] == began
    clock(1)
    assert is_open(client)
    assert client.session["seen"] > began


@pytest.mark.parametrize("planted", ["no idle time", "no absolute time"])
def test_a_time_that_is_ignored_would_be_noticed(
    alice: User,
    clock: Callable[[float], None],
    settings: Settings,
    planted: str,
) -> None:
    if planted == "no idle time":
        settings.NEURALFLOW_SESSION_IDLE_DAYS = 10_000
        with pytest.raises(AssertionError):
            test_one_that_is_not_used_ends_on_the_server(alice, clock)
    else:
        settings.SESSION_COOKIE_AGE = 10_000 * DAY
        with pytest.raises(AssertionError):
            test_one_that_is_used_ends_too(alice, clock, settings)


def test_a_session_of_before_has_no_time_left(alice: User) -> None:
    client = signed_in()
    session = client.session
    del session["began"], session["seen"]
    session.save()
    assert not is_open(client)


def test_calls_with_a_token_look_no_session_up(
    alice: User, django_assert_num_queries: Callable[..., object]
) -> None:
    from accounts.tokens import create_token

    text = create_token(alice)[1]
    client = Client(headers={"authorization": f"Bearer {text}"})
    assert client.get("/accounts/api/tasks/").status_code == 200
    with django_assert_num_queries(1):  # type: ignore[attr-defined]
        client.get("/accounts/api/tasks/")


def test_they_are_listed_and_can_be_ended_one_by_one(alice: User) -> None:
    here, there, elsewhere = signed_in("Lynx"), signed_in("<b>Dillo</b>"), signed_in("w3m")
    page = here.get("/accounts/sessions/")
    shown = {session.user_agent: session.pk for session in page.context["sessions"]}
    assert set(shown) == {"Lynx", "<b>Dillo</b>", "w3m"}
    assert "<b>Dillo" not in page.content.decode()
    assert "This browser" in page.content.decode()
    assert here.post(f"/accounts/sessions/{shown['w3m']}/end/").status_code == 302
    assert [is_open(client) for client in (here, there, elsewhere)] == [True, True, False]
    assert here.post("/accounts/sessions/end/").status_code == 302
    assert [is_open(client) for client in (here, there)] == [True, False]
    assert json_storage.activities(alice.pk)[0]["type"] == "sessions_ended"


def test_ending_others_where_there_is_none_ends_nothing(alice: User) -> None:
    here = signed_in()
    answer = here.post("/accounts/sessions/end/", follow=True)
    assert "You have no other sessions." in answer.content.decode()
    kinds = [activity["type"] for activity in json_storage.activities(alice.pk, 50)]
    assert "sessions_ended" not in kinds
    signed_in("w3m")
    answer = here.post("/accounts/sessions/end/", follow=True)
    assert "1 session was logged out." in answer.content.decode()


def test_those_of_another_cannot_be_ended(client: Client, alice: User, bob: User) -> None:
    there = signed_in()
    session = there.get("/accounts/sessions/").context["sessions"][0]
    client.force_login(bob)
    for number in (session.pk, session.pk + 1):
        assert client.post(f"/accounts/sessions/{number}/end/").status_code == 404
    assert client.post("/accounts/sessions/end/").status_code == 302
    assert is_open(there)
    assert client.get(f"/accounts/sessions/{session.pk}/end/").status_code == 405


def test_a_new_password_ends_the_others(alice: User) -> None:
    here, there = signed_in(), signed_in()
    form = {
        "oldpassword": PASSWORD,
        "password1": "Mice sleep by day",
        "password2": "Mice sleep by day",
    }
    assert here.post("/accounts/password/change/", form).status_code == 302
    assert [is_open(client) for client in (here, there)] == [True, False]
    assert len(here.get("/accounts/sessions/").context["sessions"]) == 1


@pytest.mark.parametrize("path", ["/dashboard/", "/tasks/", "/accounts/profile/", "/admin/"])
def test_pages_of_people_are_kept_by_no_cache(client: Client, alice: User, path: str) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    client.force_login(alice)
    assert "no-store" in client.get(path)["Cache-Control"]


def test_ending_sessions_asks_who_wants_it(alice: User) -> None:
    owner, thief = signed_in(), Client()
    thief.force_login(alice)  # somebody at an open browser
    (session,) = owner.get("/accounts/sessions/").context["sessions"]
    for address in (f"{session.pk}/end/", "end/"):
        answer = thief.post(f"/accounts/sessions/{address}")
        assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert is_open(owner)
    form = {"password": PASSWORD, "next": "/accounts/sessions/end/"}
    assert thief.post("/accounts/reauthenticate/", form)["Location"] == "/accounts/sessions/"
    assert not is_open(owner)


def cookie_of(client: Client) -> str:
    return client.cookies[django_settings.SESSION_COOKIE_NAME].value


def with_cookie(value: str) -> Client:
    client = Client()
    client.cookies[django_settings.SESSION_COOKIE_NAME] = value
    return client


def test_copy_of_the_database_opens_no_session(alice: User) -> None:
    client = signed_in()
    assert is_open(with_cookie(cookie_of(client)))
    with connection.cursor() as cursor:
        rows = [
            cursor.execute(f"SELECT * FROM {model._meta.db_table}").fetchall()
            for model in (Session, UserSession)
        ]
    assert all(rows)
    values = {str(value) for table in rows for row in table for value in row}
    assert not any(cookie_of(client) in value for value in values)
    assert not any(is_open(with_cookie(value)) for value in values)


def test_session_of_an_earlier_release_goes_on_under_its_digest(alice: User) -> None:
    client, other = signed_in("Lynx"), signed_in("w3m")
    for each in (client, other):  # as earlier releases stored them
        agent = each.get("/accounts/sessions/").wsgi_request.META["HTTP_USER_AGENT"]
        listed = UserSession.objects.get(user_agent=agent)
        Session.objects.filter(pk=listed.session_key).update(session_key=cookie_of(each))
        UserSession.objects.filter(pk=listed.pk).update(session_key=cookie_of(each))
    migration = import_module("accounts.migrations.0006_session_digests")
    with connection.schema_editor() as editor:
        migration.store_digests(apps, editor)
    assert not Session.objects.filter(pk=cookie_of(client)).exists()
    assert is_open(client)
    page = client.get("/accounts/sessions/")
    assert {session.user_agent for session in page.context["sessions"]} == {"Lynx", "w3m"}
    assert client.post("/accounts/sessions/end/").status_code == 302
    assert [is_open(each) for each in (client, other)] == [True, False]


def test_session_that_the_administration_deletes_is_ended(alice: User) -> None:
    client = signed_in()
    UserSession.objects.all().delete()
    assert not is_open(client)
