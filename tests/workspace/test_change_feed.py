"""What one person is told of the changes."""

from typing import Any

import pytest

from docstore import HistoryGone, Key, Transaction, restore_snapshot, take_snapshot
from utils.json_storage import json_storage
from workspace.change_feed import CHANGES_MAX, changes_for
from workspace.membership.members import Memberships

pytestmark = pytest.mark.django_db

ALICE, BOB = 7, 9


def since() -> int:
    return json_storage.store.sequence()


def told(begin: int, user_id: int = ALICE) -> list[Any]:
    return changes_for(json_storage.store, user_id, begin).told


def short(entries: list[Any]) -> list[tuple[str, Any, str]]:
    return [
        (change["collection"], change["id"], change["change"])
        for entry in entries
        for change in entry["changes"]
    ]


def test_a_record_from_its_beginning_to_its_end() -> None:
    begin = since()
    task = json_storage.create("tasks", ALICE, {"title": "One"})
    done = json_storage.update("tasks", ALICE, task["id"], {"status": "completed"})
    json_storage.delete("tasks", ALICE, task["id"])
    entries = told(begin)
    assert [entry["changes"] for entry in entries] == [
        [{"collection": "tasks", "owner": ALICE, "id": 1, "change": change, "record": record}]
        for change, record in (("created", task), ("updated", done), ("deleted", None))
    ]
    assert [entry["actor"] for entry in entries] == [ALICE] * 3
    assert [entry["at"] for entry in entries][:2] == [task["updated_at"], done["updated_at"]]
    numbers = [entry["sequence"] for entry in entries]
    assert numbers == sorted(set(numbers)) and numbers[0] > begin


def test_changes_include_consequences_of_a_commit() -> None:
    project = json_storage.create("projects", ALICE, {"name": "One"})
    json_storage.create("tasks", ALICE, {"title": "Its task", "project_id": project["id"]})
    begin = since()
    json_storage.delete("projects", ALICE, project["id"])
    (entry,) = told(begin)
    assert sorted(short([entry])) == [("projects", 1, "deleted"), ("tasks", 1, "updated")]


def test_counting_and_logging_is_no_change() -> None:
    begin = since()
    json_storage.update_user_activity(ALICE, "login", "Signed in")
    assert told(begin) == []
    assert changes_for(json_storage.store, ALICE, begin).next > begin


def test_nobody_is_told_what_is_anothers() -> None:
    begin = since()
    for collection, name in (("tasks", "title"), ("projects", "name"), ("models", "name")):
        json_storage.create(collection, ALICE, {name: "Hers"})
    assert told(begin, BOB) == []
    assert len(told(begin, ALICE)) == 3


def test_several_changes_of_a_record_in_one_commit_are_one() -> None:
    json_storage.create("tasks", ALICE, {"title": "One"})
    begin, key = since(), Key("tasks", ALICE)

    def edit(transaction: Transaction) -> None:
        first = transaction.record(key, 1)
        transaction.put(key, first | {"title": "Two"})
        transaction.put(key, first | {"title": "Three"})
        transaction.put(key, {"id": 2, "title": "New"})
        transaction.put(key, {"id": 2, "title": "Newer"})
        transaction.put(key, {"id": 3, "title": "Soon gone"})
        transaction.remove(key, 3)

    json_storage.store.change(edit)
    (entry,) = told(begin)
    assert short([entry]) == [("tasks", 1, "updated"), ("tasks", 2, "created")]
    assert [change["record"]["title"] for change in entry["changes"]] == ["Three", "Newer"]


def test_a_document_that_begins_anew_is_told_record_by_record() -> None:
    for title in ("Same", "Other", "Gone"):
        json_storage.create("tasks", ALICE, {"title": title})
    begin, key = since(), Key("tasks", ALICE)

    def edit(transaction: Transaction) -> None:
        same, other, _ = transaction.records(key)
        transaction.drop(key)
        transaction.create(key, {"tasks": [same, other | {"title": "Else"}, {"id": 9}]})

    json_storage.store.change(edit)
    assert short(told(begin)) == [
        ("tasks", 2, "updated"),
        ("tasks", 3, "deleted"),
        ("tasks", 9, "created"),
    ]
    begin = since()
    json_storage.store.change(lambda transaction: transaction.drop(key))
    assert short(told(begin)) == [("tasks", n, "deleted") for n in (1, 2, 9)]


