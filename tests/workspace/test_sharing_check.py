"""Truth and index parted by hand: found, without effect on rights, and mended."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docstore import NotFound
from tests.accounts_in_db import add_account
from tests.folders import exact, forget_journal, times
from utils.data_initializer import data_initializer
from utils.json_storage import json_storage
from workspace.actor import Actor
from workspace.membership.members import Memberships

pytestmark = pytest.mark.django_db

ALICE, BOB, VERA = 1, 2, 3
SYNC = "run setup_data --sync-users"
memberships = Memberships(json_storage)


@pytest.fixture(autouse=True)
def world(data_folder: Path) -> None:
    """Alice's project 1 is shared with Bob, and Vera is invited."""
    for pk, name in ((ALICE, "alice"), (BOB, "bob"), (VERA, "vera")):
        add_account(pk, name)
    data_initializer.initialize_data_structure()
    data_initializer.sync_existing_users()
    json_storage.create("projects", ALICE, {"name": "Vision"})
    json_storage.create("tasks", ALICE, {"title": "x", "project_id": 1})
    memberships.invite(ALICE, 1, "bob", "editor")
    memberships.accept(BOB, 1)
    memberships.invite(ALICE, 1, "vera", "viewer")
    assert found() == []


def found() -> list[str]:
    return [str(finding) for finding in data_initializer.validate_data_integrity()]


def edited(path: Path, change: Callable[[Any], Any]) -> None:
    document = json.loads(exact(path).read_text())
    change(document)
    forget_journal(path.parent.parent)  # or it would be merged, by the rules
    path.write_text(json.dumps(document, indent=2))


def told(person: int) -> list[tuple[Any, ...]]:
    names = ("owner", "project_id", "project_name", "owner_name", "role", "status")
    return [tuple(one[name] for name in names) for one in json_storage.list("shared", person)]


def mended() -> None:
    assert data_initializer.sync_existing_users().changed > 0
    assert found() == []
    assert told(BOB) == [(ALICE, 1, "Vision", "alice", "editor", "member")]
    assert told(VERA) == [(ALICE, 1, "Vision", "alice", "viewer", "invited")]
    again = times(json_storage.folder)  # type: ignore[arg-type]
    assert data_initializer.sync_existing_users().changed == 0
    assert times(json_storage.folder) == again  # type: ignore[arg-type]


def test_truth_without_index(data_folder: Path) -> None:
    exact(data_folder / "shared/shared_2.json").unlink()
    assert found() == [
        f"projects/projects_1.json:3:5: project 1 is shared with user 2, but shared/shared_2.json "
        f"says otherwise: {SYNC}"
    ]
    mended()


def test_an_index_without_truth(data_folder: Path) -> None:
    path = data_folder / "shared/shared_3.json"

    def forge(document: Any) -> None:
        record = document["shared"][0]
        document["last_id"] = 4
        document["shared"] += [
            record | {"id": 2, "project_id": 9, "status": "member"},
            record | {"id": 3},  # the same once more
            record | {"id": 4, "owner": BOB, "status": "member"},
        ]

    edited(path, forge)
    assert found() == [
        "projects/projects_1.json:3:5: project 1 is shared with user 3, but "
        f"shared/shared_3.json says otherwise: {SYNC}",
        f"shared/shared_3.json:15:5: project 9 of user 1 is not shared with user 3: {SYNC}",
        f"shared/shared_3.json:39:5: project 1 of user 2 is not shared with user 3: {SYNC}",
    ]
    for owner in (ALICE, BOB):
        with pytest.raises(NotFound):
            json_storage.list("projects", owner, caller=Actor(VERA))
    mended()


@pytest.mark.parametrize(
    "fields",
    [{"role": "editor"}, {"status": "member"}, {"owner": [1]}, {"project_id": {"a": 1}}],
)
def test_an_index_that_says_otherwise(fields: dict[str, Any], data_folder: Path) -> None:
    path = data_folder / "shared/shared_3.json"
    edited(path, lambda document: document["shared"][0].update(fields))
    assert [text for text in found() if text.endswith(SYNC)]
    for call in (json_storage.list, lambda *a, **k: json_storage.get("tasks", ALICE, 1, **k)):
        with pytest.raises(NotFound):
            call("projects", ALICE, caller=Actor(VERA))  # type: ignore[operator]
    if "owner" in fields or "project_id" in fields:  # a record of nothing: for a person to look at
        return
    mended()


def test_an_owner_who_takes_another_name_is_told_so_by_the_next_sync(data_folder: Path) -> None:
    edited(data_folder / "shared/shared_2.json", lambda d: d["shared"][0].update(owner_name="old"))
    assert found() == []
    mended()


def test_a_member_without_an_account_twice_named_and_a_task_of_a_stranger(
    data_folder: Path,
) -> None:
    stranger = {"user_id": 99, "role": "viewer", "status": "member"}

    def forge(document: Any) -> None:
        members = document["projects"][0]["team_members"]
        members += [stranger, members[0] | {"role": "viewer"}]

    edited(data_folder / "projects/projects_1.json", forge)
    edited(data_folder / "tasks/tasks_1.json", lambda d: d["tasks"][0].update(assignee=VERA))
    assert [text.partition(": ")[2] for text in found()] == [
        'task 1: "assignee" is 3, who is not in its project',
        "project 1: a person is named twice; the first counts",
        "project 1 names user 99, who has no account: take them out",
    ]
    data_initializer.sync_existing_users()
    assert not (data_folder / "shared/shared_99.json").exists()
    memberships.remove(ALICE, 1, 99)
    memberships.remove(ALICE, 1, BOB)
    assert json_storage.get("projects", ALICE, 1)["team_members"][0]["user_id"] == VERA
