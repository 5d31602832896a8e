"""Permission rules for shared projects. Start here to change who may do what.

**Member entries** in `team_members` of a project define who shares it. **The index** is the
`shared` document of each member. A permission requires both, and the index is read first. A user
who was not invited gets `NotFound` before any document of the owner is read, so response times do
not reveal whether a record exists.

`authorize` authorizes everything that a transaction changes, whatever code changed it, and refuses
what no rule here permits. Changes of a user's own records need no further reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol

from docstore import ABSENT, Edit, Key, NotFound, RecordList, Transaction, id_of
from workspace.actor import Actor
from workspace.documents import key_of
from workspace.member_entries import (
    MEMBERS,
    OFFERED,
    addressed_of,
    entries_of,
)
from workspace.schema.collections import COLLECTIONS
from workspace.users.quota import PERIOD

SHARED_COLLECTIONS: Final = ("tasks", "projects")

Project = tuple[int, int]  # ids of owner and project


class Role(IntEnum):
    """A user's role in a project. A higher role includes the permissions of a lower one."""

    VIEWER = 1
    EDITOR = 2
    OWNER = 3


class Forbidden(Exception):
    """The user may see the record, but not perform this action."""


class Grant(NamedTuple):
    """Additional permissions of operations on memberships."""

    members: bool = False  # may change member entries
    answers: int | None = None  # may accept this invitation to an address that the user proved
    takes: Project | None = None  # may move this project, which its owner offered, and its tasks


NO_GRANT: Final = Grant()


class Documents(Protocol):
    """The source of documents for permission checks: the store, or a transaction."""

    def records(self, key: Key) -> RecordList:
        """Return the document's records."""


def index_of(documents: Documents, person: int) -> Iterator[dict[str, Any]]:
    """Yield the records of a user's `shared` document: memberships and invitations."""
    for record in documents.records(key_of("shared", person)):
        if isinstance(record, dict):
            yield record


def index_by_project(documents: Documents, person: int) -> dict[Project, list[dict[str, Any]]]:
    """Return the records of a user's index by owner and project.

    A project has several records only after hand edits. Use this to look up many projects, as each
    search of the index is linear.
    """
    by_project: dict[Project, list[dict[str, Any]]] = {}
    for record in index_of(documents, person):
        owner, project_id = record.get("owner"), record.get("project_id")
        if type(owner) is int and type(project_id) is int:
            by_project.setdefault((owner, project_id), []).append(record)
    return by_project


def sharers(documents: Documents, person: int) -> list[int]:
    """Return the owners of projects that the user has joined, according to the index."""
    return sorted(
        {
            record["owner"]
            for record in index_of(documents, person)
            if record.get("status") == "member" and type(record.get("owner")) is int
        }
    )


def roles(documents: Documents, person: int, owner: int) -> dict[int, Role]:
    """Return the user's roles in the owner's projects, by project id."""
    indexed = {
        record["project_id"]
        for record in index_of(documents, person)
        if record.get("owner") == owner
        and record.get("status") == "member"
        and type(record.get("project_id")) is int  # hand edits can have any value
    }
    if not indexed:
        return {}
    projects = documents.records(key_of("projects", owner))
    joined = {}
    for project_id in indexed:
        records = projects.find(project_id)
        entry = entries_of(records[0]).get(person) if len(records) == 1 else None
        if entry and entry["status"] == "member":
            joined[project_id] = Role[entry["role"].upper()]
    return joined


