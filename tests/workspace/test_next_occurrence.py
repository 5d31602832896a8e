"""A task that repeats: who completes it, through whichever door, has the next one at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.tokens import create_token
from docstore import Conflict
from tests.web.pages import write_document
from utils.json_storage import json_storage
from workspace.request_context import latest_commit

FUTURE = (datetime.now(UTC) + timedelta(days=30)).date()
THEN = (FUTURE + timedelta(days=7)).isoformat()
DUE = FUTURE.isoformat()
LIST = [{"text": "Water", "done": True}, {"text": "Turn", "done": False}]


@pytest.fixture
def task(data_folder: Path, alice: User) -> dict[str, Any]:
    return json_storage.create(
        "tasks",
        alice.pk,
        {
            "title": "Plants",
            "due_date": DUE,
            "repeat": "FREQ=WEEKLY;COUNT=3",
            "checklist": LIST,
            "tags": ["home"],
            "position": 4,
            "status": "in_progress",
            "own": {"key": 1},
        },
        unknown="keep",
    )


def tasks(owner: User) -> list[dict[str, Any]]:
    return json_storage.list("tasks", owner.pk)


def check_next(owner: User) -> None:
    done, *others = tasks(owner)
    assert (done["status"], done["repeat"], done["checklist"]) == ("completed", "", LIST)
    (again,) = others
    kept = {key: done[key] for key in ("title", "description", "priority", "tags", "own")}
    assert kept.items() <= again.items()
    assert (again["id"], again["status"], again["completed_at"]) == (2, "pending", None)
    assert (again["due_date"], again["repeat"]) == (THEN, "FREQ=WEEKLY;COUNT=2")
    assert again["position"] is None and again["created_at"] > done["created_at"]
    assert [item["done"] for item in again["checklist"]] == [False, False]
    assert list(again) == list(done)


def by_python(client: Client, owner: User) -> None:
    json_storage.save_task_data(owner.pk, {"id": 1, "status": "completed"})


def by_bulk(client: Client, owner: User) -> None:
    completed = {"op": "update", "id": 1, "changes": {"status": "completed"}}
    for _ in range(2):
        json_storage.bulk("tasks", owner.pk, [completed])


def by_button(client: Client, owner: User) -> None:
    client.force_login(owner)
    client.post("/tasks/1/complete/")
    client.post("/tasks/1/complete/")


def by_api(client: Client, owner: User) -> None:
    _token, secret = create_token(owner, "")
    headers = {"Authorization": f"Bearer {secret}"}
    for _ in range(2):
        answer = client.patch(
            "/accounts/api/tasks/1/",
            json.dumps({"status": "completed"}),
            content_type="application/merge-patch+json",
            headers=headers,
        )
        assert answer.status_code == 200, answer.content
        assert answer.json()["repeat"] == ""


@pytest.mark.parametrize("door", [by_python, by_bulk, by_button, by_api])
def test_the_next_one_is_there_through_every_door(
    door: Any, client: Client, alice: User, task: dict[str, Any]
) -> None:
    door(client, alice)
    check_next(alice)


def test_concurrent_completions_add_one_occurrence(alice: User, task: dict[str, Any]) -> None:
    together = Barrier(8)

    def complete(_: int) -> None:
        together.wait()
        json_storage.update("tasks", alice.pk, 1, {"status": "completed"})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(complete, range(8)))
    check_next(alice)


def test_completing_it_again_adds_nothing(alice: User, task: dict[str, Any]) -> None:
    for status in ("completed", "pending", "completed", "review", "completed"):
        json_storage.update("tasks", alice.pk, 1, {"status": status})
    check_next(alice)


def test_a_rule_on_what_is_completed_already_adds_nothing(alice: User) -> None:
    json_storage.create("tasks", alice.pk, {"title": "Plants", "status": "completed"})
    json_storage.update("tasks", alice.pk, 1, {"repeat": "FREQ=DAILY"})
    json_storage.update("tasks", alice.pk, 1, {"title": "Flowers", "status": "completed"})
    (task,) = tasks(alice)
    assert (task["title"], task["repeat"]) == ("Flowers", "FREQ=DAILY")


def test_it_ends(alice: User, task: dict[str, Any]) -> None:
    for number in (1, 2, 3):
        json_storage.update("tasks", alice.pk, number, {"status": "completed"})
    assert len(tasks(alice)) == 3


def test_an_undo_takes_the_next_one_away(alice: User, task: dict[str, Any]) -> None:
    json_storage.update("tasks", alice.pk, 1, {"status": "completed"})
    mine = latest_commit.get()
    json_storage.undo(alice.pk, mine)
    assert [{**one, "updated_at": 0} for one in tasks(alice)] == [{**task, "updated_at": 0}]
    json_storage.undo(alice.pk, latest_commit.get())
    check_next(alice)
    json_storage.update("tasks", alice.pk, 2, {"title": "Begun"})
    with pytest.raises(Conflict, match="Begun"):
        json_storage.undo(alice.pk, mine)


def test_nine_o_clock_stays_nine_o_clock_where_the_owner_lives(alice: User) -> None:
    json_storage.change_preferences(alice.pk, {"time_zone": "Europe/Madrid"})
    rule = {"title": "Call", "due_date": "2030-10-26T07:00:00Z", "repeat": "FREQ=DAILY"}
    json_storage.create("tasks", alice.pk, rule)
    with timezone.override("America/New_York"):
        json_storage.update("tasks", alice.pk, 1, {"status": "completed"})
    assert tasks(alice)[1]["due_date"] == "2030-10-27T08:00:00.000000Z"


def complete_by_python(client: Client, owner: User) -> None:
    json_storage.update("tasks", owner.pk, 1, {"status": "completed"})


def complete_by_button(client: Client, owner: User) -> None:
    client.force_login(owner)
    client.cookies["timezone"] = "America/New_York"
    client.post("/tasks/1/complete/")


def complete_by_api(client: Client, owner: User) -> None:
    _token, secret = create_token(owner, "")
    answer = client.patch(
        "/accounts/api/tasks/1/",
        json.dumps({"status": "completed"}),
        content_type="application/merge-patch+json",
        headers={"Authorization": f"Bearer {secret}"},
    )
    assert answer.status_code == 200, answer.content


@pytest.mark.parametrize("door", [complete_by_python, complete_by_button, complete_by_api])
@pytest.mark.parametrize(
    ("zone", "due", "rule", "then"),
    [
        # Monday 07:00; Friday 20:00; 09:00 in winter and in summer.
        ("Asia/Tokyo", "2036-12-07T22:00Z", "FREQ=WEEKLY;BYDAY=MO", "2036-12-14T22:00"),
        (
            *("America/Los_Angeles", "2036-12-06T04:00Z", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
            "2036-12-09T04:00",
        ),
        ("Europe/Madrid", "2036-03-29T08:00Z", "FREQ=DAILY", "2036-03-30T07:00"),
        ("Europe/Madrid", "2036-10-25T07:00Z", "FREQ=DAILY", "2036-10-26T08:00"),
    ],
)
def test_each_door_counts_in_the_zone_that_the_task_was_made_in(
    zone: str, due: str, rule: str, then: str, door: Any, client: Client, alice: User
) -> None:
    with timezone.override(zone):
        made = json_storage.create(
            "tasks", alice.pk, {"title": "Call", "due_date": due, "repeat": rule}
        )
    assert made["time_zone"] == zone
    door(client, alice)
    done, again = tasks(alice)
    assert again["due_date"] == f"{then}:00.000000Z"
    assert (again["time_zone"], done["time_zone"]) == (zone, "")


def test_a_program_names_the_zone_or_its_offset_is_taken(alice: User) -> None:
    task = {"title": "Call", "due_date": "2036-12-08T07:00+09:00", "repeat": "FREQ=WEEKLY"}
    zones = [
        json_storage.create("tasks", alice.pk, task | more)["time_zone"]
        for more in ({"time_zone": "Asia/Seoul"}, {}, {"due_date": "2036-12-08T07:00Z"})
    ]
    assert zones == ["Asia/Seoul", "Etc/GMT-9", "UTC"]
    json_storage.change_preferences(alice.pk, {"time_zone": "Europe/Madrid"})
    assert json_storage.create("tasks", alice.pk, task)["time_zone"] == "Europe/Madrid"


def test_the_zone_comes_and_goes_with_the_rule(alice: User) -> None:
    def zone_after(**changes: object) -> str:
        return json_storage.update("tasks", alice.pk, 1, changes)["time_zone"]

    json_storage.create("tasks", alice.pk, {"title": "Call", "due_date": "2036-12-08"})
    with timezone.override("Asia/Tokyo"):
        assert zone_after(repeat="FREQ=DAILY") == "Asia/Tokyo"
    with timezone.override("Europe/Madrid"):
        assert zone_after(title="Ring", time_zone="") == "Asia/Tokyo"
        whole = {"title": "Ring", "repeat": "FREQ=WEEKLY"}  # of a program that knows no zones
        replaced = json_storage.update("tasks", alice.pk, 1, whole, replace=True)
        assert replaced["time_zone"] == "Asia/Tokyo"
        assert zone_after(repeat="") == ""
        assert zone_after(repeat="FREQ=DAILY") == "Europe/Madrid"
        assert zone_after(time_zone="Asia/Seoul") == "Asia/Seoul"


def test_invalid_repeat_of_old_record_is_ignored(alice: User, data_folder: Path) -> None:
    for odd in ("every day", ["FREQ=DAILY"], None, {"FREQ": "DAILY"}):
        record = {"id": 1, "title": "Old", "status": "pending", "repeat": odd, "checklist": "?"}
        write_document(data_folder, f"tasks/tasks_{alice.pk}.json", {"tasks": [record]})
        done = json_storage.update("tasks", alice.pk, 1, {"status": "completed"})
        assert done["repeat"] == odd and len(tasks(alice)) == 1
        json_storage.close()
