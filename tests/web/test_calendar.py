"""A month of tasks as a calendar."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from accounts.models import User
from tests.web.pages import text_of
from utils.json_storage import json_storage
from web.tasks.calendar import CalendarMonth, month_in, month_of

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOVEMBER = date(2026, 11, 1)  # a Sunday


def month(
    *dues: str | None, now: datetime = NOW, first: date = NOVEMBER, **more: Any
) -> CalendarMonth:
    tasks = [{"id": n, "due_date": due} for n, due in enumerate(dues)]
    return month_of(tasks, first, now, **more)


def filled(found: CalendarMonth) -> dict[str, list[Any]]:
    return {
        day.date.isoformat(): [task["due_date"] for task in day.due.first(99)]
        for week in found.weeks
        for day in week
        if day.total
    }


@pytest.mark.parametrize(
    ("first_weekday", "start", "weeks"),
    [(0, "2026-10-26", 6), (6, "2026-11-01", 5), (5, "2026-10-31", 5)],
)
def test_weeks_are_whole_and_begin_as_the_person_likes(
    first_weekday: int, start: str, weeks: int
) -> None:
    found = month(first_weekday=first_weekday)
    assert found.weekdays[0].isoformat() == start
    assert [len(week) for week in found.weeks] == [7] * weeks
    inside = [day.date for week in found.weeks for day in week if day.in_month]
    assert (inside[0], inside[-1], len(inside)) == (NOVEMBER, date(2026, 11, 30), 30)


def test_a_task_stands_on_its_day_where_the_person_is() -> None:
    dues = ("2026-10-26", "2026-10-25", "2026-11-24", "2026-11-24T23:30:00Z", "2027-01-01", None)
    here = month(*dues)
    assert filled(here) == {
        "2026-10-26": ["2026-10-26"],
        "2026-11-24": ["2026-11-24T23:30:00Z", "2026-11-24"],
    }
    assert here.total == 2
    madrid = month(*dues, now=NOW.astimezone(ZoneInfo("Europe/Madrid")))
    assert filled(madrid)["2026-11-25"] == ["2026-11-24T23:30:00Z"]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("2027-02", date(2027, 2, 1)),
        ("", NOVEMBER),
        ("2027-13", NOVEMBER),
        ("0001-01", NOVEMBER),
        ("9999-12", NOVEMBER),
        ("2027-2", NOVEMBER),
        ("\uff12\uff10\uff12\uff17-02", NOVEMBER),
    ],
)
def test_a_month_is_named_in_the_address(text: str, first: date) -> None:
    assert month_in(text, NOW.date()) == first


@pytest.mark.parametrize("text", ["0002-01", "9998-12"])
def test_the_calendar_ends_before_time_does(text: str) -> None:
    found = month(first=month_in(text, NOW.date()))
    assert (found.before is None, found.after is None) == (text < "1", text > "1")


# The page


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def test_the_page_is_a_table_with_a_day_to_look_at(browser: Client, alice: User) -> None:
    for number in range(5):
        task = {"title": f"Train {number}", "due_date": "2031-11-26"}
        json_storage.create("tasks", alice.pk, task)
    page = browser.get("/tasks/month/?month=2031-11")
    body, words = page.content.decode(), text_of(page)
    assert "November 2031 5 tasks" in words and "2 more" in words
    assert body.count('<th scope="col">') == 7
    assert "month=2031-10" in body and "month=2031-12" in body
    assert "Train 4" not in words
    chosen = text_of(browser.get("/tasks/month/?month=2031-11&day=2031-11-26"))
    assert "Train 4" in chosen and "Wednesday 26 November" in chosen
    assert "Nothing is due this month." in text_of(browser.get("/tasks/month/?month=2031-12"))


def test_a_week_begins_where_the_person_chose(browser: Client, alice: User) -> None:
    json_storage.change_preferences(alice.pk, {"week_start": "saturday"})
    assert "Sat Sun Mon" in text_of(browser.get("/tasks/month/"))


def test_the_month_of_a_project_stays_one(browser: Client, alice: User) -> None:
    project = json_storage.create("projects", alice.pk, {"name": "X-rays"})["id"]
    for title, of in (("Inside", project), ("Outside", None)):
        task = {"title": title, "due_date": "2031-11-26", "project_id": of}
        json_storage.create("tasks", alice.pk, task)
    page = browser.get(f"/tasks/month/?project={project}&month=2031-11")
    assert "Inside" in text_of(page) and "Outside" not in text_of(page)
    assert f"?project={project}&amp;month=2031-12" in page.content.decode()