@dataclass(frozen=True)
class Access:
    """The permissions of a user on an owner's records. `roles` is None for the owner."""

    owner: int
    roles: Mapping[int, Role] | None = None

    @classmethod
    def of(cls, documents: Documents, person: int, owner: int) -> Access:
        """Return the permissions. Raises `NotFound` if the owner shares nothing with the user."""
        if person == owner:
            return cls(owner)
        shared_roles = roles(documents, person, owner)
        if not shared_roles:
            raise NotFound("there is no such record")
        return cls(owner, shared_roles)

    def role(self, collection: str, record: Mapping[str, Any]) -> Role | None:
        """Return the user's role in the record's project, or None if it is not visible."""
        if self.roles is None:
            return Role.OWNER
        return self.roles.get(_project_of(collection, record) or 0)

    def require(self, role: Role, collection: str, record: Mapping[str, Any]) -> None:
        """Raise `NotFound` if the record is not visible, `Forbidden` if the role is lower."""
        has = self.role(collection, record)
        if has is None:
            raise NotFound(f"there is no {COLLECTIONS[collection].singular} {id_of(dict(record))}")
        if has < role:
            raise Forbidden(f"you may read this {COLLECTIONS[collection].singular}, not change it")

    def seen(self, collection: str, records: Iterable[Any]) -> Sequence[Mapping[str, Any]]:
        """Return the visible ones of the records."""
        return [
            record
            for record in records
            if isinstance(record, dict) and self.role(collection, record) is not None
        ]


def access_to(documents: Documents, collection: str, owner: int, caller: Actor | None) -> Access:
    """Return the caller's permissions on a collection of the owner. The default is the owner.

    Raises `NotFound` if there are none.
    """
    key_of(collection, owner)  # raises for an unknown collection or owner
    if caller is not None and caller.user_id != owner and collection not in SHARED_COLLECTIONS:
        raise NotFound("there is no such record")
    return Access.of(documents, caller.user_id if caller else owner, owner)


def _project_of(collection: str, record: Mapping[str, Any]) -> int | None:
    if collection not in SHARED_COLLECTIONS:
        return None
    project_id = record.get("id" if collection == "projects" else "project_id")
    return project_id if type(project_id) is int else None


# Changes of a transaction


