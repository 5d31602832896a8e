"""Who may do what with what is another's: read first, when a right is to change.

**The truth** about who shares a project is the list `team_members` in the project's record. **The
index** is the `shared` document of each person whom it names. A person has a right only where both
say so, and the index is looked at first: whom nobody invited is told "not found" before anything of
the owner's is read, so that their call costs the same whether there is something or not.

`check` judges all that a transaction is about to change, whatever made it, and refuses what no rule
here allows. What the owner does with their own records needs no reading at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol

from django.core.exceptions import PermissionDenied

from docstore import ABSENT, Edit, Key, NotFound, RecordList, Transaction, id_of
from utils.caller import Caller
from utils.documents import key_of
from utils.json.values import INTEGER_MAX
from utils.people.quota import PERIOD
from utils.table import COLLECTIONS, MEMBER_STATUSES, ROLES

SHARED_COLLECTIONS: Final = ("tasks", "projects")
MEMBERS: Final = "team_members"
OFFERED: Final = "offered_at"  # in a member entry: when the member was offered to own the project

Project = tuple[int, int]  # the owner's id and the project's


class Role(IntEnum):
    """What a person is in a project; who is more may do all that who is less may do."""

    VIEWER = 1
    EDITOR = 2
    OWNER = 3


class Forbidden(PermissionDenied):
    """The person may see this, but not do that with it."""


class Licence(NamedTuple):
    """What an operation on memberships may do that nothing else may."""

    members: bool = False  # change member entries
    takes: Project | None = None  # move this project and its tasks, which its owner offers


ORDINARY: Final = Licence()


class Documents(Protocol):
    """What is read to know a right: the store, or a transaction."""

    def records(self, key: Key) -> RecordList:
        """The document's records."""


# Member entries


def is_member_entry(entry: object) -> bool:
    """Whether it may give a right. All else in `team_members` is a note."""
    return (
        isinstance(entry, dict)
        and type(entry.get("user_id")) is int
        and 0 < entry["user_id"] <= INTEGER_MAX
        and entry.get("role") in ROLES
        and entry.get("status") in MEMBER_STATUSES
    )


def is_managed(entry: object) -> bool:
    """Whether only the operations on memberships may write it."""
    return isinstance(entry, dict) and "status" in entry


def entries_of(project: Mapping[str, Any] | None) -> dict[int, dict[str, Any]]:
    """The member entries of a project by person; of two for one person the first counts."""
    found: dict[int, dict[str, Any]] = {}
    members = project.get(MEMBERS) if project is not None else None
    for entry in members if isinstance(members, list) else ():
        if is_member_entry(entry):
            found.setdefault(entry["user_id"], entry)
    return found


def index_of(documents: Documents, person: int) -> Iterator[dict[str, Any]]:
    """The records of a person's `shared` document: what others share with them, or offer to."""
    for record in documents.records(key_of("shared", person)):
        if isinstance(record, dict):
            yield record


def sharers(documents: Documents, person: int) -> list[int]:
    """Who shares something that the person has joined, as the index says."""
    return sorted(
        {
            record["owner"]
            for record in index_of(documents, person)
            if record.get("status") == "member" and type(record.get("owner")) is int
        }
    )


def roles(documents: Documents, person: int, owner: int) -> dict[int, Role]:
    """Of the owner's projects those that the person has joined, by id."""
    indexed = {
        record["project_id"]
        for record in index_of(documents, person)
        if record.get("owner") == owner
        and record.get("status") == "member"
        and type(record.get("project_id")) is int  # a hand may have written anything
    }
    if not indexed:
        return {}
    projects = documents.records(key_of("projects", owner))
    found = {}
    for project_id in indexed:
        records = projects.find(project_id)
        entry = entries_of(records[0]).get(person) if len(records) == 1 else None
        if entry and entry["status"] == "member":
            found[project_id] = Role[entry["role"].upper()]
    return found


@dataclass(frozen=True)
class Access:
    """What a person may see of an owner's records; `roles` is None where they are the owner."""

    owner: int
    roles: Mapping[int, Role] | None = None

    @classmethod
    def of(cls, documents: Documents, person: int, owner: int) -> Access:
        """Raises `NotFound` where the owner shares nothing with the person."""
        if person == owner:
            return cls(owner)
        found = roles(documents, person, owner)
        if not found:
            raise NotFound("there is no such record")
        return cls(owner, found)

    def role(self, collection: str, record: Mapping[str, Any]) -> Role | None:
        """What the person is in the record's project; None where they do not see it."""
        if self.roles is None:
            return Role.OWNER
        return self.roles.get(_project_of(collection, record) or 0)

    def require(self, role: Role, collection: str, record: Mapping[str, Any]) -> None:
        """Raises `NotFound` where the record is not seen, `Forbidden` where the role is less."""
        has = self.role(collection, record)
        if has is None:
            raise NotFound(f"there is no {COLLECTIONS[collection].singular} {id_of(dict(record))}")
        if has < role:
            raise Forbidden(f"you may read this {COLLECTIONS[collection].singular}, not change it")

    def seen(self, collection: str, records: Iterable[Any]) -> Sequence[Mapping[str, Any]]:
        """Those of the records that the person sees."""
        return [
            record
            for record in records
            if isinstance(record, dict) and self.role(collection, record) is not None
        ]


