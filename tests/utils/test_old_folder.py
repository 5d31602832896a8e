"""A data folder as the earlier NeuralFlow wrote it: served, counted and checked as it is.

tests/golden/old_folder has no revisions, naive times, missing keys and keys of its own, texts for
numbers, `_index.json` files, a person unknown to the database, and a few real faults. It must work
for ever: its files are never edited.
"""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts.models import User
from docstore import Corrupt
from tests.accounts_in_db import add_account
from tests.folders import contents, exact, times
from utils.data_initializer import data_initializer
from utils.json_storage import json_storage

pytestmark = pytest.mark.django_db

GOLDEN = Path(__file__).resolve().parents[1] / "golden/old_folder"
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture
def old(data_folder: Path, settings: Settings) -> Path:
    """The old folder in its place, with the accounts of Alice and Bob; nobody knows Dora.

    Its activities are of 2025, and retained on any day on which the tests run.
    """
    settings.NEURALFLOW_ACTIVITY_DAYS = 36_500
    shutil.copytree(GOLDEN, data_folder)
    add_account(1, "alice")
    add_account(2, "bob")
    return data_folder


def file(old: Path, name: str) -> Any:
    return json.loads(exact(old / name).read_text("utf-8"))


def look_at_everything() -> None:
    for owner in (1, 2, 42, 99):
        json_storage.get_user_data(owner)
        json_storage.activities(owner)
        json_storage.dashboard(owner)
        json_storage.quota(owner)
        for collection in ("tasks", "projects", "models"):
            json_storage.list(collection, owner)
    data_initializer.get_storage_stats()
    data_initializer.validate_data_integrity()


def test_reading_changes_no_byte_and_no_time(old: Path) -> None:
    before = contents(old), {name: times(old)[name] for name in contents(old)}
    look_at_everything()
    json_storage.close()
    data_initializer.initialize_data_structure()
    look_at_everything()
    assert (contents(old), {name: times(old)[name] for name in contents(old)}) == before


def test_everything_is_served_as_it_is(old: Path) -> None:
    assert json_storage.list("tasks", 1) == file(old, "tasks/tasks_1.json")["tasks"]
    assert json_storage.list("models", 1) == file(old, "models/models_1.json")["models"]
    assert json_storage.list("tasks", 2) == []
    assert json_storage.list("projects", 2) == []  # a document that is not there
    assert json_storage.get_user_data(1) == file(old, "users/user_1.json")
    assert json_storage.get_user_data(2)["first_name"] == "Bjørn"  # type: ignore[index]
    assert json_storage.get_user_data(42)["username"] == "dora"  # type: ignore[index]
    big = json_storage.get("tasks", 1, 3)
    assert big["metadata"]["seed"] == 123456789012345678901234567890
    assert big["title"] == "Label 😀 größer 数据"
    assert json_storage.activities(1)[0]["description"] == "Created task: Label 😀"


def test_the_dashboard_counts_records_without_status(old: Path) -> None:
    statistics = json_storage.dashboard(1)["statistics"]
    assert statistics["total_tasks"] == 4
    assert statistics["tasks_by_status"] == {
        "pending": 2,
        "in_progress": 1,
        "review": 0,
        "completed": 1,
    }
    assert statistics["tasks_by_priority"]["urgent"] == 1
    assert (statistics["active_projects"], statistics["total_models"]) == (1, 3)


def test_it_is_counted_with_people_unknown_to_the_database(old: Path) -> None:
    stats = data_initializer.get_storage_stats()
    totals = {name: value for name, value in stats.items() if name.startswith("total_")}
    assert totals == {
        "total_users": 3,
        "total_tasks": 5,
        "total_projects": 1,
        "total_models": 3,
        "total_activities": 3,
    }
    documents = [name for name in contents(old) if re.search(r"_\d+\.json$", name)]
    assert stats["size_bytes"]["total"] == sum((old / name).stat().st_size for name in documents)
    assert stats["unreadable_documents"] == []


def test_exactly_these_faults_are_found(old: Path) -> None:
    sync = "run setup_data --sync-users"
    assert [str(finding) for finding in data_initializer.validate_data_integrity()] == [
        "tasks/tasks_1.json.bak: is not a document and is left alone",
        "backups/: the folder is missing: run setup_data",
        'tasks/tasks_1.json:63:19: task 5: "priority" must be one of low, medium, high, critical',
        'tasks/tasks_1.json:65:21: task 5: "project_id" is 7, but there is no project 7',
        'projects/projects_1.json:21:17: project 1: "budget" must be a number of at least 0, '
        "or null",
        'models/models_1.json:17:5: model without an id: "id" is missing; '
        "it must be a positive whole number",
        "models/models_1.json:29:13: the id 1 is taken by an earlier record",
        f"users/user_2.json:4:12: \"email\" differs from the account's, 'bob@example.com': {sync}",
        f"projects/projects_2.json: is missing; account 2 should have it: {sync}",
        f"models/models_2.json: is missing; account 2 should have it: {sync}",
        "users/user_42.json: user 42 has no account in the database: run setup_data --adopt-users",
        'tasks/tasks_42.json:6:18: task 1: "user_id" is 24, but the name of the file says 42',
    ]


