"""Projects that people share: who sees what, who may do what, and that truth and index agree.

Alice (7) owns, Bob (8) edits, Vera (9) views, Ivan (10) is invited, Charlie (11) is a stranger.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from docstore import Corrupt, NotFound, Transaction
from tests.folders import contents, exact, forget_journal
from tests.harness.planted import NOTHING_DONE, planted, returning
from utils.json_storage import json_storage
from workspace import unit_of_work
from workspace.actor import Actor
from workspace.documents import key_of
from workspace.idempotency import IdempotencyKey
from workspace.membership.members import MEMBERS_MAX, Memberships
from workspace.schema.validation import InvalidRecord
from workspace.sharing import permissions as access
from workspace.sharing.permissions import Forbidden, Grant
from workspace.unit_of_work import WriteOptions
from workspace.users.document import Activity

ALICE, BOB, VERA, IVAN, CHARLIE = 7, 8, 9, 10, 11
PEOPLE = {"alice": ALICE, "bob": BOB, "vera": VERA, "ivan": IVAN, "charlie": CHARLIE}
OTHERS = (BOB, VERA, IVAN, CHARLIE)


def found(text: str) -> tuple[int, str] | None:
    return (PEOPLE[text], text) if text in PEOPLE else None


memberships = Memberships(json_storage, found)


@pytest.fixture(autouse=True)
def world(data_folder: Path) -> None:
    """Alice's project 1 is shared, 2 is not; task 1 is of the first, 2 of the second, 3 of none."""
    for name, pk in PEOPLE.items():
        json_storage.save_user_data(User(pk=pk, username=name), lay_out=True)
    json_storage.create("projects", ALICE, {"name": "Vision", "team_members": ["Ann", 4]})
    json_storage.create("projects", ALICE, {"name": "Secret"})
    for project in (1, 2, None):
        json_storage.create("tasks", ALICE, {"title": f"of {project}", "project_id": project})
    json_storage.create("models", ALICE, {"name": "hers"})
    join("bob", "editor")
    join("vera", "viewer")
    memberships.invite(ALICE, 1, "ivan", "editor")


def join(name: str, role: str, project_id: int = 1) -> None:
    memberships.invite(ALICE, project_id, name, role)
    (invitation,) = [
        one
        for one in json_storage.list("shared", PEOPLE[name])
        if one["project_id"] == project_id and one["owner"] == ALICE
    ]
    memberships.accept(PEOPLE[name], invitation["id"])


def by(person: int) -> Actor:
    return Actor(person)


def index_of(person: int) -> list[tuple[int, int, str, str]]:
    return [
        (one["owner"], one["project_id"], one["role"], one["status"])
        for one in json_storage.list("shared", person)
    ]


def check_index() -> None:
    """Whatever happened: what each is told is shared with them, is what the projects say."""
    said: dict[int, set[tuple[int, int, str, str]]] = {pk: set() for pk in PEOPLE.values()}
    for owner in PEOPLE.values():
        for project in json_storage.list("projects", owner):
            for entry in access.entries_of(project).values():
                told = (owner, project["id"], entry["role"], entry["status"])
                said[entry["user_id"]].add(told)
    for person, wanted in said.items():
        assert set(index_of(person)) == wanted
        assert len(index_of(person)) == len(wanted)


# Seeing


def test_members_see_only_shared_records() -> None:
    for person in (BOB, VERA):
        assert [one["id"] for one in json_storage.list("tasks", ALICE, caller=by(person))] == [1]
        assert [one["id"] for one in json_storage.list("projects", ALICE, caller=by(person))] == [1]
        assert json_storage.get("tasks", ALICE, 1, caller=by(person))["title"] == "of 1"
        assert json_storage.get("projects", ALICE, 1, caller=by(person))["name"] == "Vision"
        for collection, record_id in (("tasks", 2), ("tasks", 3), ("tasks", 99), ("projects", 2)):
            with pytest.raises(NotFound):
                json_storage.get(collection, ALICE, record_id, caller=by(person))
    for person in OTHERS:
        for collection in ("models", "users", "shared", "requests"):
            with pytest.raises(NotFound):
                json_storage.list(collection, ALICE, caller=by(person))
    for person in (IVAN, CHARLIE):
        for collection in ("tasks", "projects"):
            with pytest.raises(NotFound):
                json_storage.list(collection, ALICE, caller=by(person))
            with pytest.raises(NotFound):
                json_storage.get(collection, ALICE, 1, caller=by(person))
    assert len(json_storage.list("tasks", ALICE, caller=by(ALICE))) == 3


