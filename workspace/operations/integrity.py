"""Check a user's documents: records, references, and the mirrored account.

`docstore.verify` checks whether documents can be parsed, and counts records and changes. This
module adds the checks that need the table of collections and the accounts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from docstore import Backend, DocumentReport, Finding, Key, examine, id_of
from workspace.documents import deep_copy
from workspace.json_values import FieldError
from workspace.member_entries import MEMBERS, entries_of, is_member_entry
from workspace.references import references_of
from workspace.schema.collections import KEPT_COLLECTIONS, CollectionSpec
from workspace.schema.validation import (
    COLLECTIONS,
    RECORD_COLLECTIONS,
    check_record,
    check_user_document,
)

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Account:
    """The fields of an account that are compared with its document."""

    id: int
    username: str
    email: str

    def dispute(self, document: Mapping[str, Any]) -> str:
        """Return the problem if neither name nor address agree, otherwise "".

        The document then belongs to another user.
        """
        pairs = [(document.get("username"), self.username), (document.get("email"), self.email)]
        if not all(
            isinstance(stored, str) and stored and stored.lower() != true.lower()
            for stored, true in pairs
        ):
            return ""
        return (
            f"is the document of {document['username']!r}, but account {self.id} is "
            f"{self.username!r}: one of the two needs another id"
        )


class UserRecords:
    """The documents of an owner, each read once."""

    def __init__(self, backend: Backend, owner: int) -> None:
        self.owner = owner
        self.documents = {
            name: examine(backend, Key(name, owner), spec.layout)
            for name, spec in COLLECTIONS.items()
        }

    def records(self, collection: str) -> list[tuple[int, dict[str, Any]]]:
        """Return the records that are objects, with their indexes."""
        document = self.documents[collection].document
        items = document.list_of(COLLECTIONS[collection].layout.records) if document else ()
        return [(index, item) for index, item in enumerate(items) if isinstance(item, dict)]

    def ids(self, collection: str) -> set[int | None] | None:
        """Return the ids that a reference may have, or None if the document cannot be parsed."""
        examined = self.documents[collection]
        if examined.data is not None and examined.document is None:
            return None
        return {id_of(record) for _, record in self.records(collection)}


def findings_of(person: UserRecords, account: Account | None) -> list[Finding]:
    """Return all findings about a user's documents, in the order of the collections."""
    _check_user_document(person, account)
    for name in RECORD_COLLECTIONS:
        _check_records(person, COLLECTIONS[name])
        _check_references(person, COLLECTIONS[name])
    for name in KEPT_COLLECTIONS:
        _check_kept(person, COLLECTIONS[name])
    _check_members(person)
    _check_presence(person, account)
    return [
        finding
        for examined in person.documents.values()
        for finding in sorted(examined.findings, key=lambda one: (one.line, one.column))
    ]


def _check_user_document(person: UserRecords, account: Account | None) -> None:
    examined = person.documents["users"]
    if examined.document is None:
        return
    content = examined.document.content
    indexes = {index for index, _ in person.records("users")}
    for error in check_user_document(deep_copy(content)):
        path = _path(error)
        if path[0] != "activities" or len(path) < 2 or path[1] in indexes:
            examined.add(path, f'"{error.pointer[1:]}" {error.detail}')
    if isinstance(content.get("user_id"), int) and content["user_id"] != person.owner:
        examined.add(("user_id",), _wrong_owner(content["user_id"], person.owner))
    if account:
        _compare(examined, content, account)


def _compare(examined: DocumentReport, content: Mapping[str, Any], account: Account) -> None:
    if dispute := account.dispute(content):
        examined.add(("username",), dispute)
        return
    for name in ("username", "email"):
        true, stored = getattr(account, name), content.get(name) or ""
        if stored != true and (name != "email" or str(stored).lower() != true):
            problem = f'"{name}" differs from the account\'s, {true!r}: run setup_data --sync-users'
            examined.add((name,), problem)


def _wrong_owner(told: object, owner: int) -> str:
    return f'"user_id" is {told}, but the name of the file says {owner}'


def _path(error: FieldError) -> Path:
    """Return the JSON Pointer as a path. Digits are an index, because no field name is a number."""
    steps = error.pointer[1:].split("/")
    return tuple(int(step) if step.isdecimal() else step for step in steps)


