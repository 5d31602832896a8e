"""Many operations in one commit: all or nothing, and every fault at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from tests.folders import contents
from utils.json_storage import json_storage
from workspace.actor import Actor
from workspace.idempotency import IdempotencyKey
from workspace.membership.members import Memberships
from workspace.records.bulk import OPERATIONS_MAX
from workspace.records.crud import StaleRecord
from workspace.schema.validation import InvalidRecord, record_version
from workspace.sharing.permissions import Forbidden
from workspace.users.document import Activity
from workspace.users.quota import TooManyCalls

ALICE, BOB = 7, 8


@pytest.fixture(autouse=True)
def world(data_folder: Path) -> None:
    for pk, name in ((ALICE, "alice"), (BOB, "bob")):
        json_storage.save_user_data(User(pk=pk, username=name), lay_out=True)
    json_storage.create("projects", ALICE, {"name": "Vision"})
    json_storage.create("tasks", ALICE, {"title": "one", "project_id": 1})
    json_storage.create("tasks", ALICE, {"title": "two"})


def etag(record_id: int) -> str:
    return f'"{record_version(json_storage.get("tasks", ALICE, record_id))}"'


def create(title: str, **fields: Any) -> dict[str, Any]:
    return {"op": "create", "record": {"title": title, **fields}}


def test_all_of_it_happens_in_one_commit_as_one_call() -> None:
    revisions = [revision(name) for name in ("tasks", "users")]
    results = json_storage.bulk(
        "tasks",
        ALICE,
        [
            create("three"),
            {"op": "update", "id": 1, "changes": {"title": "first"}, "if_match": etag(1)},
            {"op": "delete", "id": 2, "if_match": "*"},
            {"op": "update", "id": 3, "changes": {"priority": "high"}},
        ],
        metered=True,
        activity=lambda answer: Activity("tasks_changed", f"{len(answer['results'])} changes"),
    )
    assert [(one["op"], one["id"]) for one in results] == [
        ("create", 3),
        ("update", 1),
        ("delete", 2),
        ("update", 3),
    ]
    assert results[2]["record"] is None
    assert [one["title"] for one in json_storage.list("tasks", ALICE)] == ["first", "three"]
    assert results[3]["record"] == json_storage.get("tasks", ALICE, 3)
    assert [revision(name) for name in ("tasks", "users")] == [one + 1 for one in revisions]
    assert json_storage.quota(ALICE).used == 1
    assert json_storage.activities(ALICE, 1)[0]["description"] == "4 changes"


def revision(collection: str) -> int:
    from workspace.documents import key_of

    document = json_storage.store.read(key_of(collection, ALICE))
    assert document is not None
    return document.revision


def test_every_fault_of_every_operation_is_told_at_its_place(data_folder: Path) -> None:
    before = contents(data_folder)
    with pytest.raises(InvalidRecord) as caught:
        json_storage.bulk(
            "tasks",
            ALICE,
            [
                create("fine"),
                create("", priority="x", colour="red"),
                {"op": "update", "id": 1, "changes": {"title": 7, "project_id": 99}},
                {"op": "update", "id": 2, "changes": {"title": "x"}, "if_match": '"old"'},
            ],
            metered=True,
            unknown="refuse",
        )
    assert [error.pointer for error in caught.value.errors] == [
        "/operations/1/record/title",
        "/operations/1/record/priority",
        "/operations/1/record/colour",
        "/operations/2/changes/title",
    ]
    assert contents(data_folder) == before


def test_missing_ids_are_refused_before_anything_is_done() -> None:
    made: list[object] = []
    with pytest.raises(InvalidRecord) as caught:
        json_storage.bulk(
            "tasks",
            ALICE,
            [
                {"op": "update", "id": 1, "changes": {"title": "x"}},
                create("three"),
                {"op": "update", "id": 3, "changes": {"title": "y"}},
                {"op": "update", "id": 99, "changes": {}},
                {"op": "delete", "id": 4},
            ],
            patch=lambda record, told: made.append(record) or told,  # type: ignore[func-returns-value]
        )
    assert [error.pointer for error in caught.value.errors] == [
        "/operations/3/id",
        "/operations/4/id",
    ]
    assert made == []


def test_id_that_stands_in_two_operations_is_refused() -> None:
    update = {"op": "update", "id": 1, "changes": {"title": "x"}}
    with pytest.raises(InvalidRecord) as caught:
        json_storage.bulk(
            "tasks", ALICE, [update, create("new"), {"op": "delete", "id": 1.0}, update]
        )
    assert [error.pointer for error in caught.value.errors] == [
        "/operations/2/id",
        "/operations/3/id",
    ]
    assert "operation 0 already" in caught.value.errors[0].detail


def test_one_record_that_was_changed_meanwhile_stops_all(data_folder: Path) -> None:
    before = contents(data_folder)
    with pytest.raises(StaleRecord, match="/operations/1") as caught:
        json_storage.bulk(
            "tasks", ALICE, [create("x"), {"op": "delete", "id": 2, "if_match": '"old"'}]
        )
    assert caught.value.current == json_storage.get("tasks", ALICE, 2)
    assert contents(data_folder) == before


@pytest.mark.parametrize(
    ("operations", "pointer"),
    [
        (None, "/operations"),
        ({}, "/operations"),
        ([], "/operations"),
        ([create("x")] * (OPERATIONS_MAX + 1), "/operations"),
        ([7], "/operations/0/op"),
        ([create("x"), {"op": "upsert"}], "/operations/1/op"),
        ([{"op": ["create"]}], "/operations/0/op"),
        ([{"op": "create"}], "/operations/0/record"),
        ([{"op": "delete", "id": 0}], "/operations/0/id"),
        ([{"op": "delete", "id": True}], "/operations/0/id"),
        ([{"op": "delete", "id": 1, "force/": 1}], "/operations/0/force~1"),
        ([{"op": "delete", "id": 1, "if_match": 7}], "/operations/0/if_match"),
        ([{"op": "create", "record": [1]}], "/operations/0/record"),
        ([{"op": "update", "id": 1, "changes": None}], "/operations/0/changes"),
    ],
)
def test_bulk_invalid_operation_reports_pointer(
    operations: object, pointer: str, data_folder: Path
) -> None:
    before = contents(data_folder)
    with pytest.raises(InvalidRecord) as caught:
        json_storage.bulk("tasks", ALICE, operations)
    assert [error.pointer for error in caught.value.errors] == [pointer]
    assert contents(data_folder) == before


def test_as_many_as_may_be() -> None:
    many = [create(str(number)) for number in range(OPERATIONS_MAX)]
    assert len(json_storage.bulk("tasks", ALICE, many)) == OPERATIONS_MAX
    gone = [{"op": "delete", "id": number + 3} for number in range(OPERATIONS_MAX)]
    json_storage.bulk("tasks", ALICE, gone)
    assert len(json_storage.list("tasks", ALICE)) == 2


def test_bulk_delete_clears_references() -> None:
    json_storage.bulk("projects", ALICE, [{"op": "delete", "id": 1}])
    assert json_storage.get("tasks", ALICE, 1)["project_id"] is None


def test_a_patch_makes_the_changes() -> None:
    json_storage.bulk(
        "tasks",
        ALICE,
        [{"op": "update", "id": 1, "changes": "!"}],
        patch=lambda before, told: {"title": before["title"] + told},
    )
    assert json_storage.get("tasks", ALICE, 1)["title"] == "one!"


def test_rights_quota_and_keys_hold_as_for_one_change(settings: Any, data_folder: Path) -> None:
    members = Memberships(json_storage, lambda text: (BOB, "bob"))
    members.invite(ALICE, 1, "bob", "viewer")
    members.accept(BOB, 1)
    bob = Actor(BOB)
    mine = create("his", project_id=1)
    with pytest.raises(Forbidden):
        json_storage.bulk("tasks", ALICE, [mine], caller=bob)
    members.change_role(ALICE, 1, BOB, "editor")
    with pytest.raises(InvalidRecord):  # another's task is not there
        json_storage.bulk("tasks", ALICE, [mine, {"op": "delete", "id": 2}], caller=bob)
    before = contents(data_folder)
    with pytest.raises(Forbidden):
        json_storage.bulk("projects", ALICE, [{"op": "delete", "id": 1}], caller=bob)
    assert contents(data_folder) == before
    for replayed in (False, True):
        once = IdempotencyKey("k", "f")
        (made,) = json_storage.bulk("tasks", ALICE, [mine], caller=bob, once=once, metered=True)
        assert (made["id"], once.replayed) == (3, replayed)
    assert (json_storage.quota(BOB).used, json_storage.quota(ALICE).used) == (1, 0)
    settings.NEURALFLOW_BURST = (1, 600)
    with pytest.raises(TooManyCalls):
        json_storage.bulk("tasks", ALICE, [mine, mine], caller=bob, metered=True)