def test_for_a_stranger_nothing_of_the_owners_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = json_storage.store.backend
    read, reads = backend.read, []

    def noted(key: Any) -> Any:
        reads.append(key)
        return read(key)

    monkeypatch.setattr(backend, "read", noted)
    for record_id in (1, 99):
        reads.clear()
        for attempt in (
            lambda n=record_id: json_storage.get("tasks", ALICE, n, caller=by(CHARLIE)),
            lambda n=record_id: json_storage.update(
                "tasks", ALICE, n, {"title": "x"}, caller=by(CHARLIE)
            ),
            lambda n=record_id: json_storage.delete("projects", ALICE, n, caller=by(CHARLIE)),
            lambda n=record_id: memberships.remove(ALICE, n, CHARLIE, caller=by(CHARLIE)),
            lambda n=record_id: memberships.invite(ALICE, n, "x", "x", caller=by(CHARLIE)),
        ):
            with pytest.raises(NotFound):
                attempt()
        assert {key.owner for key in reads} == {CHARLIE}


def test_a_right_needs_both_truth_and_index(data_folder: Path) -> None:
    path = exact(data_folder / f"shared/shared_{BOB}.json")
    kept = path.read_text()
    path.unlink()
    with pytest.raises(NotFound):
        json_storage.list("tasks", ALICE, caller=by(BOB))
    path.write_text(kept)
    projects = exact(data_folder / f"projects/projects_{ALICE}.json")
    forget_journal(data_folder)
    document = json.loads(projects.read_text())
    document["projects"][0]["team_members"] = []
    projects.write_text(json.dumps(document))
    with pytest.raises(NotFound):
        json_storage.list("tasks", ALICE, caller=by(BOB))
    # A hand that writes an index gets nobody in.
    forged = json.loads(kept)
    forged["shared"][0] |= {"project_id": 2, "role": "editor", "status": "member"}
    path.write_text(json.dumps(forged))
    with pytest.raises(NotFound):
        json_storage.get("projects", ALICE, 2, caller=by(BOB))


# Changing


def test_an_editor_changes_tasks_and_the_project_and_both_are_told() -> None:
    told = Activity("task_created", "Added", {"id": 4, "ip_address": "192.0.2.1"})
    task = json_storage.create(
        "tasks",
        ALICE,
        {"title": "by bob", "project_id": 1, "assignee": VERA},
        caller=Actor(BOB, "12"),
        activity=told,
        metered=True,
    )
    assert (task["user_id"], task["id"], task["assignee"]) == (ALICE, 4, VERA)
    assert json_storage.quota(BOB).by_token == {"12": 1}
    assert json_storage.quota(ALICE).used == 0
    (bobs,) = json_storage.activities(BOB, 1)
    (alices,) = json_storage.activities(ALICE, 1)
    assert bobs["metadata"]["ip_address"] == "192.0.2.1"
    assert alices["metadata"] == {"id": 4, "by": BOB, "by_name": "bob"}
    json_storage.update("tasks", ALICE, 4, {"assignee": BOB}, caller=by(BOB))
    json_storage.update("projects", ALICE, 1, {"name": "Sight"}, caller=by(BOB))
    json_storage.delete("tasks", ALICE, 4, caller=by(BOB))
    assert {one["project_name"] for one in json_storage.list("shared", VERA)} == {"Sight"}
    check_index()


Attempt = Callable[[Actor], Any]

