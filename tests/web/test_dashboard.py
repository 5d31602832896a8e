"""The dashboard: figures, what is due, projects, models, activity; and what it says when one of
the documents cannot be read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from accounts.models import User
from tests.folders import exact
from tests.web.pages import OLD_MODELS, OLD_PROJECTS, OLD_TASKS, text_of, write_document
from utils.data_initializer import data_initializer
from utils.json_storage import json_storage
from web.dashboard import summary
from web.dashboard.heatmap import heat_of

pytestmark = pytest.mark.usefixtures("still_clock")


def day(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def test_it_works(browser: Client, alice: User) -> None:
    project = json_storage.create("projects", alice.pk, {"name": "X-rays"})["id"]
    json_storage.create("tasks", alice.pk, {"title": "Train", "project_id": project})
    json_storage.create(
        "tasks", alice.pk, {"title": "Read", "project_id": project, "status": "completed"}
    )
    json_storage.create("models", alice.pk, {"name": "resnet", "status": "active"})
    page = browser.get("/dashboard/")
    assert page.status_code == 200
    words = text_of(page)
    assert "Tasks completed 1 of 2" in words
    assert "Projects active 1 of 1" in words
    assert "Models active 1 of 1" in words
    assert "API calls this hour 0 of 1000" in words
    assert "X-rays 1 of 2 tasks done" in words
    assert "resnet Classification Active" in words
    assert 'rect width="50"' in page.content.decode()


def test_one_must_log_in(client: Client, db: None) -> None:
    page = client.get("/dashboard/")
    assert page.status_code == 302
    assert page["Location"] == "/accounts/login/?next=/dashboard/"


def test_an_empty_dashboard_says_what_to_do_next(browser: Client) -> None:
    page = browser.get("/dashboard/")
    for address in ("/tasks/new/", "/projects/new/", "/models/new/"):
        assert address in page.content.decode()


def test_overdue_and_due_soon_are_told_apart(browser: Client, alice: User) -> None:
    for title, due in [("Late", day(-2)), ("Soon", day(3)), ("Far", day(30)), ("Today", day(0))]:
        json_storage.create("tasks", alice.pk, {"title": title, "due_date": due})
    done = {"title": "Done", "due_date": day(-5), "status": "completed"}
    json_storage.create("tasks", alice.pk, done)
    figures = summary.summary(json_storage, alice.pk, datetime.now(UTC))
    assert [row.title for row in figures.overdue] == ["Late"]
    assert [row.title for row in figures.today] == ["Today"]
    assert [row.title for row in figures.due_soon] == ["Soon"]
    assert "Tasks overdue 1" in text_of(browser.get("/dashboard/"))


def test_the_ten_latest_activities_are_told_newest_first(browser: Client, alice: User) -> None:
    for number in range(12):
        json_storage.update_user_activity(alice.pk, "came", f"Came in, time {number}")
    words = text_of(browser.get("/dashboard/"))
    assert "Came in, time 11" in words
    assert "Came in, time 2 " in words
    assert "Came in, time 1 " not in words
    assert words.index("time 11") < words.index("time 10")


def test_an_activity_without_description_is_told_by_its_type(browser: Client, alice: User) -> None:
    json_storage.update_user_activity(alice.pk, "password_changed", "")
    json_storage.update_user_activity(alice.pk, "moon_landing", "")
    words = text_of(browser.get("/dashboard/"))
    assert "Changed the password" in words
    assert "Moon landing" in words


def test_old_documents_are_shown(browser: Client, alice: User, data_folder: Path) -> None:
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", OLD_TASKS)
    write_document(data_folder, f"projects/projects_{alice.pk}.json", OLD_PROJECTS)
    write_document(data_folder, f"models/models_{alice.pk}.json", OLD_MODELS)
    json_storage.close()
    words = text_of(browser.get("/dashboard/"))
    assert "Untitled task" in words  # it is overdue
    assert "Stuck 1" in words
    assert "Old no tasks yet" in words
    assert "Older Classification Draft" in words


@pytest.mark.parametrize(
    ("broken", "healthy"),
    [("tasks", "resnet"), ("projects", "Train the baseline"), ("models", "Train the baseline")],
)
def test_a_document_that_cannot_be_read_costs_its_own_panels_only(
    browser: Client, alice: User, data_folder: Path, broken: str, healthy: str
) -> None:
    task = {"title": "Train the baseline", "due_date": day(1)}
    json_storage.create("tasks", alice.pk, task)
    json_storage.create("projects", alice.pk, {"name": "X-rays"})
    json_storage.create("models", alice.pk, {"name": "resnet"})
    json_storage.close()
    path = write_document(data_folder, f"{broken}/{broken}_{alice.pk}.json", '{\n  "oops\n')
    page = browser.get("/dashboard/")
    assert page.status_code == 200
    words = text_of(page)
    assert f"{broken}/{broken}_{alice.pk}.json cannot be read" in words
    assert "Line 2, column" in words
    assert healthy in words
    assert exact(path).read_text() == '{\n  "oops\n'


def test_a_user_document_that_cannot_be_read_costs_the_activities(
    browser: Client, alice: User, data_folder: Path
) -> None:
    json_storage.create("models", alice.pk, {"name": "resnet"})
    json_storage.close()
    write_document(data_folder, f"users/user_{alice.pk}.json", "not JSON")
    page = browser.get("/dashboard/")
    assert page.status_code == 200
    assert f"users/user_{alice.pk}.json cannot be read" in text_of(page)
    assert "resnet" in text_of(page)


def test_dashboard_due_task_can_be_completed_in_place(browser: Client, alice: User) -> None:
    for number in range(8):
        task = {"title": f"Task {number}", "due_date": day(0)}
        json_storage.create("tasks", alice.pk, task)
    urgent = {"title": "Urgent", "due_date": day(0), "priority": "critical"}
    json_storage.create("tasks", alice.pk, urgent)
    words = text_of(browser.get("/dashboard/"))
    assert words.index("Complete Urgent") < words.index("Complete Task 0")
    assert "3 more" in words
    answer = browser.post("/tasks/9/complete/", {"next": "/dashboard/"}, follow=True)
    assert answer.redirect_chain == [("/dashboard/", 302)]
    assert "Complete Urgent" not in text_of(answer)
    assert "2 more" in text_of(answer)


def test_a_half_year_is_told_by_days(browser: Client, alice: User) -> None:
    assert "No activity yet. Your work on" in text_of(browser.get("/dashboard/"))
    for _time in range(2):
        json_storage.update_user_activity(alice.pk, "task_created", "Added a task")
    json_storage.update_user_activity(alice.pk, "login", "Logged in")
    page = browser.get("/dashboard/")
    today = datetime.now(UTC).date()
    assert f"2 actions in 26 weeks, busiest day {today.day} {today:%b} (2)" in text_of(page)
    assert page.content.decode().count('class="heat-4"') == 1


def test_days_of_the_half_year_are_those_of_the_zone() -> None:
    late = {"type": "task_created", "timestamp": "2026-11-22T23:30:00Z"}
    old = {"type": "task_created", "timestamp": "2026-01-01T10:00:00Z"}
    odd = [{"type": "task_created", "timestamp": None}, {"type": None}, {}]
    found = {}
    for zone in ("UTC", "Europe/Madrid"):
        now = datetime(2026, 11, 23, 12, tzinfo=ZoneInfo(zone))
        heat = heat_of([old, *odd, late], now)
        assert heat.total == 1 and heat.best is not None
        found[zone] = heat.best.date.isoformat()
        assert len(heat.weeks) == 26
        assert [day is not None for day in heat.weeks[-1].days] == [True] + 6 * [False]
    assert found == {"UTC": "2026-11-22", "Europe/Madrid": "2026-11-23"}
    sundays = heat_of([], now, first_weekday=6)
    assert {week.start.weekday() for week in sundays.weeks} == {6}


@pytest.mark.parametrize(
    ("zone", "times", "days"),
    [
        ("Asia/Kathmandu", ["22T18:14:00.000000Z", "22T18:15:00.000000Z"], {22: 1, 23: 1}),
        ("UTC", ["22T23:10:00.000000Z", "22T23:10:00-09:00"], {22: 1, 23: 1}),
        ("UTC", ["22T23:10:00", "22T23:10:00.5Z", "22"], {22: 3}),
    ],
)
def test_heat_map_counts_each_activity_on_its_day_in_the_zone(
    zone: str, times: list[str], days: dict[int, int]
) -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=ZoneInfo(zone))
    for order in (times, times[::-1]):
        activities = [{"type": "task_created", "timestamp": f"2026-11-{time}"} for time in order]
        shown = [day for week in heat_of(activities, now).weeks for day in week.days if day]
        assert {day.date.day: day.count for day in shown if day.count} == days


def test_staff_is_told_how_old_the_last_backup_is(browser: Client, alice: User) -> None:
    assert "Last backup" not in text_of(browser.get("/dashboard/"))
    alice.is_staff = True
    alice.save()
    page = browser.get("/dashboard/")
    assert "Last backup none" in text_of(page) and "figure-warn" in page.content.decode()
    data_initializer.create_backup()
    page = browser.get("/dashboard/")
    assert "0 minutes ago" in text_of(page) and "figure-warn" not in page.content.decode()