def test_changing_a_task_brings_this_one_up_to_date_and_no_other(old: Path) -> None:
    before, others = file(old, "tasks/tasks_1.json"), contents(old)
    json_storage.update("tasks", 1, 3, {"status": "review"})
    after = file(old, "tasks/tasks_1.json")
    was, now = before["tasks"].pop(2), after["tasks"].pop(2)
    assert after["tasks"] == before["tasks"]
    assert now["status"] == "review"
    assert now["created_at"] == "2025-07-01T18:02:11.000001Z"
    assert now["due_date"] == "2025-07-09T17:00:00.000000Z"
    assert UTC_TIME.fullmatch(now["updated_at"])
    kept = was.keys() - {"status", "created_at", "due_date", "updated_at"}
    assert {key: now[key] for key in kept} == {key: was[key] for key in kept}
    assert now["estimate_hours"] == 12 and now["assignee"] == {"name": "Zoë", "id": None}
    assert now["category"] == ""  # was missing
    assert after["revision"] == 1
    assert UTC_TIME.fullmatch(after["updated_at"])
    others.pop("tasks/tasks_1.json")
    assert others == {name: data for name, data in contents(old).items() if name in others}


def test_other_records_keep_their_very_text(old: Path) -> None:
    """Values that a lesser reader would bend: 30 digits, 0.1, an emoji, a naive time."""
    untouched = (old / "tasks/tasks_1.json").read_text("utf-8")
    json_storage.update("tasks", 1, 2, {"priority": "low"})
    written = exact(old / "tasks/tasks_1.json").read_text("utf-8")
    for number in (0, 2, 3):
        record = json.dumps(json.loads(untouched)["tasks"][number], indent=2, ensure_ascii=False)
        assert textwrap_indent(record) in untouched
        assert textwrap_indent(record) in written


def textwrap_indent(text: str) -> str:
    return text.replace("\n", "\n    ")


def test_new_ids_go_on_above_the_highest_and_none_comes_back(old: Path) -> None:
    assert json_storage.save_task_data(1, {"title": "new"})["id"] == 6
    json_storage.delete("tasks", 1, 6)
    json_storage.delete("tasks", 1, 5)
    assert json_storage.save_task_data(1, {"title": "newer"})["id"] == 7
    assert file(old, "tasks/tasks_1.json")["last_id"] == 7
    assert [task["id"] for task in json_storage.list("tasks", 1)] == [1, 2, 3, 7]


def test_a_fault_that_was_there_already_keeps_nobody_from_mending_the_rest(old: Path) -> None:
    changed = json_storage.update("tasks", 1, 5, {"title": "Train again"})
    assert (changed["priority"], changed["project_id"]) == ("urgent", 7)
    changed = json_storage.update("projects", 1, 1, {"description": "Cats"})
    assert changed["budget"] == "12000 EUR" and changed["group_id"] is None


def test_old_activities_are_removed_by_their_age(old: Path, settings: Settings) -> None:
    settings.NEURALFLOW_ACTIVITY_DAYS = 0
    json_storage.update_user_activity(1, "login", "Signed in")
    past = json_storage.past(1)
    assert [activity["description"] for activity in past] == ["Signed in"]
    assert past.trimmed == 3


def test_two_records_with_one_id_are_not_changed_by_guess(old: Path) -> None:
    before = contents(old)
    with pytest.raises(Corrupt, match="2 records have the id 1"):
        json_storage.update("models", 1, 1, {"name": "which?"})
    assert contents(old) == before


def test_an_activity_is_added_behind_the_old_ones(old: Path) -> None:
    before = file(old, "users/user_1.json")
    json_storage.update_user_activity(1, "login", "Signed in")
    after = file(old, "users/user_1.json")
    assert after["activities"][:3] == before["activities"]
    assert len(after["activities"]) == 4
    kept = before.keys() - {"activities", "updated_at"}
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}


def test_moving_in_adopt_then_sync(old: Path) -> None:
    """Dora gets her account; then the mirrors agree and only the real faults are left."""
    adopted = data_initializer.adopt_users()
    assert (adopted.usernames, adopted.findings) == (["dora"], [])
    dora = User.objects.get(pk=42)
    assert (dora.email, dora.subscription_plan) == ("dora@example.com", "pro")
    assert dora.date_joined == datetime(2025, 7, 1, 9, tzinfo=UTC)
    before = file(old, "users/user_1.json")
    User.objects.filter(pk=1).update(
        first_name="Alice", last_name="Müller", profile=before["profile"]
    )
    assert data_initializer.sync_existing_users().findings == []
    again = times(old)
    assert data_initializer.sync_existing_users().changed == 0
    assert times(old) == again
    after = file(old, "users/user_1.json")
    assert after["activities"] == before["activities"]
    assert after["api_calls_used"] == 37
    assert (after["theme"], after["api_key_hint"]) == ("dark", None)
    assert after["profile"]["mentor"] == "Grace"
    left = [str(finding) for finding in data_initializer.validate_data_integrity()]
    assert not [text for text in left if "setup_data --" in text]
    assert len(left) == 8


def test_the_index_files_are_never_touched(old: Path) -> None:
    before = {name: times(old)[name] for name in times(old) if name.endswith("_index.json")}
    assert len(before) == 4
    look_at_everything()
    json_storage.save_task_data(1, {"title": "new"})
    data_initializer.adopt_users()
    data_initializer.sync_existing_users()
    backup = data_initializer.create_backup()
    assert {name: times(old)[name] for name in before} == before
    index = contents(old)["tasks/_index.json"]
    data_initializer.restore_backup(backup.name)
    assert contents(old)["tasks/_index.json"] == index
