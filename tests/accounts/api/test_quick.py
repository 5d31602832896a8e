"""A task by one line of plain words, over the API."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.accounts.api.conftest import Caller
from utils.json_storage import json_storage


def test_a_line_becomes_a_task(alice: Caller) -> None:
    project = alice.post("projects/", {"name": "Computer Vision"}).json()["id"]
    line = "Train the baseline 26 nov 2031 17:00 !high #gpu +computer vision"
    made = alice.post("tasks/quick/", {"text": line})
    assert alice.latest["type"] == "task_created"
    task = made.json()
    assert made.status_code == 201
    assert made["Location"] == f"/accounts/api/tasks/{task['id']}/"
    assert made["ETag"] == alice.get(f"tasks/{task['id']}/")["ETag"]
    assert (task["title"], task["due_date"]) == (
        "Train the baseline",
        "2031-11-26T17:00:00.000000Z",
    )
    assert (task["priority"], task["tags"]) == ("high", ["gpu"])
    assert task["project_id"] == project


@pytest.mark.usefixtures("still_clock")
def test_words_are_meant_where_the_person_is(alice: Caller) -> None:
    line = "Call 26 nov 2031 17:00"
    here = alice.post("tasks/quick/", {"text": line, "time_zone": "Europe/Madrid"}).json()
    assert here["due_date"] == "2031-11-26T16:00:00.000000Z"
    json_storage.change_preferences(alice.id, {"time_zone": "Asia/Tokyo", "language": "es"})
    chosen = alice.post("tasks/quick/", {"text": "Llamar mañana"}).json()
    tokyo = datetime.now(UTC) + timedelta(hours=9)
    assert chosen["title"] == "Llamar"
    assert chosen["due_date"] == (tokyo + timedelta(days=1)).date().isoformat()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"text": ""}, "/title"),
        ({"text": "x" * 201}, "/text"),
        ({"text": 1}, "/text"),
        ({}, "/text"),
        ({"text": "Train", "time_zone": "Mars"}, "/time_zone"),
        ({"text": "Train", "title": "Rest"}, "/title"),
    ],
)
def test_what_is_refused_is_told_by_its_place(alice: Caller, body: object, pointer: str) -> None:
    refused = alice.post("tasks/quick/", body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer
    assert json_storage.list("tasks", alice.id) == []
