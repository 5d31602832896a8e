"""Lists of one's own with what others share."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Caller
from tests.folders import exact, forget_journal
from utils.json_storage import json_storage
from workspace.membership.members import Memberships

Found = list[tuple[int, int]]  # owner and id


@pytest.fixture
def invited(alice: Caller, charlie: Caller) -> Memberships:
    """Alice's first project is offered to Charlie. Both have tasks, under the same ids."""
    for name in ("Vision", "Secret"):
        json_storage.save_project_data(alice.id, {"name": name})
    for number, project in enumerate((1, 2, None, 1)):
        task = {"title": f"Alice {number}", "project_id": project}
        json_storage.save_task_data(alice.id, task)
    for number in range(4):
        json_storage.save_task_data(charlie.id, {"title": f"Charlie {number}"})
    memberships = Memberships(json_storage, lambda _: (charlie.id, "charlie"))
    memberships.invite(alice.id, 1, "charlie", "viewer")
    return memberships


@pytest.fixture
def joined(invited: Memberships, charlie: Caller) -> Memberships:
    invited.accept(charlie.id, 1)
    return invited


def found(answer: Any, collection: str = "tasks") -> Found:
    assert answer.status_code == 200, answer.content
    return [(record["user_id"], record["id"]) for record in answer.json()[collection]]


def own(caller: Caller) -> Found:
    return [(caller.id, number) for number in range(1, 5)]


def test_shared_tasks_come_where_they_are_asked_for(
    alice: Caller, charlie: Caller, joined: Memberships
) -> None:
    shared = [(alice.id, 1), (alice.id, 4)]
    assert found(charlie.get("tasks/")) == own(charlie)
    together = charlie.get("tasks/?include=shared")
    assert found(together) == sorted(own(charlie) + shared, key=lambda one: (one[1], one[0]))
    assert together.json()["total"] == 6
    assert found(charlie.get("tasks/?include=shared&q=alice")) == shared
    assert found(charlie.get("tasks/?include=shared&project_id=1,2")) == shared
    assert found(charlie.get("projects/?include=shared"), "projects") == [(alice.id, 1)]
    assert found(alice.get("tasks/?include=shared")) == own(alice)


def test_pages_tell_equal_ids_of_two_owners_apart(charlie: Caller, joined: Memberships) -> None:
    whole = found(charlie.get("tasks/?include=shared&sort=-status"))
    for limit in range(1, 7):
        address: str | None = f"/accounts/api/tasks/?include=shared&sort=-status&limit={limit}"
        pages: Found = []
        while address:
            answer = charlie.client.get(address)
            pages += found(answer)
            address = answer.json()["next"]
        assert pages == whole


def test_an_offer_shows_nothing_and_neither_does_a_right_that_ended(
    alice: Caller, charlie: Caller, invited: Memberships
) -> None:
    assert found(charlie.get("tasks/?include=shared")) == own(charlie)
    invited.accept(charlie.id, 1)
    tag = charlie.get("tasks/?include=shared")["ETag"]
    invited.remove(alice.id, 1, charlie.id)
    after = charlie.get("tasks/?include=shared")
    assert found(after) == own(charlie)
    assert after["ETag"] != tag


def test_membership_only_in_own_document_gives_no_access(
    alice: Caller, charlie: Caller, joined: Memberships, data_folder: Path
) -> None:
    path = exact(data_folder / "projects" / f"projects_{alice.id}.json")
    projects = json.loads(path.read_text())
    projects["projects"][0]["team_members"] = []
    forget_journal(data_folder)  # or the edit would be merged, and refused
    path.write_text(json.dumps(projects))

    assert found(charlie.get("tasks/?include=shared")) == own(charlie)


def test_models_are_not_shared(charlie: Caller) -> None:
    answer = charlie.get("models/?include=shared")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["parameter"] == "include"
