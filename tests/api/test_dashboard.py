from tests.api.conftest import Caller
from utils.json_storage import json_storage
from workspace.documents import key_of


def test_it_works(alice: Caller) -> None:
    alice.post("tasks/", {"title": "A", "priority": "high", "due_date": "2020-01-01"})
    alice.post("tasks/", {"title": "B", "status": "completed"})
    alice.post("projects/", {"name": "P"})
    alice.post("models/", {"name": "M", "status": "active"})

    answer = alice.get("dashboard/")

    assert answer.status_code == 200
    dashboard = answer.json()
    assert list(dashboard) == ["user", "statistics", "recent_activities"]
    assert dashboard["user"]["username"] == "alice"
    assert dashboard["user"]["api_calls_used"] == 4
    assert dashboard["statistics"] == {
        "total_tasks": 2,
        "completed_tasks": 1,
        "overdue_tasks": 1,
        "total_projects": 1,
        "active_projects": 1,
        "total_models": 1,
        "active_models": 1,
        "tasks_by_status": {"pending": 1, "in_progress": 0, "review": 0, "completed": 1},
        "tasks_by_priority": {"low": 0, "medium": 1, "high": 1, "critical": 0},
    }
    assert [activity["type"] for activity in dashboard["recent_activities"]] == [
        "model_created",
        "project_created",
        "task_created",
        "task_created",
        "account_created",
    ]


def test_it_shows_the_ten_latest_activities(alice: Caller) -> None:
    for number in range(12):
        json_storage.update_user_activity(alice.id, "note", f"Note {number}")

    recent = alice.get("dashboard/").json()["recent_activities"]

    assert [activity["description"] for activity in recent] == [
        f"Note {n}" for n in range(11, 1, -1)
    ]


def test_count_of_an_earlier_hour_is_over(alice: Caller) -> None:
    alice.get("tasks/")
    assert alice.document["api_calls_used"] == 1
    person, earlier = key_of("users", alice.id), {"api_calls_period": "2020-01-01T00"}
    json_storage.store.change(lambda transaction: transaction.set(person, earlier))

    assert alice.get("dashboard/").json()["user"]["api_calls_used"] == 0


def test_no_secret_is_shown(alice: Caller) -> None:
    text = alice.get("dashboard/").content.decode()

    assert "password" not in text
    assert alice.token not in text
    assert alice.user.password not in text