def access_to(documents: Documents, collection: str, owner: int, caller: Caller | None) -> Access:
    """What the caller, by default the owner, may see in a collection of the owner's.

    Raises `NotFound` where that is nothing.
    """
    key_of(collection, owner)  # which refuses what there is not
    if caller is not None and caller.user_id != owner and collection not in SHARED_COLLECTIONS:
        raise NotFound("there is no such record")
    return Access.of(documents, caller.user_id if caller else owner, owner)


def _project_of(collection: str, record: Mapping[str, Any]) -> int | None:
    if collection not in SHARED_COLLECTIONS:
        return None
    found = record.get("id" if collection == "projects" else "project_id")
    return found if type(found) is int else None


# What a transaction changes


def changed_projects(
    transaction: Transaction,
) -> dict[Project, tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    """Each project that the transaction touches, as it was before and as it is now."""
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
    """The records with an id in one side of an edit: of one record, a list, or the document."""
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


# The judgement


def check(
    transaction: Transaction,
    person: int,
    before: Access | None,
    licence: Licence = ORDINARY,
) -> None:
    """Refuses the transaction unless all that it changes is the person's right to change.

    `before` is what they were allowed before it began, where it is about another's records. Raises
    `Forbidden`.
    """
    shares = others = False
    for key in transaction.changed:
        shares |= key.collection in ("projects", "shared")
        others |= key.owner != person
    if shares:
        _check_members(transaction, person, licence)
        _check_index(transaction)
    if others:
        judge = _Judge(transaction, person, before, licence)
        for key, edit in list(transaction.edits()):
            if key.owner != person and not judge.allows(key, edit):
                raise Forbidden(f"this is not yours to change ({key.collection})")


def _check_members(transaction: Transaction, person: int, licence: Licence) -> None:
    """Who is a member changes by an operation on memberships only, and there by who may."""
    for (owner, project_id), (was, now) in changed_projects(transaction).items():
        old, new = entries_of(was), entries_of(now)
        changed = {user for user in old.keys() | new.keys() if old.get(user) != new.get(user)}
        if owner == person:
            may = licence.members or changed.isdisjoint(new)
        elif now is None or was is None:
            may = now is None and _is_offered(old, (owner, project_id), person, licence)
        else:
            may = licence.members and changed <= {person} and _is_own_step(old, new, person)
        if changed and not may:
            raise Forbidden("members are invited and removed, not written")


def _is_offered(old: Mapping[int, Any], project: Project, person: int, licence: Licence) -> bool:
    """Whether the owner offers the project to the person, who takes it."""
    entry = old.get(person)
    offered = entry is not None and entry["status"] == "member" and bool(entry.get(OFFERED))
    return offered and licence.takes == project


def _is_own_step(old: Mapping[int, Any], new: Mapping[int, Any], person: int) -> bool:
    """Whether a person accepts, declines or leaves; nobody gives themself a role."""
    was, now = old.get(person), new.get(person)
    if was is None or now is None:
        return was is not None
    same = all(was.get(name) == now.get(name) for name in ("role", "invited_by", "invited_at"))
    offer = now.get(OFFERED) in (None, was.get(OFFERED))
    return same and offer and now["status"] == "member"


def _check_index(transaction: Transaction) -> None:
    """What the index says after the transaction, of all that it touches, is what the truth says."""
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
    for user, project in places:
        entry = entries_of(_found(transaction, "projects", *project)).get(user)
        told = [
            (record.get("role"), record.get("status"))
            for record in index_of(transaction, user)
            if (record.get("owner"), record.get("project_id")) == project
        ]
        if told != ([(entry["role"], entry["status"])] if entry else []):
            raise Forbidden("what is shared must agree with the project's members")


class _Judge:
    """Judges single edits in the documents of others."""

    def __init__(
        self, transaction: Transaction, person: int, before: Access | None, licence: Licence
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
            return True  # `_check_index` has seen that it says what the project says
        if self._takes(key, edit):
            return True
        if key.collection not in SHARED_COLLECTIONS or len(edit.path) != 2:
            return False
        if key.collection == "tasks":
            return self._allows_task(key.owner, edit)
        return self._allows_project(key.owner, edit)

    def _takes(self, key: Key, edit: Edit) -> bool:
        """Whether it moves out what is offered; `_check_members` has seen that it is."""
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
        if self._licence.members:  # `_check_members` has seen that it is their own step
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
    """Whether it adds an activity, or writes down the month of an old count because of that."""
    path = tuple(edit.path)
    return edit.before is ABSENT and (path[:1] == ("activities",) or path == (PERIOD,))


def _only_unassigns(edit: Edit, person: int) -> bool:
    if edit.before is ABSENT or edit.after is ABSENT:
        return False
    unassigned = edit.before.get("assignee") == person and edit.after.get("assignee") is None
    return unassigned and _without(edit.before, "assignee") == _without(edit.after, "assignee")


def _only_leaves(edit: Edit, project_id: int | None) -> bool:
    """Whether a model leaves the project, and nothing else of it changes."""
    before, after = edit.before, edit.after
    if after is ABSENT or before.get("project_id") != project_id:
        return False
    return after.get("project_id") is None and _without(before, "project_id") == _without(
        after, "project_id"
    )


def _without(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in (name, "updated_at")}