TASK: dict[str, Any] = {"title": "x", "project_id": 1}
WRITES: dict[str, Attempt] = {
    "create": lambda c: json_storage.create("tasks", ALICE, TASK, caller=c),
    "update": lambda c: json_storage.update("tasks", ALICE, 1, {"title": "x"}, caller=c),
    "delete": lambda c: json_storage.delete("tasks", ALICE, 1, caller=c),
    "project": lambda c: json_storage.update("projects", ALICE, 1, {"name": "x"}, caller=c),
}
OWNERS: dict[str, Attempt] = {
    "delete project": lambda c: json_storage.delete("projects", ALICE, 1, caller=c),
    "create project": lambda c: json_storage.create("projects", ALICE, {"name": "x"}, caller=c),
    "invite": lambda c: memberships.invite(ALICE, 1, "charlie", "editor", caller=c),
    "remove": lambda c: memberships.remove(ALICE, 1, VERA if c.user_id != VERA else BOB, caller=c),
    "role": lambda c: memberships.change_role(ALICE, 1, c.user_id, "editor", caller=c),
    "offer": lambda c: memberships.offer(ALICE, 1, c.user_id, caller=c),
    "withdraw": lambda c: memberships.withdraw_offer(ALICE, 1, caller=c),
}
HIDDEN: dict[str, Attempt] = {
    "other task": lambda c: json_storage.update("tasks", ALICE, 2, {"title": "x"}, caller=c),
    "task of none": lambda c: json_storage.delete("tasks", ALICE, 3, caller=c),
    "other project": lambda c: json_storage.update("projects", ALICE, 2, {"name": "x"}, caller=c),
    "model": lambda c: json_storage.update("models", ALICE, 1, {"name": "x"}, caller=c),
    "new model": lambda c: json_storage.create("models", ALICE, {"name": "x"}, caller=c),
    "members of another": lambda c: memberships.invite(ALICE, 2, "charlie", "viewer", caller=c),
}


@pytest.mark.parametrize("what", [*WRITES, *OWNERS, *HIDDEN])
def test_refused_write_changes_no_byte(what: str, data_folder: Path) -> None:
    attempt = (WRITES | OWNERS | HIDDEN)[what]
    refused: dict[int, type[Exception]] = {VERA: Forbidden, IVAN: NotFound, CHARLIE: NotFound}
    if what in OWNERS:
        refused[BOB] = Forbidden
    if what in HIDDEN:
        refused |= {BOB: NotFound, VERA: NotFound}
    before = contents(data_folder)
    for person, kind in refused.items():
        with pytest.raises(kind):
            attempt(by(person))
        assert contents(data_folder) == before, f"{what} by {person}"


@pytest.mark.parametrize(
    "changes", [{"project_id": 2}, {"project_id": None}, {"project_id": 99}, {"assignee": CHARLIE}]
)
def test_an_editor_moves_no_task_out_of_sight(changes: dict[str, Any], data_folder: Path) -> None:
    before = contents(data_folder)
    with pytest.raises((InvalidRecord, Forbidden)) as caught:
        json_storage.update("tasks", ALICE, 1, changes, caller=by(BOB))
    hidden = changes.get("project_id") in (2, 99)
    if hidden:  # whether there is such a project is not told
        assert isinstance(caught.value, InvalidRecord)
        assert caught.value.errors[0].detail == "must be the id of a project of yours"
    with pytest.raises((InvalidRecord, Forbidden)):
        json_storage.create("tasks", ALICE, {"title": "x"} | changes, caller=by(BOB))
    assert contents(data_folder) == before


def test_members_are_not_written(data_folder: Path) -> None:
    entries = json_storage.get("projects", ALICE, 1)["team_members"]
    forged = {"user_id": CHARLIE, "role": "editor", "status": "member"}
    before = contents(data_folder)
    for caller in (None, by(BOB)):
        for members in (
            [],
            [*entries, forged],
            [one | {"role": "editor"} if isinstance(one, dict) else one for one in entries],
            entries[:-1],
            [*entries, entries[-1]],
        ):
            with pytest.raises(InvalidRecord) as caught:
                json_storage.update("projects", ALICE, 1, {"team_members": members}, caller=caller)
            assert [error.pointer for error in caught.value.errors] == ["/team_members"]
    with pytest.raises(InvalidRecord):
        json_storage.create("projects", ALICE, {"name": "x", "team_members": [forged]})
    assert contents(data_folder) == before
    notes = [*reversed(entries), "Eve", {"name": "Zoë"}]
    json_storage.update("projects", ALICE, 1, {"team_members": notes}, caller=by(BOB))
    assert json_storage.get("projects", ALICE, 1)["team_members"] == notes
    json_storage.update("projects", ALICE, 1, {"name": "y"}, replace=True)
    assert json_storage.get("projects", ALICE, 1)["team_members"] == notes
    check_index()


# The life of a membership


