"""The activity page: what one did, in words, chosen by the address; and the same as a file."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.tokens import create_token
from tests.web.pages import text_of, write_document
from utils.json_storage import json_storage
from web.activity_entries import kinds
from web.labels import ACTIVITY_WORDS
from web.user_agents import device_of
from workspace.membership.members import Memberships
from workspace.users import activity_query

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/142.0.0.0 Safari/537.36"
)
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like"
    " Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
)


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def lay_down(folder: Path, user: User, *activities: dict[str, Any]) -> None:
    """A document with these activities and no others, oldest first."""
    content = {"user_id": user.pk, "username": user.username, "activities": list(activities)}
    write_document(folder, f"users/user_{user.pk}.json", content)


def done(type: str, time: str, description: str = "", **metadata: Any) -> dict[str, Any]:
    return {"type": type, "description": description, "timestamp": time, "metadata": metadata}


def rows(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200
    text = answer.getvalue().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_deeds_are_told_in_words_by_day(browser: Client, alice: User, data_folder: Path) -> None:
    lay_down(
        data_folder,
        alice,
        done(
            "login", "2026-11-21T08:15:00Z", "Signed in", ip_address="192.0.2.7", user_agent=SAFARI
        ),
        done("task_created", "2026-11-22T09:00:00Z", "Added task “Gone”", id=9, user_agent=FIREFOX),
        done("api_call", "2026-11-22T09:20:00Z", "GET /accounts/api/tasks/", via="api"),
        done("api_call", "2026-11-22T09:30:00Z", "Read 1204 times", via="api", count=1204),
        done("of_a_plugin", "2026-11-22T10:00:00Z", "Something else"),
    )
    words = text_of(browser.get("/activity/"))
    shown = [
        "Sunday, 22 Nov 2026",
        "10:00 UTC Of a plugin Something else",
        "09:30 UTC Read over the API 1,204 calls",
        "09:20 UTC Read over the API GET /accounts/api/tasks/",
        "09:00 UTC Added a task: Gone",
        "Saturday, 21 Nov 2026",
        "08:15 UTC Logged in Safari on iPhone · 192.0.2.7 · Page",
    ]
    places = [words.index(text) for text in shown]
    assert places == sorted(places)
    assert "Firefox on Linux" in words
    assert SAFARI in words


def test_a_deed_leads_to_its_record_while_that_exists(browser: Client, alice: User) -> None:
    browser.post("/tasks/new/", {"title": "Train", "priority": "low", "status": "pending"})
    browser.post("/tasks/new/", {"title": "Forget", "priority": "low", "status": "pending"})
    json_storage.update("tasks", alice.pk, 1, {"title": "Train again"})
    json_storage.delete("tasks", alice.pk, 2)
    page = browser.get("/activity/?kind=task_created").content.decode()
    assert '<a class="plain-link" href="/tasks/1/edit/">Train again</a>' in page
    assert "Added a task: Forget" in page
    assert "/tasks/2/edit/" not in page


def test_the_door_is_told(client: Client, browser: Client, alice: User) -> None:
    token, text = create_token(alice)
    program = Client(headers={"Authorization": f"Bearer {text}", "User-Agent": "curl/8.5.0"})
    assert program.post(
        "/accounts/api/tasks/", {"title": "By token"}, content_type="application/json"
    )
    words = text_of(browser.get("/activity/"))
    assert f"curl · 127.0.0.1 · API, token {token.pk}" in words
    assert "POST /accounts/api/tasks/" in words
    assert text not in words


def test_activity_on_shared_record_links_to_no_own_record(alice: User, bob: User) -> None:
    members = Memberships(json_storage)
    project = json_storage.create("projects", alice.pk, {"name": "X-rays"})["id"]
    members.invite(alice.pk, project, "bob", "editor")
    members.accept(bob.pk, json_storage.list("shared", bob.pk)[-1]["id"])
    task = json_storage.create("tasks", alice.pk, {"title": "Of Alice", "project_id": project})
    assert json_storage.create("tasks", bob.pk, {"title": "Of Bob"})["id"] == task["id"]
    _token, text = create_token(bob)
    program = Client(headers={"Authorization": f"Bearer {text}"})
    address = f"/accounts/api/users/{alice.pk}/tasks/{task['id']}/"
    answer = program.patch(address, {"title": "Read"}, content_type="application/merge-patch+json")
    assert answer.status_code == 200, answer.content

    pages = {}
    for person in (alice, bob):
        client = Client()
        client.force_login(person)
        pages[person.username] = client.get("/activity/?kind=task_updated").content.decode()
    assert f'href="/tasks/{task["id"]}/edit/">Read</a>' in pages["alice"]
    assert "by bob" in pages["alice"]
    assert "Updated a task: Read" in pages["bob"]
    assert f"/tasks/{task['id']}/edit/" not in pages["bob"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["d", "c", "b", "a"]),
        ("kind=tasks", ["c", "b"]),
        ("kind=task_deleted", ["c"]),
        ("kind=account", ["d", "a"]),
        ("from=2026-11-22", ["d", "c", "b"]),
        ("to=2026-11-22", ["c", "b", "a"]),
        ("from=2026-11-22&to=2026-11-22&kind=tasks", ["c", "b"]),
        ("q=THIRD", ["c"]),
        ("kind=nothing&from=yesterday&to=9", ["d", "c", "b", "a"]),
    ],
)
def test_the_address_chooses(
    browser: Client, alice: User, data_folder: Path, query: str, expected: list[str]
) -> None:
    lay_down(
        data_folder,
        alice,
        done("login_failed", "2026-11-21T23:59:59Z", "a: first"),
        done("task_created", "2026-11-22T00:00:00Z", "b: second"),
        done("task_deleted", "2026-11-22T23:59:59.9Z", "c: third"),
        done("profile_updated", "2026-11-23T00:00:00Z", "d: fourth"),
    )
    assert [
        row["description"][0] for row in rows(browser.get(f"/activity/activity.csv?{query}"))
    ] == expected
    exported = json.loads(browser.get(f"/activity/activity.json?{query}").getvalue())
    assert [one["description"][0] for one in exported["activities"]] == expected
    assert browser.get(f"/activity/?{query}").content.decode().count('class="record deed"') == len(
        expected
    )


def test_pages_have_fifty_and_newer_ones_move_nothing(browser: Client, alice: User) -> None:
    for number in range(120):
        json_storage.update_user_activity(alice.pk, "profile_updated", f"Number {number}.")
    first = browser.get("/activity/?kind=profile_updated")
    assert first.content.decode().count('class="record deed"') == 50
    assert "Number 119." in text_of(first) and "Number 70." in text_of(first)
    json_storage.update_user_activity(alice.pk, "profile_updated", "Meanwhile.")
    second = browser.get(f"/activity/?kind=profile_updated&before={first.context['older']}")
    assert "Number 69." in text_of(second) and "Number 20." in text_of(second)
    assert "kind=profile_updated&amp;before=" in second.content.decode()
    third = browser.get(f"/activity/?kind=profile_updated&before={second.context['older']}")
    assert "Number 19." in text_of(third) and "Number 0." in text_of(third)


def test_activity_rare_kind_is_paged_by_records_read(
    browser: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity_query, "LOOKED_AT_MAX", 3)
    for kind in ("token_revoked", *["profile_updated"] * 3):
        json_storage.update_user_activity(alice.pk, kind, "Said")
    page = browser.get("/activity/?kind=token_revoked")
    assert "older ones exist" in text_of(page)
    page = browser.get(f"/activity/?kind=token_revoked&before={page.context['older']}")
    assert "Revoked an API token" in text_of(page)


def test_no_cell_is_a_formula(browser: Client, alice: User, data_folder: Path) -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", 'a,"b"\n=c', "plain"]
    lay_down(data_folder, alice, *[done(text, "2026-11-22", text, path=text) for text in texts])
    found = rows(browser.get("/activity/activity.csv"))
    assert [row["description"] for row in reversed(found)] == [
        f"'{text}" if text[0] in "=+-@\t\r\n" else text for text in texts
    ]
    assert all(row["type"] == row["path"] == row["description"] for row in found)


def test_exports_are_files_of_what_is_stored(browser: Client, alice: User) -> None:
    for number in range(250):
        json_storage.update_user_activity(alice.pk, "profile_updated", f"“{number}” größer")
    answer = browser.get("/activity/activity.csv?kind=profile_updated")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="activity-')
    assert "no-store" in answer["Cache-Control"]
    assert len(rows(answer)) == 250
    answer = browser.get("/activity/activity.json?kind=profile_updated")
    assert answer["Content-Type"] == "application/json"
    stored = json_storage.activities(alice.pk, 1000)
    wanted = [one for one in stored if one["type"] == "profile_updated"]
    assert json.loads(answer.getvalue())["activities"] == wanted
    nothing = browser.get("/activity/activity.json?q=nowhere")
    assert json.loads(nothing.getvalue()) == {"activities": []}


def test_nobody_sees_what_others_did(browser: Client, charlie: User) -> None:
    json_storage.update_user_activity(charlie.pk, "profile_updated", "Of Charlie")
    for address in ("/activity/", "/activity/activity.csv", "/activity/activity.json"):
        answer = browser.get(address)
        assert b"Of Charlie" not in (answer.getvalue() if answer.streaming else answer.content)
        assert Client().get(address).status_code == 302


def test_odd_activities_are_shown(browser: Client, alice: User, data_folder: Path) -> None:
    odd = [
        {"type": "task_created", "description": None, "timestamp": None, "metadata": None},
        {"type": None, "description": "No type", "timestamp": "some day", "metadata": [1]},
        {"type": "task_updated", "timestamp": "2024-03-01", "metadata": {"id": "x", "path": 3}},
        {"description": "<script>alert(1)</script>", "timestamp": "2024-03-01T10:00:00"},
    ]
    lay_down(data_folder, alice, *odd)
    page = browser.get("/activity/")
    assert "No time" in text_of(page)
    assert b"<script>alert" not in page.content
    assert len(rows(browser.get("/activity/activity.csv"))) == len(odd)


def test_a_document_that_cannot_be_read_is_told(
    browser: Client, alice: User, data_folder: Path
) -> None:
    write_document(data_folder, f"users/user_{alice.pk}.json", '{"activities": [,')
    page = browser.get("/activity/")
    assert page.status_code == 503
    assert "cannot be read" in text_of(page)
    assert browser.get("/activity/activity.csv").status_code == 503


def test_every_type_is_in_one_kind() -> None:
    listed = [name for _group, _label, types in kinds() for name, _words in types]
    assert sorted(listed) == sorted(ACTIVITY_WORDS)
    sharing = next(types for group, _label, types in kinds() if group == "sharing")
    assert "project_left" in dict(sharing)


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        (FIREFOX, "Firefox on Linux"),
        (CHROME, "Chrome on Windows"),
        (CHROME + " Edg/142.0.0.0", "Edge on Windows"),
        (SAFARI, "Safari on iPhone"),
        ("curl/8.5.0", "curl"),
        ("nf/1.0 (Linux)", "nf"),
        ("python-requests/2.32.3", "python-requests"),
        ("Mozilla/5.0 (compatible)", ""),
        ("", ""),
        ("<b>", ""),
    ],
)
def test_devices_are_told_shortly(agent: str, told: str) -> None:
    assert device_of(agent) == told


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"])
@pytest.mark.parametrize("query", ["from=0001-01-01", "to=9999-12-31"])
def test_the_first_and_the_last_day_that_there_are_bound_nothing(
    browser: Client, alice: User, zone: str, query: str
) -> None:
    json_storage.change_preferences(alice.pk, {"time_zone": zone})
    json_storage.update_user_activity(alice.pk, "login", "Signed in")
    assert "Logged in" in text_of(browser.get(f"/activity/?{query}"))
    assert len(rows(browser.get(f"/activity/activity.csv?{query}"))) == 2
