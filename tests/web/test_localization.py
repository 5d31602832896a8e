"""Pages in the person's language, time zone and theme."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone, translation

from accounts.models import User
from docstore import Key, Transaction
from tests.web.pages import text_of, version_in, write_document
from utils.json_storage import json_storage
from web.labels import FIELD_HINTS
from workspace.schema.collections import COLLECTIONS

pytestmark = pytest.mark.django_db(transaction=True)


def html_tag(client: Client, address: str = "/tasks/", **headers: str) -> str:
    body = client.get(address, headers=headers).content.decode()
    return body[body.index("<html") :].partition(">")[0]


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def test_a_theme_is_what_the_system_says_until_one_is_chosen(
    signed_in: Client, alice: User
) -> None:
    assert html_tag(signed_in) == '<html lang="en"'
    json_storage.change_preferences(alice.pk, {"theme": "dark"})
    assert html_tag(signed_in) == '<html lang="en" data-theme="dark"'


def test_the_language_is_the_browsers_until_one_is_chosen(signed_in: Client, alice: User) -> None:
    asked = {"accept-language": "es-MX,es;q=0.9,en;q=0.5"}
    assert html_tag(signed_in, **asked) == '<html lang="es"'
    assert html_tag(Client(), "/", **asked) == '<html lang="es"'
    assert html_tag(Client(), "/", **{"accept-language": "tlh"}) == '<html lang="en"'
    json_storage.change_preferences(alice.pk, {"language": "en"})
    assert html_tag(signed_in, **asked) == '<html lang="en"'
    answer = signed_in.get("/tasks/", headers=asked)
    assert answer["Content-Language"] == "en"


def test_the_next_request_of_the_thread_begins_afresh(signed_in: Client, alice: User) -> None:
    json_storage.change_preferences(alice.pk, {"language": "es", "time_zone": "Asia/Tokyo"})
    assert html_tag(signed_in) == '<html lang="es"'
    assert translation.get_language() == "en"
    assert str(timezone.get_current_timezone()) == "UTC"


def test_the_api_speaks_english(signed_in: Client, alice: User) -> None:
    json_storage.change_preferences(alice.pk, {"language": "es"})
    answer = signed_in.get("/accounts/api/tasks/", headers={"accept-language": "es"})
    assert "Content-Language" not in answer


def test_a_document_that_cannot_be_read_costs_the_preferences_only(
    signed_in: Client, alice: User, data_folder: Path
) -> None:
    json_storage.change_preferences(alice.pk, {"theme": "dark"})
    json_storage.close()
    write_document(data_folder, f"users/user_{alice.pk}.json", "{ this is no JSON")
    assert html_tag(signed_in) == '<html lang="en"'


def test_a_refusal_before_all_else_needs_no_preferences(signed_in: Client) -> None:
    answer = signed_in.get("/tasks/", CONTENT_LENGTH=str(2 * 1024 * 1024))
    assert answer.status_code == 413


# Times


def shown(client: Client, address: str) -> str:
    return text_of(client.get(address))


@pytest.fixture
def in_madrid(signed_in: Client, alice: User) -> Client:
    json_storage.change_preferences(alice.pk, {"time_zone": "Europe/Madrid"})
    return signed_in


def add_task(owner: User, due: str) -> str:
    task = json_storage.create("tasks", owner.pk, {"title": "Due", "due_date": due})
    return f"/tasks/{task['id']}/edit/"


def save_due(client: Client, address: str, due: str, **more: str) -> None:
    page = client.get(address)
    form = {"title": "Due", "priority": "medium", "status": "pending", "due_date": due}
    assert client.post(address, form | {"version": version_in(page)} | more).status_code == 302


def due_of(owner: User) -> str:
    return str(json_storage.list("tasks", owner.pk)[0]["due_date"])


def test_a_time_is_shown_in_the_zone_that_was_chosen(in_madrid: Client, alice: User) -> None:
    address = add_task(alice, "2041-07-01T22:30:00Z")
    assert "2 Jul 2041, 00:30" in shown(in_madrid, "/tasks/")
    assert 'value="2041-07-02 00:30"' in in_madrid.get(address).content.decode()


def test_the_browsers_zone_counts_where_none_was_chosen(signed_in: Client, alice: User) -> None:
    add_task(alice, "2041-07-01T22:30:00Z")
    assert "1 Jul 2041, 22:30 UTC" in shown(signed_in, "/tasks/")
    signed_in.cookies["timezone"] = "Asia/Tokyo"
    assert "2 Jul 2041, 07:30" in shown(signed_in, "/tasks/")
    signed_in.cookies["__Host-timezone"] = "Asia/Kolkata"
    assert "2 Jul 2041, 04:00" in shown(signed_in, "/tasks/")
    signed_in.cookies["__Host-timezone"] = signed_in.cookies["timezone"] = "../../../etc/passwd"
    assert "1 Jul 2041, 22:30 UTC" in shown(signed_in, "/tasks/")


def test_typed_due_time_is_in_users_time_zone(in_madrid: Client, alice: User) -> None:
    address = add_task(alice, "2026-07-01T22:30:00Z")
    save_due(in_madrid, address, "2026-12-01 09:00")
    assert due_of(alice) == "2026-12-01T08:00:00.000000Z"
    save_due(in_madrid, address, "2026-12-01 09:00Z")
    assert due_of(alice) == "2026-12-01T09:00:00.000000Z"
    save_due(in_madrid, address, "2026-12-02")
    assert due_of(alice) == "2026-12-02"


def test_a_form_means_the_zone_that_it_was_shown_in(in_madrid: Client, alice: User) -> None:
    address = add_task(alice, "2026-07-01T22:30:00Z")
    assert 'name="zone" value="Europe/Madrid"' in in_madrid.get(address).content.decode()
    json_storage.change_preferences(alice.pk, {"time_zone": "Asia/Tokyo"})
    save_due(in_madrid, address, "2026-12-01 09:00", zone="Europe/Madrid")
    assert due_of(alice) == "2026-12-01T08:00:00.000000Z"


@pytest.mark.parametrize("stored", ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"])
def test_an_hour_that_clocks_show_twice_is_not_mixed_up(
    in_madrid: Client, alice: User, stored: str
) -> None:
    address = add_task(alice, stored)
    page = in_madrid.get(address).content.decode()
    value = page.partition('name="due_date" value="')[2].partition('"')[0]
    save_due(in_madrid, address, value + ":00" if value[-1] != "Z" else value)
    assert due_of(alice) == stored.replace("Z", ".000000Z")


@pytest.mark.parametrize("far", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_ends_of_time_have_no_local_time(signed_in: Client, alice: User, far: str) -> None:
    address = add_task(alice, far)
    for zone in ("America/Los_Angeles", "Asia/Tokyo"):
        json_storage.change_preferences(alice.pk, {"time_zone": zone})
        for page in ("/tasks/", address, "/dashboard/"):
            assert signed_in.get(page).status_code == 200


@pytest.mark.usefixtures("still_clock")
def test_a_day_ends_where_the_person_is(signed_in: Client, alice: User) -> None:
    now = datetime.now(UTC)
    zones = ("Pacific/Kiritimati", "Etc/GMT+12")  # 14 hours before UTC, 12 after: other days
    days = [now.astimezone(ZoneInfo(zone)).date() for zone in zones]
    add_task(alice, days[1].isoformat())
    json_storage.change_preferences(alice.pk, {"time_zone": zones[0]})
    assert "Overdue since" in shown(signed_in, "/tasks/")
    json_storage.change_preferences(alice.pk, {"time_zone": zones[1]})
    assert "Overdue since" not in shown(signed_in, "/tasks/")


def test_activities_stand_under_the_days_of_the_zone(in_madrid: Client, alice: User) -> None:
    def edit(transaction: Transaction) -> None:
        told = {"type": "login", "description": "Signed in", "metadata": {}}
        for at in ("2026-06-30T21:59:00Z", "2026-06-30T22:01:00Z", "2026-07-01T22:01:00Z"):
            transaction.append(Key("users", alice.pk), told | {"timestamp": at})

    json_storage.store.change(edit)
    page = shown(in_madrid, "/accounts/profile/") and shown(in_madrid, "/activity/")
    assert "Wednesday, 1 Jul 2026 00:01" in page
    assert "Tuesday, 30 Jun 2026 23:59" in page
    day = shown(in_madrid, "/activity/?from=2026-07-01&to=2026-07-01")
    assert "Wednesday, 1 Jul 2026 00:01" in day
    assert "23:59" not in day and "2 Jul 2026" not in day


def test_every_hint_of_the_table_has_words_for_pages() -> None:
    for spec in COLLECTIONS.values():
        for field in spec.fields:
            shown = field.help and field.on_forms
            assert not shown or field.name in FIELD_HINTS, field.name


# Who is not signed in


def test_a_language_is_chosen_at_the_foot_of_a_page(client: Client, alice: User) -> None:
    page = client.get("/accounts/login/?next=/tasks/", headers={"accept-language": "en"})
    assert 'value="/accounts/login/?next=/tasks/"' in page.content.decode()
    sent = {"language": "es", "next": "/accounts/login/?next=/tasks/"}
    answer = client.post("/language/", sent)
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/tasks/")
    cookie = answer.cookies["django_language"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"
    page = client.get("/", headers={"accept-language": "en"})
    assert '<html lang="es"' in page.content.decode()
    assert {"Cookie", "Accept-Language"} <= {*page["Vary"].replace(" ", "").split(",")}
    client.force_login(alice)
    assert "/language/" not in client.get("/tasks/").content.decode()
    json_storage.change_preferences(alice.pk, {"language": "en"})
    assert html_tag(client).startswith('<html lang="en"')


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example/", "/\\evil.example/"])
def test_the_choice_leads_to_no_other_site(client: Client, back: str) -> None:
    assert client.post("/language/", {"language": "es", "next": back})["Location"] == "/"


@pytest.mark.parametrize("language", ["", "tlh", "es\r\nSet-Cookie: a=b"])
def test_a_language_that_there_is_not_is_refused(client: Client, language: str) -> None:
    answer = client.post("/language/", {"language": language})
    assert answer.status_code == 400 and not answer.cookies


def test_another_site_chooses_nothing() -> None:
    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/language/", {"language": "es"}).status_code == 403
