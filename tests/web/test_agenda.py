"""The agenda: open tasks by the day on which they are due, where the person is."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from accounts.models import User
from tests.web.pages import text_of
from utils.json_storage import json_storage
from web.tasks.agenda import agenda

MADRID = ZoneInfo("Europe/Madrid")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)  # a Monday


def groups(*dues: str | None, now: datetime = NOW, **values: Any) -> dict[str, list[Any]]:
    tasks = [{"id": n, "due_date": due, **values} for n, due in enumerate(dues)]
    found = agenda(tasks, now, {})
    return {group.name: [task["due_date"] for task in group.on_page] for group in found}


def test_each_task_stands_under_its_day() -> None:
    dues = [
        "2026-11-22",
        "2026-11-23",
        "2026-11-24",
        "2026-11-26",
        "2026-11-30",
        "2026-12-01",
        None,
    ]
    assert groups(*dues) == {
        "overdue": ["2026-11-22"],
        "today": ["2026-11-23"],
        "tomorrow": ["2026-11-24"],
        "day3": ["2026-11-26"],
        "day7": ["2026-11-30"],
        "later": ["2026-12-01"],
        "undated": [None],
    }


def test_today_is_always_there_and_days_without_tasks_are_not() -> None:
    assert groups() == {"today": []}


def test_agenda_omits_completed_tasks() -> None:
    assert groups("2026-11-20", status="completed") == {"today": []}


def test_a_time_that_has_passed_is_overdue_and_one_to_come_is_not() -> None:
    found = groups("2026-11-23T11:59:00Z", "2026-11-23T12:01:00Z")
    assert found == {"overdue": ["2026-11-23T11:59:00Z"], "today": ["2026-11-23T12:01:00Z"]}


@pytest.mark.parametrize(
    ("due", "name"),
    [
        ("2026-11-23T22:30:00Z", "today"),
        ("2026-11-23T23:30:00Z", "tomorrow"),  # half past midnight, in Madrid
        ("2026-11-24", "tomorrow"),
    ],
)
def test_a_day_is_that_of_the_person(due: str, name: str) -> None:
    assert groups(due, now=NOW.astimezone(MADRID))[name] == [due]


def test_a_day_ends_where_the_person_is() -> None:
    late = datetime(2026, 11, 23, 23, 30, tzinfo=UTC).astimezone(MADRID)
    assert groups("2026-11-23", now=late)["overdue"] == ["2026-11-23"]


def test_agenda_orders_by_time_then_priority() -> None:
    tasks = [
        {"id": 1, "due_date": "2026-11-24"},
        {"id": 2, "due_date": "2026-11-24", "priority": "critical"},
        {"id": 3, "due_date": "2026-11-24T18:00:00Z"},
        {"id": 4, "due_date": "2026-11-24T08:00:00Z"},
    ]
    (_today, tomorrow) = agenda(tasks, NOW, {})
    assert [task["id"] for task in tomorrow.on_page] == [4, 3, 2, 1]


def test_agenda_beyond_page_limit_collapses_later_groups() -> None:
    dues = [f"2026-11-{day}" for day in range(23, 28) for _ in range(30)]
    tasks = [{"id": n, "due_date": due} for n, due in enumerate(dues)]
    shown = [(len(group.on_page), group.more) for group in agenda(tasks, NOW, {})]
    assert shown == [(20, 10), (20, 10), (20, 10), (0, 20), (0, 20)]
    asked = agenda(tasks, NOW, {"day4": "40"})[-1]
    assert (len(asked.on_page), asked.more) == (30, 0)


@pytest.mark.parametrize("due", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "some day", 7, []])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
def test_no_due_date_is_too_odd(due: Any, zone: str) -> None:
    found = agenda([{"id": 1, "due_date": due}], NOW.astimezone(ZoneInfo(zone)), {})
    assert sum(group.total for group in found) == 1


# The page


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.mark.usefixtures("still_clock")
def test_the_page_tells_days_by_their_names(browser: Client, alice: User) -> None:
    day = datetime.now(UTC).date() + timedelta(days=3)
    due = {"title": "Train", "due_date": day.isoformat()}
    task = json_storage.create("tasks", alice.pk, due)["id"]
    page = browser.get("/tasks/agenda/")
    assert "Nothing is due today." in text_of(page)
    assert f"{day:%A} {day.day} {day:%B}" in text_of(page)
    assert f'href="/tasks/{task}/edit/?next=%2Ftasks%2Fagenda%2F"' in page.content.decode()
    assert 'href="/tasks/board/"' in page.content.decode()


def test_a_task_is_completed_from_the_agenda(browser: Client, alice: User) -> None:
    task = json_storage.create("tasks", alice.pk, {"title": "Train"})["id"]
    answer = browser.post(f"/tasks/{task}/complete/", {"next": "/tasks/agenda/"}, follow=True)
    assert answer.request["PATH_INFO"] == "/tasks/agenda/"
    assert "No date" not in text_of(answer)


def test_a_task_that_repeats_tells_when_it_is_due_again(browser: Client, alice: User) -> None:
    task = {"title": "Report", "due_date": "2035-11-26", "repeat": "FREQ=WEEKLY"}
    json_storage.create("tasks", alice.pk, task)
    assert "Repeats on 3 Dec 2035" in text_of(browser.get("/tasks/agenda/"))
    assert "Repeats" in text_of(browser.get("/tasks/board/"))


def test_many_tasks_are_shown_in_steps(browser: Client, alice: User) -> None:
    operations = [{"op": "create", "record": {"title": f"T{n}"}} for n in range(50)]
    json_storage.bulk("tasks", alice.pk, operations)
    page = browser.get("/tasks/agenda/")
    assert page.content.decode().count('class="record-title"') == 20
    assert "50 tasks" in text_of(page)
    page = browser.get("/tasks/agenda/?undated=40")
    assert page.content.decode().count('class="record-title"') == 40
    assert "Show 10 more" in text_of(page)


def test_the_agenda_of_a_project(browser: Client, alice: User) -> None:
    project = json_storage.create("projects", alice.pk, {"name": "X-rays"})["id"]
    json_storage.create("tasks", alice.pk, {"title": "Inside", "project_id": project})
    json_storage.create("tasks", alice.pk, {"title": "Outside"})
    page = browser.get(f"/tasks/agenda/?project={project}")
    assert "Inside" in text_of(page)
    assert "Outside" not in text_of(page)