def changed_projects(
    transaction: Transaction,
) -> dict[Project, tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    """Return the projects that the transaction changes, before and after."""
    before: dict[Project, dict[str, Any] | None] = {}
    for key, edit in list(transaction.edits()):
        if key.collection == "projects":
            for record in _records_in(key, edit.path, edit.before):
                before.setdefault((key.owner, record["id"]), record)
            for record in _records_in(key, edit.path, edit.after):
                before.setdefault((key.owner, record["id"]), None)
    return {
        project: (was, _found(transaction, "projects", *project)) for project, was in before.items()
    }


def _records_in(key: Key, path: Sequence[Any], value: Any) -> Iterator[dict[str, Any]]:
    """Yield the records with an id on one side of an edit of a record, a list, or a document."""
    name = COLLECTIONS[key.collection].layout.records
    if value is ABSENT or (path and path[0] != name):
        return
    if not path:
        value = value.get(name)
    if len(path) < 2:
        yield from (record for record in value or () if id_of(record))
    elif id_of(value):
        yield value


def _found(documents: Documents, collection: str, owner: int, record_id: int) -> Any | None:
    records = documents.records(key_of(collection, owner)).find(record_id)
    return records[0] if len(records) == 1 else None


# Authorization


def authorize(
    transaction: Transaction,
    person: int,
    before: Access | None,
    licence: Grant = NO_GRANT,
) -> None:
    """Raise `Forbidden` unless the user is permitted to make all changes of the transaction.

    `before` are the user's permissions when it began, for changes of another owner's records.
    """
    shares = others = False
    for key in transaction.changed:
        shares |= key.collection in ("projects", "shared")
        others |= key.owner != person
    if shares:
        _check_members(transaction, person, licence)
        _check_index(transaction)
    if others:
        judge = _EditAuthorizer(transaction, person, before, licence)
        for key, edit in list(transaction.edits()):
            if key.owner != person and not judge.allows(key, edit):
                raise Forbidden(f"this is not yours to change ({key.collection})")


def _check_members(transaction: Transaction, person: int, licence: Grant) -> None:
    """Check that member entries change only by permitted operations on memberships."""
    for (owner, project_id), (was, now) in changed_projects(transaction).items():
        old, new = entries_of(was), entries_of(now)
        changed = {user for user in old.keys() | new.keys() if old.get(user) != new.get(user)}
        waited, waits = addressed_of(was), addressed_of(now)
        if owner == person:
            unchanged = all(waited.get(number) == entry for number, entry in waits.items())
            may = licence.members or (changed.isdisjoint(new) and unchanged)
        elif now is None or was is None:
            may = now is None and _is_offered(old, (owner, project_id), person, licence)
        elif licence.answers is not None:
            may = changed <= {person} and _is_answer(was, now, person, licence.answers)
        else:
            own = licence.members and changed <= {person} and _is_own_step(old, new, person)
            may = own and waits == waited
        if (changed or waits != waited) and not may:
            raise Forbidden("members are invited and removed, not written")


def _is_answer(was: Mapping[str, Any], now: Mapping[str, Any], person: int, number: int) -> bool:
    """Return whether the change accepts one invitation to an address, with the role it offers."""
    waited = addressed_of(was)
    if number not in waited or number in addressed_of(now):
        return False
    before, after = entries_of(was).get(person), entries_of(now).get(person)
    rest = [item for item in was[MEMBERS] if item is not waited[number] and item is not before]
    if rest != [item for item in now[MEMBERS] if item is not after]:
        return False
    joined = after is not None and after["role"] == waited[number]["role"]
    return after == before or (before is None and joined)


def _is_offered(old: Mapping[int, Any], project: Project, person: int, licence: Grant) -> bool:
    """Return whether the owner offers the project to the user who takes it."""
    entry = old.get(person)
    offered = entry is not None and entry["status"] == "member" and bool(entry.get(OFFERED))
    return offered and licence.takes == project


def _is_own_step(old: Mapping[int, Any], new: Mapping[int, Any], person: int) -> bool:
    """Return whether the user accepts, declines or leaves, without changing their own role."""
    was, now = old.get(person), new.get(person)
    if was is None or now is None:
        return was is not None
    same = all(was.get(name) == now.get(name) for name in ("role", "invited_by", "invited_at"))
    offer = now.get(OFFERED) in (None, was.get(OFFERED))
    return same and offer and now["status"] == "member"


def _check_index(transaction: Transaction) -> None:
    """Check that all touched index records agree with the member entries after the transaction."""
    places: set[tuple[int, Project]] = set()
    for project, (was, now) in changed_projects(transaction).items():
        places |= {(user, project) for user in entries_of(was).keys() | entries_of(now).keys()}
    for key, edit in list(transaction.edits()):
        if key.collection == "shared":
            for side in (edit.before, edit.after):
                for record in _records_in(key, edit.path, side):
                    owner, project_id = record.get("owner"), record.get("project_id")
                    if type(owner) is int and type(project_id) is int:
                        places.add((key.owner, (owner, project_id)))
                    elif side is edit.after:
                        raise Forbidden("what is shared must say whose it is")
    users = {user for user, _project in places}
    indexed = {
        user: index_by_project(transaction, user)
        for user in users
        # An unreadable index gives no access, and `follow` could not write it.
        if transaction.fault(key_of("shared", user)) is None
    }
    for user, project in places:
        if user not in indexed:
            continue
        entry = entries_of(_found(transaction, "projects", *project)).get(user)
        stated = [
            (record.get("role"), record.get("status")) for record in indexed[user].get(project, ())
        ]
        if stated != ([(entry["role"], entry["status"])] if entry else []):
            raise Forbidden("what is shared must agree with the project's members")


class _EditAuthorizer:
    """Authorizes single edits of other owners' documents."""

    def __init__(
        self, transaction: Transaction, person: int, before: Access | None, licence: Grant
    ) -> None:
        self._transaction, self._person, self._licence = transaction, person, licence
        self._before = before
        self._after: dict[int, dict[int, Role]] = {}

    def allows(self, key: Key, edit: Edit) -> bool:
        if _begins_empty(key, edit) or _counts_ids(key, edit):
            return key.collection in (*SHARED_COLLECTIONS, "shared")
        if key.collection == "users":
            return _only_tells(edit)
        if key.collection == "shared":
            return True  # `_check_index` has compared it with the project
        if self._takes(key, edit):
            return True
        if key.collection not in SHARED_COLLECTIONS or len(edit.path) != 2:
            return False
        if key.collection == "tasks":
            return self._allows_task(key.owner, edit)
        return self._allows_project(key.owner, edit)

    def _takes(self, key: Key, edit: Edit) -> bool:
        """Return whether the edit moves the offered project, as checked by `_check_members`."""
        owner, project_id = self._licence.takes or (None, None)
        if key.owner != owner or len(edit.path) != 2 or edit.before is ABSENT:
            return False
        if key.collection in SHARED_COLLECTIONS:
            return edit.after is ABSENT and _project_of(key.collection, edit.before) == project_id
        return key.collection == "models" and _only_leaves(edit, project_id)

    def _allows_task(self, owner: int, edit: Edit) -> bool:
        if self._licence.members and _only_unassigns(edit, self._person):
            return True
        before, after = edit.before, edit.after
        return (before is ABSENT or self._was_editor(owner, "tasks", before)) and (
            after is ABSENT or self._is_editor(owner, after)
        )

    def _allows_project(self, owner: int, edit: Edit) -> bool:
        if edit.before is ABSENT or edit.after is ABSENT:
            return False
        if self._licence.members:  # `_check_members` has checked the member entries
            return _without(edit.before, MEMBERS) == _without(edit.after, MEMBERS)
        return self._was_editor(owner, "projects", edit.before)

    def _was_editor(self, owner: int, collection: str, record: Mapping[str, Any]) -> bool:
        access = self._before
        if access is None or access.owner != owner or access.roles is None:
            return False
        return access.role(collection, record) == Role.EDITOR

    def _is_editor(self, owner: int, task: Mapping[str, Any]) -> bool:
        if owner not in self._after:
            self._after[owner] = roles(self._transaction, self._person, owner)
        return self._after[owner].get(_project_of("tasks", task) or 0) == Role.EDITOR


def _begins_empty(key: Key, edit: Edit) -> bool:
    if edit.path or edit.before is not ABSENT or edit.after is ABSENT:
        return False
    records = COLLECTIONS[key.collection].layout.records
    return edit.after.keys() <= {records, "updated_at"} and not edit.after.get(records)


def _counts_ids(key: Key, edit: Edit) -> bool:
    before = 0 if edit.before is ABSENT else edit.before
    return (
        tuple(edit.path) == ("last_id",)
        and type(edit.after) is int
        and not (type(before) is int and edit.after < before)
    )


def _only_tells(edit: Edit) -> bool:
    """Return whether the edit adds an activity, or stores the hour of an old count with it."""
    path = tuple(edit.path)
    return edit.before is ABSENT and (path[:1] == ("activities",) or path == (PERIOD,))


def _only_unassigns(edit: Edit, person: int) -> bool:
    if edit.before is ABSENT or edit.after is ABSENT:
        return False
    unassigned = edit.before.get("assignee") == person and edit.after.get("assignee") is None
    return unassigned and _without(edit.before, "assignee") == _without(edit.after, "assignee")


def _only_leaves(edit: Edit, project_id: int | None) -> bool:
    """Return whether a model leaves the project and nothing else of it changes."""
    before, after = edit.before, edit.after
    if after is ABSENT or before.get("project_id") != project_id:
        return False
    return after.get("project_id") is None and _without(before, "project_id") == _without(
        after, "project_id"
    )


def _without(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in (name, "updated_at")}