def test_inviting_accepting_declining_leaving_and_removing() -> None:
    entry = memberships.members(ALICE, 1)[-1]
    assert (entry["user_id"], entry["status"], entry["since"]) == (IVAN, "invited", None)
    assert entry["invited_by"] == ALICE and entry["invited_at"]
    (invitation,) = json_storage.list("shared", IVAN)
    assert (invitation["owner_name"], invitation["project_name"]) == ("alice", "Vision")
    memberships.decline(IVAN, invitation["id"])
    assert index_of(IVAN) == []
    memberships.invite(ALICE, 1, "ivan", "viewer")
    (invitation,) = json_storage.list("shared", IVAN)
    accepted = memberships.accept(IVAN, invitation["id"])
    assert accepted == memberships.accept(IVAN, invitation["id"])
    assert accepted["status"] == "member" and accepted["since"]
    memberships.change_role(ALICE, 1, IVAN, "editor")
    assert index_of(IVAN) == [(ALICE, 1, "editor", "member")]
    check_index()
    memberships.remove(ALICE, 1, IVAN, caller=by(IVAN))
    memberships.remove(ALICE, 1, BOB)
    check_index()
    assert [one["user_id"] for one in memberships.members(ALICE, 1)] == [VERA]
    assert json_storage.get("projects", ALICE, 1)["team_members"][:2] == ["Ann", 4]
    deeds = [one["type"] for one in json_storage.activities(ALICE, 100)]
    for deed in ("member_invited", "member_removed", "member_changed", "invitation_accepted"):
        assert deed in deeds
    assert {"invitation_declined", "project_left"} <= set(deeds)


def test_member_whose_index_does_not_read_can_be_removed(data_folder: Path) -> None:
    path = exact(data_folder / f"shared/shared_{BOB}.json")
    good = path.read_text()
    path.write_text('{"shared": [ garbage')
    json_storage.update("projects", ALICE, 1, {"name": "Renamed"})
    with pytest.raises(Corrupt):  # nobody is invited whose index cannot say so
        memberships.invite(ALICE, 2, "bob", "viewer")
    memberships.remove(ALICE, 1, BOB)
    path.write_text(good)  # which still says that bob is an editor
    with pytest.raises(NotFound):
        json_storage.get("tasks", ALICE, 1, caller=by(BOB))
    json_storage.delete("projects", ALICE, 1)
    assert index_of(VERA) == []


def test_leaving_member_is_unassigned() -> None:
    for how in (
        lambda: memberships.remove(ALICE, 1, BOB),
        lambda: memberships.remove(ALICE, 1, BOB, caller=by(BOB)),
    ):
        json_storage.update("tasks", ALICE, 1, {"assignee": BOB})
        how()
        assert json_storage.get("tasks", ALICE, 1)["assignee"] is None
        join("bob", "editor")
    json_storage.update("tasks", ALICE, 1, {"assignee": BOB})
    json_storage.delete("projects", ALICE, 1)
    task = json_storage.get("tasks", ALICE, 1)
    assert (task["assignee"], task["project_id"]) == (None, None)
    assert index_of(BOB) == index_of(VERA) == index_of(IVAN) == []


@pytest.mark.parametrize(
    ("who", "role", "pointer"),
    [
        ("nobody", "editor", "/who"),
        ("alice", "editor", "/who"),
        ("bob", "editor", "/who"),
        ("ivan", "viewer", "/who"),
        ("charlie", "owner", "/role"),
    ],
)
def test_invalid_invitation_reports_pointer(
    who: str, role: str, pointer: str, data_folder: Path
) -> None:
    before = contents(data_folder)
    with pytest.raises(InvalidRecord) as caught:
        memberships.invite(ALICE, 1, who, role)
    assert [error.pointer for error in caught.value.errors] == [pointer]
    assert contents(data_folder) == before


def test_a_project_has_at_most_a_hundred_members() -> None:
    many = Memberships(json_storage, lambda text: (int(text), text))
    for number in range(MEMBERS_MAX - 3):
        many.invite(ALICE, 1, str(1_000 + number), "viewer")
    with pytest.raises(InvalidRecord, match="exceeds the limit"):
        many.invite(ALICE, 1, "5000", "viewer")


