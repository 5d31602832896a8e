"""Update the index of memberships after changes of projects.

Every transaction that changes a project, whatever code changed it, updates the `shared` documents
of current and former members, and unassigns the tasks of former members.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from docstore import Key, Transaction, id_of
from workspace.documents import get_or_create, key_of
from workspace.json_values import FieldError
from workspace.member_entries import MEMBERS, OFFERED, entries_of, is_managed
from workspace.schema.collections import COLLECTIONS
from workspace.schema.validation import InvalidRecord, Record, changed_record
from workspace.sharing.permissions import Project, changed_projects, index_by_project, index_of
from workspace.timestamps import format_utc


def sync_index(transaction: Transaction) -> None:
    """Update the index and assignments after changes of projects in the transaction."""
    if "projects" not in [key.collection for key in transaction.changed]:
        return
    named: dict[int, list[tuple[Project, Any, Any]]] = {}  # changed projects by user
    gone: dict[int, dict[int, set[int]]] = {}  # former members by owner and project
    joined: set[int] = set()
    for project, (was, now) in changed_projects(transaction).items():
        old, new = entries_of(was), entries_of(now)
        joined |= new.keys() - old.keys()
        for person in old.keys() | new.keys():
            named.setdefault(person, []).append((project, now, new.get(person)))
        left = {person for person in old if not _is_member(new.get(person))}
        if left and now is not None:
            gone.setdefault(project[0], {})[project[1]] = left
    for person, projects in named.items():
        if fault := transaction.fault(key_of("shared", person)):
            if person in joined:
                raise fault
            # An owner must be able to remove a member whose file does not read: without the entry
            # in the project, the index gives no right. `repair_index` repairs it later.
            continue
        index = index_by_project(transaction, person)
        for project, now, entry in projects:
            write_index(transaction, person, project, now, entry, index.get(project, []))
    for owner, people in gone.items():
        _unassign(transaction, owner, people)


def write_index(
    transaction: Transaction,
    person: int,
    project: Project,
    record: Mapping[str, Any] | None,
    entry: Mapping[str, Any] | None,
    indexed: Sequence[Mapping[str, Any]],
) -> bool:
    """Update a user's index from their member entry. Return whether it changed.

    `indexed` are the records of the index about this project (`index_by_project`).
    """
    key, (owner, project_id) = key_of("shared", person), project
    matches = [record_of_index for record_of_index in indexed if id_of(record_of_index)]
    retained = matches[0] if matches and entry and record else None
    for record_of_index in matches:
        if record_of_index is not retained:
            transaction.remove(key, record_of_index["id"])
    if entry is None or record is None:
        return bool(matches)
    get_or_create(transaction, key)
    ours = ("id", OFFERED)
    known = (
        {name: value for name, value in retained.items() if name not in ours} if retained else {}
    )
    wanted = {
        "id": retained["id"] if retained else transaction.new_id(key),
        "owner": owner,
        "owner_name": name_of(transaction, owner),
        "project_id": project_id,
        "project_name": record.get("name") or "",
        **{name: entry[name] for name in ("role", "status")},
        **{name: entry.get(name) for name in ("invited_by", "invited_at", "since")},
        **({OFFERED: entry[OFFERED]} if entry.get(OFFERED) else {}),
    }
    if retained == known | wanted:
        return len(matches) > 1
    transaction.put(key, COLLECTIONS["shared"].ordered(known | wanted))
    return True


def repair_index(transaction: Transaction, person: int) -> bool:
    """Repair the index of a user, and the entries for their projects in others' indexes.

    Return whether anything changed. Users without a document get no index.
    """
    repaired = False
    for owner, project_id in [_meant(record) for record in index_of(transaction, person)]:
        if owner and project_id:
            repaired |= _mend(transaction, owner, project_id, {person})
    for project in list(transaction.records(key_of("projects", person))):
        members, own = entries_of(project).keys(), id_of(project)
        if own and members:
            repaired |= _mend(transaction, person, own, members)
    return repaired


def _meant(record: Mapping[str, Any]) -> Project:
    """Return owner and project of an index record, with 0 for invalid values of hand edits."""
    owner, project_id = record.get("owner"), record.get("project_id")
    return (
        owner if type(owner) is int and owner > 0 else 0,
        project_id if type(project_id) is int else 0,
    )


def _mend(transaction: Transaction, owner: int, project_id: int, people: Collection[int]) -> bool:
    projects = transaction.records(key_of("projects", owner)).find(project_id)
    project = projects[0] if len(projects) == 1 else None
    entries, repaired = entries_of(project), False
    for person in people:
        if transaction.document(key_of("users", person)) is not None:
            entry = entries.get(person)
            place = (owner, project_id)
            indexed = index_by_project(transaction, person).get(place, [])
            repaired |= write_index(transaction, person, place, project, entry, indexed)
    return repaired


def remove_member(
    transaction: Transaction, owner: int, project: dict[str, Any], person: int
) -> None:
    """Remove the user's member entries from the project."""
    rest = [
        entry
        for entry in project[MEMBERS]
        if not (isinstance(entry, dict) and "status" in entry and entry.get("user_id") == person)
    ]
    write_members(transaction, owner, project, rest)


def write_members(
    transaction: Transaction, owner: int, project: dict[str, Any], members: list[Any]
) -> dict[str, Any]:
    """Store the project with these members, without validating the rest of it."""
    changed = {**project, MEMBERS: members, "updated_at": format_utc(transaction.now)}
    record = COLLECTIONS["projects"].ordered(changed)
    transaction.put(key_of("projects", owner), record)
    return record


def name_of(transaction: Transaction, person: int) -> str:
    """Return the user name in a user's document, or ""."""
    document = transaction.document(key_of("users", person)) or {}
    name = document.get("username")
    return name if isinstance(name, str) else ""


def _is_member(entry: Mapping[str, Any] | None) -> bool:
    return entry is not None and entry["status"] == "member"


def _unassign(transaction: Transaction, owner: int, people: Mapping[int, set[int]]) -> None:
    """Clear the assignee of tasks of former members. `people` has their ids by project."""
    key = key_of("tasks", owner)
    for task in transaction.records(key):
        project_id = task.get("project_id") if id_of(task) else None
        left = people.get(project_id, ()) if type(project_id) is int else ()
        if left and type(task.get("assignee")) is int and task["assignee"] in left:
            put_changed(transaction, key, task, {"assignee": None})


def put_changed(
    transaction: Transaction, key: Key, before: Record, changes: Mapping[str, Any]
) -> None:
    """Store consequential changes without validating the other values of an old record."""
    spec = COLLECTIONS[key.collection]
    transaction.put(key, changed_record(spec, before, changes, now=transaction.now))


def refuse_written_members(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raise `InvalidRecord` if an ordinary change adds, changes or drops member entries."""
    old, new = _managed(before), _managed(after)
    dropped = [user for user in entries_of(before) if user not in entries_of(after)]
    if dropped or any(new.count(entry) > old.count(entry) for entry in new):
        raise InvalidRecord(
            [FieldError(f"/{MEMBERS}", "must keep its members: they are invited and removed")]
        )


def _managed(project: Mapping[str, Any]) -> list[Any]:
    members = project.get(MEMBERS)
    return [entry for entry in members if is_managed(entry)] if isinstance(members, list) else []