def _check_records(person: UserRecords, spec: CollectionSpec) -> None:
    examined, owner = person.documents[spec.name], person.owner
    if examined.document is None:
        return
    updated_at = examined.document.content.get("updated_at")
    if not spec.by_name["updated_at"].has_shape(updated_at):
        examined.add(("updated_at",), f'"updated_at" {spec.by_name["updated_at"].must_be}')
    for index, record in person.records(spec.name):
        path, label = (spec.layout.records, index), _called(spec, record)
        for error in check_record(spec, record):
            examined.add((*path, *_path(error)), f'{label}: "{error.pointer[1:]}" {error.detail}')
        if isinstance(record.get("user_id"), int) and record["user_id"] != owner:
            problem = _wrong_owner(record["user_id"], owner)
            examined.add((*path, "user_id"), f"{label}: {problem}")


def _check_kept(person: UserRecords, spec: CollectionSpec) -> None:
    for index, record in person.records(spec.name):
        for error in check_record(spec, record):
            path = (spec.layout.records, index, *_path(error))
            person.documents[spec.name].add(
                path, f'{_called(spec, record)}: "{error.pointer[1:]}" {error.detail}'
            )


def _check_members(person: UserRecords) -> None:
    """Check that projects list each member once, and that assignees are in the task's project."""
    members: dict[object, set[int]] = {None: {person.owner}}
    for index, project in person.records("projects"):
        entries = entries_of(project)
        joined = {person_id for person_id, entry in entries.items() if entry["status"] == "member"}
        members[id_of(project)] = {person.owner, *joined}
        listed = project.get(MEMBERS)
        all_entries = filter(is_member_entry, listed if isinstance(listed, list) else ())
        if len(list(all_entries)) > len(entries):
            problem = f"project {id_of(project)}: a person is named twice; the first counts"
            person.documents["projects"].add(("projects", index, MEMBERS), problem)
    if person.ids("projects") is None:
        return
    for index, task in person.records("tasks"):
        assignee, project_id = task.get("assignee"), task.get("project_id")
        known = members.get(project_id) if type(project_id) is int else members[None]
        if type(assignee) is int and assignee not in (known or ()):
            problem = f'task {id_of(task)}: "assignee" is {assignee}, who is not in its project'
            person.documents["tasks"].add(("tasks", index, "assignee"), problem)


def _called(spec: CollectionSpec, record: Mapping[str, Any]) -> str:
    record_id = id_of(dict(record))
    return f"{spec.singular} {record_id}" if record_id else f"{spec.singular} without an id"


def _check_references(person: UserRecords, spec: CollectionSpec) -> None:
    for name, target in references_of(spec.name):
        if target not in RECORD_COLLECTIONS:
            continue
        ids = person.ids(target)
        for index, record in person.records(spec.name):
            wanted = record.get(name)
            if ids is not None and type(wanted) is int and wanted not in ids:
                singular = COLLECTIONS[target].singular
                person.documents[spec.name].add(
                    (spec.layout.records, index, name),
                    f'{_called(spec, record)}: "{name}" is {wanted}, '
                    f"but there is no {singular} {wanted}",
                )


def _check_presence(person: UserRecords, account: Account | None) -> None:
    """Check that an account has all its documents, and that documents have an account."""
    present = [examined for examined in person.documents.values() if examined.data is not None]
    if account is None and present:
        present[0].findings.append(_unknown_owner(person, present[0]))
    for examined in _absent(person) if account else ():
        problem = f"is missing; account {person.owner} should have it: run setup_data --sync-users"
        examined.findings.append(Finding(examined.name, problem))


def _unknown_owner(person: UserRecords, examined: DocumentReport) -> Finding:
    problem = f"user {person.owner} has no account in the database"
    if person.documents["users"].data is not None:
        problem += ": run setup_data --adopt-users"
    return Finding(examined.name, problem)


def _absent(person: UserRecords) -> Iterator[DocumentReport]:
    for name, examined in person.documents.items():
        wanted = not COLLECTIONS[name].layout.begun_later
        if wanted and examined.data is None and not examined.findings:
            yield examined