def test_active_people_are_found_by_name(alice: User, bob: User) -> None:
    real = Memberships(json_storage)
    json_storage.create("projects", alice.pk, {"name": "x"})
    project = json_storage.list("projects", alice.pk)[-1]["id"]
    assert real.invite(alice.pk, project, "BOB", "viewer")["user_id"] == bob.pk
    real.remove(alice.pk, project, bob.pk)
    bob.is_active = False
    bob.save()
    for who in ("bob", "", "b\0b", "x" * 300):
        with pytest.raises(InvalidRecord):
            real.invite(alice.pk, project, who, "viewer")


def shared_id(person: int, owner: int = ALICE) -> int:
    records = json_storage.list("shared", person)
    return next(int(one["id"]) for one in records if one["owner"] == owner)


def test_offer_moves_nothing_and_gives_nothing_until_it_is_accepted(data_folder: Path) -> None:
    memberships.offer(ALICE, 1, BOB)
    assert [one["id"] for one in json_storage.list("projects", ALICE)] == [1, 2]
    assert json_storage.list("projects", BOB) == []
    with pytest.raises(Forbidden):
        json_storage.delete("projects", ALICE, 1, caller=by(BOB))
    for person in (VERA, IVAN):  # who are not offered it
        before = contents(data_folder)
        with pytest.raises(NotFound):
            memberships.take_over(person, shared_id(person))
        with pytest.raises(NotFound):
            memberships.refuse_offer(person, shared_id(person))
        assert contents(data_folder) == before
    memberships.withdraw_offer(ALICE, 1)
    with pytest.raises(NotFound):
        memberships.take_over(BOB, shared_id(BOB))
    with pytest.raises(NotFound):
        memberships.withdraw_offer(ALICE, 1)
    memberships.offer(ALICE, 1, VERA)
    memberships.offer(ALICE, 1, BOB)  # the later offer is the only one
    with pytest.raises(NotFound):
        memberships.take_over(VERA, shared_id(VERA))
    memberships.refuse_offer(BOB, shared_id(BOB))
    with pytest.raises(NotFound):
        memberships.take_over(BOB, shared_id(BOB))
    assert (ALICE, 1, "editor", "member") in index_of(BOB)
    check_index()


@pytest.mark.parametrize(
    ("former", "left"),
    [("none", []), ("viewer", [(BOB, 1, "viewer", "member")]), ("editor", None)],
)
def test_former_owner_stays_what_the_new_owner_accepts(
    former: str, left: list[tuple[int, int, str, str]] | None
) -> None:
    memberships.offer(ALICE, 1, BOB)
    with pytest.raises(InvalidRecord, match="former_owner"):
        memberships.take_over(BOB, shared_id(BOB), "owner")
    memberships.take_over(BOB, shared_id(BOB), former)
    if left is not None:
        assert index_of(ALICE) == left
        with pytest.raises((NotFound, Forbidden)):
            json_storage.update("tasks", BOB, 1, {"title": "x"}, caller=by(ALICE))
    else:
        json_storage.update("tasks", BOB, 1, {"title": "x"}, caller=by(ALICE))
    check_index()


def test_nobody_offers_a_project_to_themself(data_folder: Path) -> None:
    memberships.offer(ALICE, 1, BOB)
    memberships.refuse_offer(BOB, shared_id(BOB))

    def forge(transaction: Transaction) -> Any:
        key = key_of("projects", ALICE)
        project = dict(transaction.record(key, 1))
        project["team_members"] = [
            one | {"offered_at": "2026-11-23T12:00:00.000000Z"}
            if isinstance(one, dict) and one.get("user_id") == BOB
            else one
            for one in project["team_members"]
        ]
        transaction.put(key, project)
        return project

    for licence in (Grant(), Grant(members=True)):
        with pytest.raises(Forbidden):
            json_storage.change(ALICE, forge, WriteOptions(caller=by(BOB), licence=licence))