def test_more_than_anybody_wants_one_by_one_is_a_reset() -> None:
    begin, key = since(), Key("tasks", ALICE)

    def edit(transaction: Transaction) -> None:
        many = range(1, CHANGES_MAX + 2)
        transaction.create(key, {"tasks": [{"id": number} for number in many]})

    json_storage.store.change(edit)
    assert short(told(begin)) == [("tasks", None, "reset")]


def test_a_restore_is_a_reset_of_everything(tmp_path: Any) -> None:
    json_storage.create("tasks", ALICE, {"title": "One"})
    backup = take_snapshot(json_storage.store, tmp_path / "backups")
    begin = since()
    restore_snapshot(json_storage.store, backup)
    (entry,) = told(begin)
    assert {change["change"] for change in entry["changes"]} == {"reset"}
    assert {"tasks", "projects", "models"} <= {one["collection"] for one in entry["changes"]}


def test_changes_with_future_sequence_raise_history_gone() -> None:
    with pytest.raises(HistoryGone):
        changes_for(json_storage.store, ALICE, since() + 1)


# What others share

memberships = Memberships(json_storage, lambda name: (BOB, name))


def member() -> int:
    """Bob becomes an editor of Alice's first project, which has a task; and what he did then."""
    project = json_storage.create("projects", ALICE, {"name": "Shared"})
    json_storage.create("tasks", ALICE, {"title": "Early", "project_id": project["id"]})
    memberships.invite(ALICE, project["id"], "bob", "editor")
    begin = since()
    memberships.accept(BOB, 1)
    return begin


def test_an_invitation_is_told_and_what_it_is_for_is_not() -> None:
    begin = since()
    project = json_storage.create("projects", ALICE, {"name": "Shared"})
    memberships.invite(ALICE, project["id"], "bob", "viewer")
    json_storage.update("projects", ALICE, project["id"], {"name": "Renamed"})
    (entry, renamed) = told(begin, BOB)
    assert short([entry]) == [("shared", 1, "created")]
    assert entry["changes"][0]["record"]["status"] == "invited"
    assert {change["collection"] for change in renamed["changes"]} == {"shared"}


def test_a_member_is_told_of_the_project_and_its_tasks_alone() -> None:
    begin = member()
    json_storage.create("tasks", ALICE, {"title": "Elsewhere"})
    json_storage.create("models", ALICE, {"name": "Hers"})
    inside = json_storage.create("tasks", ALICE, {"title": "Inside", "project_id": 1})
    json_storage.update("tasks", ALICE, inside["id"], {"project_id": None})
    json_storage.update("tasks", ALICE, inside["id"], {"title": "Out"})
    json_storage.update("tasks", ALICE, 2, {"project_id": 1})
    joined, *entries = told(begin, BOB)
    assert set(short([joined])) == {("shared", 1, "updated"), ("projects", 1, "updated")}
    assert short(entries) == [
        ("tasks", 3, "created"),
        ("tasks", 3, "deleted"),
        ("tasks", 2, "created"),
    ]
    assert entries[1]["changes"][0]["record"] is None
    assert {change["owner"] for entry in entries for change in entry["changes"]} == {ALICE}


def test_changes_before_joining_are_hidden() -> None:
    begin = since()
    member()
    assert ("tasks", 1, "created") not in short(told(begin, BOB))


def test_removed_member_sees_only_their_removal() -> None:
    begin = member()
    json_storage.create("tasks", ALICE, {"title": "Inside", "project_id": 1})
    memberships.remove(ALICE, 1, BOB)
    entries = told(begin, BOB)
    assert {collection for collection, *_ in short(entries)} == {"shared"}
    assert short(entries)[-1] == ("shared", 1, "deleted")


def test_a_restore_resets_what_others_share(tmp_path: Any) -> None:
    member()
    backup = take_snapshot(json_storage.store, tmp_path / "backups")
    begin = since()
    restore_snapshot(json_storage.store, backup)
    (entry,) = told(begin, BOB)
    reset = {(change["collection"], change["owner"]) for change in entry["changes"]}
    assert {("tasks", ALICE), ("projects", ALICE), ("shared", BOB), ("tasks", BOB)} <= reset
    assert ("models", ALICE) not in reset
