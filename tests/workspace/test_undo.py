"""Undoing one's own commits: everything comes back, or nothing does and it is said why.

Alice (7) owns, Bob (8) edits, Charlie (9) is a stranger.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from docstore import Conflict, NotFound
from utils.json_storage import json_storage
from workspace.actor import Actor
from workspace.membership.members import Memberships
from workspace.records.undo import Touched
from workspace.request_context import latest_commit
from workspace.schema.validation import RECORD_COLLECTIONS
from workspace.sharing.permissions import Forbidden
from workspace.users.document import Activity

ALICE, BOB, CHARLIE = 7, 8, 9
PEOPLE = {"alice": ALICE, "bob": BOB, "charlie": CHARLIE}
memberships = Memberships(json_storage, lambda text: (PEOPLE[text], text))


@pytest.fixture(autouse=True)
def world(data_folder: Path) -> None:
    """Project 1 of Alice's is shared with Bob; task 1 is in it and task 2 in none."""
    for name, pk in PEOPLE.items():
        json_storage.save_user_data(User(pk=pk, username=name), lay_out=True)
    json_storage.create("projects", ALICE, {"name": "Vision"})
    memberships.invite(ALICE, 1, "bob", "editor")
    memberships.accept(BOB, json_storage.list("shared", BOB)[0]["id"])
    json_storage.create("tasks", ALICE, {"title": "Train", "project_id": 1, "assignee": BOB})
    json_storage.create("tasks", ALICE, {"title": "Rest"})


def state(*people: int) -> dict[str, Any]:
    """All records, without the times of changes; an entry of the index may get another id."""
    return {
        f"{name} of {person}": [
            {
                key: value
                for key, value in record.items()
                if key != "updated_at" and (name, key) != ("shared", "id")
            }
            for record in sorted(json_storage.list(name, person), key=lambda one: one["id"])
        ]
        for person in people or PEOPLE.values()
        for name in (*RECORD_COLLECTIONS, "shared")
    }


def undo(person: int, commit: int | None = None) -> None:
    json_storage.undo(person, latest_commit.get() if commit is None else commit)


def create() -> None:
    json_storage.create("tasks", ALICE, {"title": "New"})


def create_the_first_model() -> None:
    json_storage.create("models", BOB, {"name": "resnet"})


def update() -> None:
    json_storage.update("tasks", ALICE, 1, {"title": "Train it", "status": "completed"})


def delete() -> None:
    json_storage.delete("tasks", ALICE, 1)


def delete_a_shared_project() -> None:
    json_storage.delete("projects", ALICE, 1)


def many() -> None:
    json_storage.bulk(
        "tasks",
        ALICE,
        [
            {"op": "update", "id": 1, "changes": {"priority": "high"}},
            {"op": "delete", "id": 2},
            {"op": "create", "record": {"title": "New"}},
        ],
    )


@pytest.mark.parametrize(
    "change", [create, create_the_first_model, update, delete, delete_a_shared_project, many]
)
def test_all_is_as_it_was_and_as_it_had_become(change: Any) -> None:
    person = BOB if change is create_the_first_model else ALICE
    before = state()
    change()
    after = state()
    assert after != before
    undo(person)
    assert state() == before
    undo(person)  # and what was undone, may be done again
    assert state() == after
    assert not json_storage.repair_memberships(BOB)


def test_undo_of_records_changed_since_is_refused() -> None:
    many()
    mine = latest_commit.get()
    json_storage.update("tasks", ALICE, 1, {"title": "Train more"})
    json_storage.delete("tasks", ALICE, 3)
    before = state()
    with pytest.raises(Touched) as refused:
        undo(ALICE, mine)
    assert refused.value.names == ("Train more", "task 3") and isinstance(refused.value, Conflict)
    assert state() == before


def test_a_change_is_undone_once() -> None:
    update()
    mine = latest_commit.get()
    undo(ALICE, mine)
    with pytest.raises(Touched):
        undo(ALICE, mine)


def test_a_task_that_comes_back_after_its_project_went_is_in_none() -> None:
    delete()
    mine = latest_commit.get()
    delete_a_shared_project()
    undo(ALICE, mine)
    task = json_storage.get("tasks", ALICE, 1)
    assert (task["title"], task["project_id"], task["assignee"]) == ("Train", None, None)


def test_a_project_that_goes_again_leaves_its_tasks() -> None:
    json_storage.create("projects", ALICE, {"name": "Sound"})
    mine = latest_commit.get()
    json_storage.update("tasks", ALICE, 2, {"project_id": 2})
    undo(ALICE, mine)
    assert json_storage.get("tasks", ALICE, 2)["project_id"] is None


def test_a_project_comes_back_without_members_who_are_gone() -> None:
    delete_a_shared_project()
    mine = latest_commit.get()
    json_storage.delete_user_documents(BOB)
    undo(ALICE, mine)
    assert json_storage.get("projects", ALICE, 1)["team_members"] == []
    assert json_storage.list("shared", BOB) == []


def test_only_who_did_it_may_undo_it() -> None:
    json_storage.update("tasks", ALICE, 1, {"title": "By Bob"}, caller=Actor(BOB))
    mine, before = latest_commit.get(), state()
    for person in (ALICE, CHARLIE):
        with pytest.raises(NotFound):
            undo(person, mine)
    for number in (0, -1, mine - 1, mine + 1, 10**9):
        with pytest.raises(Exception, match=r"no such change|nothing to undo|history|yet to come"):
            undo(BOB, number)
    with pytest.raises(NotFound):
        json_storage.undo(BOB, mine, "another request")
    assert state() == before
    undo(BOB, mine)
    assert json_storage.get("tasks", ALICE, 1)["title"] == "Train"


def test_undo_without_permission_is_refused() -> None:
    json_storage.update("tasks", ALICE, 1, {"title": "By Bob"}, caller=Actor(BOB))
    mine = latest_commit.get()
    memberships.change_role(ALICE, 1, BOB, "viewer")
    with pytest.raises(Forbidden):
        undo(BOB, mine)
    memberships.remove(ALICE, 1, BOB)
    with pytest.raises(NotFound):
        undo(BOB, mine)
    assert json_storage.get("tasks", ALICE, 1)["title"] == "By Bob"


def test_undo_of_commit_without_record_changes_is_refused() -> None:
    json_storage.update_user_activity(ALICE, "login", "Logged in")
    with pytest.raises(NotFound):
        undo(ALICE)
    json_storage.update("tasks", ALICE, 1, {"title": "Train"})
    memberships.offer(ALICE, 1, BOB)
    memberships.take_over(BOB, 1)
    for person in (ALICE, BOB):
        with pytest.raises(NotFound):
            undo(person)


def test_it_is_logged_and_undone_itself_tells_of_what() -> None:
    json_storage.update(
        "tasks", ALICE, 2, {"title": "x"}, activity=Activity("task_updated", "Changed “x”")
    )
    told = json_storage.undo(
        ALICE,
        latest_commit.get(),
        activity=lambda done: Activity("change_undone", f"Undid: {done['description']}"),
    )
    assert told == {"description": "Changed “x”", "collection": "tasks", "id": 2}
    assert json_storage.activities(ALICE, 1)[0]["description"] == "Undid: Changed “x”"
    assert [one["type"] for one in json_storage.activities(ALICE, 2)] == [
        "change_undone",
        "task_updated",
    ]