def test_taking_over_moves_project_and_tasks_in_one_commit() -> None:
    json_storage.create("projects", BOB, {"name": "his own"})
    json_storage.create("tasks", BOB, {"title": "his own"})
    json_storage.update("tasks", ALICE, 1, {"assignee": VERA})
    with pytest.raises(InvalidRecord):
        memberships.offer(ALICE, 1, IVAN)
    model = json_storage.create("models", ALICE, {"name": "x", "project_id": 1})["id"]
    memberships.offer(ALICE, 1, BOB)
    moved = memberships.take_over(BOB, shared_id(BOB), "editor")
    assert json_storage.get("models", ALICE, model)["project_id"] is None
    assert "project_transferred" in [one["type"] for one in json_storage.activities(ALICE)]
    assert (moved["id"], moved["user_id"], moved["name"]) == (2, BOB, "Vision")
    assert [one["id"] for one in json_storage.list("projects", ALICE)] == [2]
    assert [one["id"] for one in json_storage.list("tasks", ALICE)] == [2, 3]
    task = json_storage.get("tasks", BOB, 2)
    assert (task["project_id"], task["user_id"], task["assignee"]) == (2, BOB, VERA)
    assert index_of(ALICE) == [(BOB, 2, "editor", "member")]
    assert index_of(VERA) == [(BOB, 2, "viewer", "member")]
    assert index_of(IVAN) == [(BOB, 2, "editor", "invited")]
    assert index_of(BOB) == []
    json_storage.update("tasks", BOB, 2, {"title": "x"}, caller=by(ALICE))
    assert "project_received" in [one["type"] for one in json_storage.activities(BOB)]
    check_index()


def test_an_answer_made_again_is_the_same_here_too() -> None:
    for replayed in (False, True):
        once = IdempotencyKey("k", "f")
        entry = memberships.invite(
            ALICE, 1, "charlie", "viewer", once=once, metered=True, caller=by(ALICE)
        )
        assert (entry["user_id"], once.replayed) == (CHARLIE, replayed)
    assert json_storage.quota(ALICE).used == 1


def test_a_deleted_person_leaves_nothing(data_folder: Path) -> None:
    json_storage.update("tasks", ALICE, 1, {"assignee": BOB})
    json_storage.create("projects", BOB, {"name": "Bob's"})
    memberships.invite(BOB, 1, "vera", "viewer")
    gone = json_storage.delete_user_documents(BOB)
    assert gone["projects_left"] == 1 and gone["documents"]["projects"] == 1
    assert not [name for name in contents(data_folder) if name.endswith(f"_{BOB}.json")]
    assert json_storage.get("tasks", ALICE, 1)["assignee"] is None
    assert index_of(VERA) == [(ALICE, 1, "viewer", "member")]
    assert json_storage.delete_user_documents(BOB) == {"documents": {}, "projects_left": 0}
    json_storage.delete_user_documents(ALICE)
    assert index_of(VERA) == index_of(IVAN) == []


# The judgement, whatever made the change

ROGUE: dict[str, Callable[[Transaction], Any]] = {
    "a task of no project": lambda t: t.put(
        key_of("tasks", ALICE), {**t.record(key_of("tasks", ALICE), 3), "title": "x"}
    ),
    "a task moved out": lambda t: t.put(
        key_of("tasks", ALICE), {**t.record(key_of("tasks", ALICE), 1), "project_id": 2}
    ),
    "a task moved in": lambda t: t.put(
        key_of("tasks", ALICE), {**t.record(key_of("tasks", ALICE), 2), "project_id": 1}
    ),
    "a task of another": lambda t: t.remove(key_of("tasks", ALICE), 2),
    "all tasks": lambda t: t.drop(key_of("tasks", ALICE)),
    "the list of tasks": lambda t: t.set(key_of("tasks", ALICE), {"tasks": []}),
    "the head of tasks": lambda t: t.set(key_of("tasks", ALICE), {"last_id": 1}),
    "a project": lambda t: t.remove(key_of("projects", ALICE), 1),
    "a new project": lambda t: t.put(key_of("projects", ALICE), {"id": 9, "name": "x"}),
    "own role": lambda t: t.put(
        key_of("projects", ALICE),
        {
            **t.record(key_of("projects", ALICE), 2),
            "team_members": [{"user_id": BOB, "role": "editor", "status": "member"}],
        },
    ),
    "own index": lambda t: t.put(
        key_of("shared", BOB),
        {**t.record(key_of("shared", BOB), 1), "project_id": 2, "role": "editor"},
    ),
    "another's index": lambda t: t.put(
        key_of("shared", VERA), {**t.record(key_of("shared", VERA), 1), "role": "editor"}
    ),
    "a model": lambda t: t.put(key_of("models", ALICE), {"id": 1, "name": "x"}),
    "the owner's document": lambda t: t.set(key_of("users", ALICE), {"api_calls_limit": 0}),
    "a stranger's task": lambda t: t.put(key_of("tasks", CHARLIE), {"id": 1, "title": "x"}),
    "a stranger's document": lambda t: t.drop(key_of("users", CHARLIE)),
}


