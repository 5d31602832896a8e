"""A task by one line of plain words, over the API."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.api.conftest import Caller
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
def test_quick_add_invalid_body_reports_pointer(alice: Caller, body: object, pointer: str) -> None:
    refused = alice.post("tasks/quick/", body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer
    assert json_storage.list("tasks", alice.id) == []


def test_a_line_that_repeats_remembers_where_it_was_meant(alice: Caller) -> None:
    line = {"text": "Call every monday at 7:00", "time_zone": "Asia/Tokyo"}
    task = alice.post("tasks/quick/", line).json()
    assert (task["title"], task["time_zone"]) == ("Call", "Asia/Tokyo")
    assert task["due_date"].endswith("T22:00:00.000000Z")
    assert alice.post("tasks/quick/", {"text": "Call tomorrow"}).json()["time_zone"] == ""


def test_dates_in_words_are_read_for_programs(alice: Caller) -> None:
    before = alice.get("quota/").json()["used"]
    asked = "dates/?text=26+nov+2031+at+9&time_zone=Europe/Madrid"
    assert alice.get(asked).json() == {
        "text": "26 nov 2031 at 9",
        "due_date": "2031-11-26T08:00:00.000000Z",
        "repeat": "",
        "time_zone": "Europe/Madrid",
    }
    json_storage.change_preferences(alice.id, {"time_zone": "Asia/Tokyo", "language": "es"})
    told = alice.get("dates/", data={"text": "cada 26 de noviembre"}).json()
    assert told["repeat"] == "FREQ=YEARLY;BYMONTH=11;BYMONTHDAY=26"
    assert told["time_zone"] == "Asia/Tokyo" and told["due_date"].endswith("-11-26")
    nothing = alice.get("dates/", data={"text": "some day"}).json()
    assert (nothing["due_date"], nothing["repeat"]) == (None, "")
    assert alice.get("quota/").json()["used"] == before


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": "x" * 201}, "text"),
        ({"text": "today", "time_zone": "Mars"}, "time_zone"),
    ],
)
def test_a_faulty_question_for_a_date_names_the_parameter(
    alice: Caller, query: dict[str, str], parameter: str
) -> None:
    refused = alice.get("dates/", data=query)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["parameter"] == parameter
