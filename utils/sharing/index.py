"""The index follows the truth: what a change of projects means for those who share them.

In every transaction that changes a project, whatever made it, the `shared` documents of the people
whom it names, or named, are brought to say what its member entries say; and tasks assigned to one
who is no member any more are assigned to nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from docstore import Key, Transaction, id_of
from utils.documents import ensure, key_of
from utils.json.values import FieldError
from utils.records import InvalidRecord, Record, changed_record
from utils.sharing.access import (
    MEMBERS,
    OFFERED,
    Project,
    changed_projects,
    entries_of,
    index_of,
    is_managed,
)
from utils.table import COLLECTIONS
from utils.times import utc_text


def follow(transaction: Transaction) -> None:
    """Brings the index, and who is assigned, in line with the projects that were changed."""
    if "projects" not in [key.collection for key in transaction.changed]:
        return
    for project, (was, now) in changed_projects(transaction).items():
        old, new = entries_of(was), entries_of(now)
        for person in old.keys() | new.keys():
            write_index(transaction, person, project, now, new.get(person))
        gone = {person for person in old if not _is_member(new.get(person))}
        if gone and now is not None:
            _unassign(transaction, project, gone)


def write_index(
    transaction: Transaction,
    person: int,
    project: Project,
    record: Mapping[str, Any] | None,
    entry: Mapping[str, Any] | None,
) -> bool:
    """Makes a person's index say what their member entry says; whether it did not say so."""
    key, (owner, project_id) = key_of("shared", person), project
    there = [
        one
        for one in index_of(transaction, person)
        if (one.get("owner"), one.get("project_id")) == project and id_of(one)
    ]
    keep = there[0] if there and entry and record else None
    for one in there:
        if one is not keep:
            transaction.remove(key, one["id"])
    if entry is None or record is None:
        return bool(there)
    ensure(transaction, key)
    ours = ("id", OFFERED)
    known = {name: value for name, value in keep.items() if name not in ours} if keep else {}
    wanted = {
        "id": keep["id"] if keep else transaction.new_id(key),
        "owner": owner,
        "owner_name": name_of(transaction, owner),
        "project_id": project_id,
        "project_name": record.get("name") or "",
        **{name: entry[name] for name in ("role", "status")},
        **{name: entry.get(name) for name in ("invited_by", "invited_at", "since")},
        **({OFFERED: entry[OFFERED]} if entry.get(OFFERED) else {}),
    }
    if keep == known | wanted:
        return len(there) > 1
    transaction.put(key, COLLECTIONS["shared"].ordered(known | wanted))
    return True


def mend_index(transaction: Transaction, person: int) -> bool:
    """Makes the index say what is true, of what is shared with a person and of what they share.

    Only people who have a document of their own get an index. Whether there was something to mend.
    """
    mended = False
    for owner, project_id in [_meant(record) for record in index_of(transaction, person)]:
        if owner and project_id:
            mended |= _mend(transaction, owner, project_id, {person})
    for project in list(transaction.records(key_of("projects", person))):
        members, own = entries_of(project).keys(), id_of(project)
        if own and members:
            mended |= _mend(transaction, person, own, members)
    return mended


def _meant(record: Mapping[str, Any]) -> Project:
    """Owner and project of a record of an index; 0 where a hand wrote something else."""
    owner, project_id = record.get("owner"), record.get("project_id")
    return (
        owner if type(owner) is int and owner > 0 else 0,
        project_id if type(project_id) is int else 0,
    )


def _mend(transaction: Transaction, owner: int, project_id: int, people: Collection[int]) -> bool:
    found = transaction.records(key_of("projects", owner)).find(project_id)
    project = found[0] if len(found) == 1 else None
    entries, mended = entries_of(project), False
    for person in people:
        if transaction.document(key_of("users", person)) is not None:
            entry = entries.get(person)
            mended |= write_index(transaction, person, (owner, project_id), project, entry)
    return mended


def take_out(transaction: Transaction, owner: int, project: dict[str, Any], person: int) -> None:
    """The project without the person's member entries."""
    rest = [
        entry
        for entry in project[MEMBERS]
        if not (isinstance(entry, dict) and "status" in entry and entry.get("user_id") == person)
    ]
    write_members(transaction, owner, project, rest)


def write_members(
    transaction: Transaction, owner: int, project: dict[str, Any], members: list[Any]
) -> dict[str, Any]:
    """The project with these members; nothing else of it is judged or changed but its time."""
    changed = {**project, MEMBERS: members, "updated_at": utc_text(transaction.now)}
    record = COLLECTIONS["projects"].ordered(changed)
    transaction.put(key_of("projects", owner), record)
    return record


def name_of(transaction: Transaction, person: int) -> str:
    """The person's user name as their document tells it; "" where it does not."""
    document = transaction.document(key_of("users", person)) or {}
    name = document.get("username")
    return name if isinstance(name, str) else ""


def _is_member(entry: Mapping[str, Any] | None) -> bool:
    return entry is not None and entry["status"] == "member"


def _unassign(transaction: Transaction, project: Project, people: set[int]) -> None:
    owner, project_id = project
    key = key_of("tasks", owner)
    for task in transaction.records(key):
        mine = id_of(task) and task.get("project_id") == project_id
        if mine and type(task.get("assignee")) is int and task["assignee"] in people:
            put_changed(transaction, key, task, {"assignee": None})


def put_changed(
    transaction: Transaction, key: Key, before: Record, changes: Mapping[str, Any]
) -> None:
    """Makes changes that follow from others; what else an old record holds, is not judged."""
    spec = COLLECTIONS[key.collection]
    transaction.put(key, changed_record(spec, before, changes, now=transaction.now))


def refuse_written_members(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Refuses an ordinary change of a project that writes, changes or drops member entries.

    Raises `InvalidRecord`.
    """
    old, new = _managed(before), _managed(after)
    dropped = [user for user in entries_of(before) if user not in entries_of(after)]
    if dropped or any(new.count(entry) > old.count(entry) for entry in new):
        raise InvalidRecord(
            [FieldError(f"/{MEMBERS}", "must keep its members: they are invited and removed")]
        )


def _managed(project: Mapping[str, Any]) -> list[Any]:
    members = project.get(MEMBERS)
    return [one for one in members if is_managed(one)] if isinstance(members, list) else []