@pytest.mark.parametrize("what", ROGUE)
@pytest.mark.parametrize("licence", [Grant(), Grant(members=True)])
def test_rogue_edit_is_forbidden(what: str, licence: Grant, data_folder: Path) -> None:
    before = contents(data_folder)
    with pytest.raises(Forbidden):
        json_storage.change(ALICE, ROGUE[what], WriteOptions(caller=by(BOB), licence=licence))
    assert contents(data_folder) == before


def test_nobody_gives_themself_a_role_with_the_licence_of_a_membership(data_folder: Path) -> None:
    for person, role, status in (
        (VERA, "editor", "member"),
        (IVAN, "viewer", "member"),
        (CHARLIE, "viewer", "member"),
        (CHARLIE, "viewer", "invited"),
    ):

        def edit(transaction: Transaction, entry: Any = (person, role, status)) -> None:
            key = key_of("projects", ALICE)
            project = transaction.record(key, 1)
            rest = [
                one
                for one in project["team_members"]
                if not (isinstance(one, dict) and one["user_id"] == entry[0])
            ]
            new = {"user_id": entry[0], "role": entry[1], "status": entry[2]}
            transaction.put(key, {**project, "team_members": [*rest, new]})

        before = contents(data_folder)
        with pytest.raises(Forbidden):
            json_storage.change(
                ALICE, edit, WriteOptions(caller=by(person), licence=Grant(members=True))
            )
        with pytest.raises(Forbidden):  # nor does the owner, but by an operation on memberships
            json_storage.change(ALICE, edit)
        assert contents(data_folder) == before


# Planted bugs


def _takes_any_role(right: Any) -> Any:
    def was_editor(judge: Any, owner: int, collection: str, record: Any) -> bool:
        access = judge._before
        is_of_owner = access is not None and access.owner == owner
        return is_of_owner and access.role(collection, record) is not None

    return was_editor


PLANTS: list[tuple[Any, str, Any, Callable[[], Any]]] = [
    (
        *(unit_of_work, "authorize", NOTHING_DONE),
        lambda: json_storage.change(
            ALICE, ROGUE["a task of another"], WriteOptions(caller=by(BOB))
        ),
    ),
    (
        *(access, "_check_members", NOTHING_DONE),
        lambda: json_storage.change(ALICE, ROGUE["own role"], WriteOptions(caller=by(ALICE))),
    ),
    (
        *(access._EditAuthorizer, "_was_editor", _takes_any_role),
        lambda: json_storage.change(
            ALICE,
            lambda t: t.remove(key_of("tasks", ALICE), 1) and None,
            WriteOptions(caller=by(VERA)),
        ),
    ),
    (
        *(access, "_only_tells", returning(True)),
        lambda: json_storage.change(
            ALICE, ROGUE["the owner's document"], WriteOptions(caller=by(BOB))
        ),
    ),
    (
        *(access, "_check_index", NOTHING_DONE),
        lambda: json_storage.change(ALICE, ROGUE["another's index"], WriteOptions(caller=by(BOB))),
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant[1])
def test_planted_bugs_are_noticed(plant: tuple[Any, str, Any, Callable[[], Any]]) -> None:
    owner, seam, wrong, attempt = plant
    with pytest.raises((Forbidden, NotFound)):
        attempt()
    with planted(owner, seam, wrong):
        attempt()  # nothing else would have stopped it


def test_work_grows_with_the_projects_shared_and_not_with_their_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each project that changed went through all that its members are told of."""
    count = 60
    for number in range(3, count + 3):
        json_storage.create("projects", ALICE, {"name": "shared"})
        join("bob", "viewer", number)
    looked_at: list[object] = []
    index_of = access.index_of

    def counted(*args: Any) -> Any:
        for record in index_of(*args):
            looked_at.append(record)
            yield record

    for module in ("permissions", "membership_index"):
        monkeypatch.setattr(f"workspace.sharing.{module}.index_of", counted)
    changes = [
        {"op": "update", "id": number, "changes": {"name": "renamed"}}
        for number in range(3, count + 3)
    ]
    json_storage.bulk("projects", ALICE, changes)
    told = [record["project_name"] for record in json_storage.list("shared", BOB)]
    assert told.count("renamed") == count
    assert len(looked_at) < 10 * count
