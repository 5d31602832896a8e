"""A person's file, edited by hand: merged by the rules of the table, as a PATCH is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from docstore import Key
from docstore.merging import FILE_ACTOR
from tests.folders import exact
from utils.data_initializer import data_initializer
from utils.json_storage import json_storage
from workspace.actor import Actor
from workspace.change_feed import changes_for
from workspace.file_edits import asides_of, recent_merges, use_aside
from workspace.membership.members import Memberships
from workspace.users.document import Activity

ALICE = 1
TASKS = Key("tasks", ALICE)


@pytest.fixture(autouse=True)
def world(db: None, data_folder: Path) -> None:
    """A person with a project, and three tasks, one of them in it."""
    User.objects.create_user(pk=ALICE, username="alice")
    json_storage.mirror_account(ALICE, lay_out=True)
    json_storage.create("projects", ALICE, {"name": "Vision"})
    for title, project in (("Train", 1), ("Read", None), ("Write", None)):
        json_storage.create("tasks", ALICE, {"title": title, "project_id": project})


def edit(folder: Path, name: str, change: Callable[[Any], object]) -> Path:
    """Change a file as an editor does; what is on its way to it is published before."""
    path = exact(folder / name)
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content, indent=2))
    return path


def task(number: int) -> dict[str, Any]:
    return json_storage.get("tasks", ALICE, number)


def remarks() -> str:
    found = asides_of(json_storage.store, ALICE)
    return "\n".join(line for _, aside in found for line in aside.remarks)


def test_name_and_address_of_an_account_are_not_changed_by_hand(data_folder: Path) -> None:
    User.objects.create_user(pk=2, username="bob")
    json_storage.mirror_account(2)
    Memberships(json_storage).invite(ALICE, 1, "bob", "viewer")

    def rename(content: Any) -> None:
        content.update(username="The operator", email="root@example.com", location="Oslo")

    edit(data_folder, "users/user_1.json", rename)
    person = json_storage.get_user_data(ALICE)
    assert person is not None
    assert (person["username"], person["email"], person["location"]) == ("alice", "", "Oslo")
    assert '"username" is the account\'s: change it on the page "Profile"' in remarks()
    json_storage.create("projects", ALICE, {"name": "Second"})
    Memberships(json_storage).invite(ALICE, 2, "bob", "viewer")
    owners = {record["owner_name"] for record in json_storage.list("shared", 2)}
    assert owners == {"alice"}


def test_name_without_an_account_is_changed_by_hand(data_folder: Path) -> None:
    User.objects.all().delete()
    edit(data_folder, "users/user_1.json", lambda content: content.update(username="alicia"))
    person = json_storage.get_user_data(ALICE)
    assert person is not None and person["username"] == "alicia"


def test_edit_is_one_change_with_stamps_activity_and_entry(data_folder: Path) -> None:
    since = json_storage.store.sequence()

    def change(content: Any) -> None:
        content["tasks"][1] |= {"status": "completed", "tags": ["by hand"]}
        content["tasks"].append({"title": "New"})

    edit(data_folder, "tasks/tasks_1.json", change)
    assert task(2)["completed_at"] and task(2)["tags"] == ["by hand"]
    assert task(4) | {"title": "New", "priority": "medium", "user_id": ALICE} == task(4)
    (activity,) = json_storage.activities(ALICE, 1)
    assert activity["type"] == "file_merged"
    assert activity["description"] == "Edited tasks_1.json: 1 added, 1 changed"
    (told,) = changes_for(json_storage.store, ALICE, since).told
    assert [(one["id"], one["change"]) for one in told["changes"]] == [
        (2, "updated"),
        (4, "created"),
    ]
    assert told["actor"] is None
    assert json.loads(exact(data_folder / "tasks/tasks_1.json").read_bytes())["tasks"][3] == task(4)


def test_edit_by_hand_can_be_undone(data_folder: Path) -> None:
    before = [task(number) for number in (1, 2, 3)]
    edit(data_folder, "tasks/tasks_1.json", lambda content: content["tasks"].pop(2))
    edit(data_folder, "tasks/tasks_1.json", lambda content: content["tasks"][0].update(title="X"))
    json_storage.publish()
    assert len(json_storage.list("tasks", ALICE)) == 3 - 1
    merges = recent_merges(json_storage.store, ALICE, json_storage.clock().replace(year=2000))
    for merged in merges:
        json_storage.undo(ALICE, merged.number)
    now = [task(number) for number in (1, 2, 3)]
    stamps = {"updated_at": ""}
    assert [one | stamps for one in now] == [one | stamps for one in before]
    with pytest.raises(Exception, match="no such change of yours"):
        json_storage.undo(2, merges[0].number, caller=Actor(2))


def test_invalid_field_refuses_its_record_only(data_folder: Path) -> None:
    def change(content: Any) -> None:
        content["tasks"][0]["priority"] = "urgent!"
        content["tasks"][1]["title"] = "Read more"
        content["tasks"][2]["project_id"] = 99
        content["tasks"].append({"title": ""})

    edit(data_folder, "tasks/tasks_1.json", change)
    assert task(2)["title"] == "Read more"
    assert task(1)["priority"] == "medium" and task(3)["project_id"] is None
    assert len(json_storage.list("tasks", ALICE)) == 3
    (activity,) = json_storage.activities(ALICE, 1)
    assert activity["description"] == "Edited tasks_1.json: 1 changed"
    for part in ("task 1 was not changed: /priority", "task 3 was not changed: /project_id"):
        assert part in remarks()
    assert "a new task was not added: /title" in remarks()
    validated = data_initializer.validate_data_integrity()
    assert any("not merged" in finding.problem for finding in validated)


def test_file_edit_of_managed_field_is_reported(data_folder: Path) -> None:
    created = task(1)["created_at"]
    edit(
        data_folder,
        "tasks/tasks_1.json",
        lambda content: content["tasks"][0].update(created_at="2020-01-01T00:00:00Z", title="T"),
    )
    assert task(1)["created_at"] == created and task(1)["title"] == "T"
    assert '"created_at" of task 1 is set by NeuralFlow' in remarks()


def test_removed_project_is_let_go_of_by_its_tasks(data_folder: Path) -> None:
    edit(data_folder, "projects/projects_1.json", lambda content: content["projects"].clear())
    assert json_storage.list("projects", ALICE) == []
    assert task(1)["project_id"] is None


def test_removed_field_returns_to_its_default_and_unknown_ones_go(data_folder: Path) -> None:
    json_storage.update(
        "tasks", ALICE, 1, {"description": "long", "mine": 1, "keep": 2}, unknown="keep"
    )

    def change(content: Any) -> None:
        del content["tasks"][0]["description"], content["tasks"][0]["mine"]

    edit(data_folder, "tasks/tasks_1.json", change)
    assert task(1)["description"] == "" and "mine" not in task(1) and task(1)["keep"] == 2


def test_person_document_merges_its_fields(data_folder: Path) -> None:
    json_storage.update_user_activity(ALICE, "login", "Signed in")
    path = exact(data_folder / "users/user_1.json")
    content = json.loads(path.read_bytes())
    json_storage.update_user_activity(ALICE, "login", "Signed in again")
    json_storage.publish()
    path.write_text(json.dumps(content | {"location": "Madrid", "bio": 7, "theme": "dark"}))
    found = json_storage.get_user_data(ALICE)
    assert found is not None
    assert (found["location"], found["bio"], found["theme"]) == ("Madrid", "", "dark")
    assert [one["type"] for one in found["activities"]][-3:] == ["login", "login", "file_merged"]
    assert '"bio" was not changed' in remarks()


def test_person_document_keeps_its_quota_and_owner(data_folder: Path) -> None:
    json_storage.count_call(ALICE, Activity("api", "Called"))
    path = exact(data_folder / "users/user_1.json")
    content = json.loads(path.read_bytes())
    mine = {"api_calls_limit": 10**6, "api_calls_used": 0, "user_id": 2, "date_joined": None}
    counts = {"api_calls_period": "2000-01-01T00", "api_calls_by_token": {}}
    path.write_text(json.dumps(content | mine | counts))
    found = json_storage.get_user_data(ALICE)
    assert found is not None
    assert {name: found[name] for name in mine | counts} == {
        name: content[name] for name in mine | counts
    }
    assert '"api_calls_limit" is set by NeuralFlow' in remarks()


def test_person_document_can_be_put_right(data_folder: Path) -> None:
    wrong = {"api_calls_limit": "many", "user_id": 2}
    json_storage.store.change(lambda transaction: transaction.set(Key("users", ALICE), wrong))
    right = {"api_calls_limit": 5, "user_id": ALICE}
    edit(data_folder, "users/user_1.json", lambda content: content.update(right))
    found = json_storage.get_user_data(ALICE)
    assert found is not None
    assert {name: found[name] for name in right} == right


def test_version_that_was_set_aside_is_used(data_folder: Path) -> None:
    json_storage.update("tasks", ALICE, 1, {"title": "By the API"})
    path = exact(data_folder / "tasks/tasks_1.json")
    content = json.loads(path.read_bytes())
    del content["revision"], content["updated_at"]
    content["tasks"][0]["title"] = "Mine"
    content["tasks"].pop(2)
    path.write_text(json.dumps(content))
    assert task(1)["title"] == "By the API"
    json_storage.create("tasks", ALICE, {"title": "Newer than the version"})
    ((_, aside),) = asides_of(json_storage.store, ALICE)
    assert use_aside(json_storage.store, TASKS, aside.name) == []
    titles = [one["title"] for one in json_storage.list("tasks", ALICE)]
    assert titles == ["Mine", "Read", "Newer than the version"]
    assert list(asides_of(json_storage.store, ALICE)) == []


def test_versions_set_aside_go_with_the_person(data_folder: Path) -> None:
    edit(data_folder, "tasks/tasks_1.json", lambda content: content["tasks"][0].update(title=""))
    assert task(1)["title"] == "Train" and remarks()
    json_storage.delete_user_documents(ALICE)
    json_storage.publish()
    assert not list(data_folder.glob("*/*set-aside*"))
    assert all(entry.actor in (FILE_ACTOR, "1") for entry in json_storage.store.entries(0).told)
