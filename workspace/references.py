"""References: fields with the id of another record, such as a task's `project_id`."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping
from functools import cache
from typing import Any

from docstore import Key, Transaction, id_of
from workspace.documents import key_of
from workspace.member_entries import entries_of
from workspace.schema.collections import COLLECTIONS, RECORD_COLLECTIONS
from workspace.schema.fields import Kind
from workspace.schema.validation import FieldError, InvalidRecord, changed_record


def check_references(
    transaction: Transaction,
    key: Key,
    record: Mapping[str, Any],
    before: Mapping[str, Any],
    *,
    seen: Container[int] | None = None,
) -> None:
    """Refuse new references to missing records. Unchanged ones of old files remain.

    `before` is the stored record, `record` its new state. `seen` are the ids of the projects that
    the writer may see. Others are refused with the same message as missing ones. Raises
    `InvalidRecord`.
    """
    faults = []
    for name, target in references_of(key.collection):
        wanted = record.get(name)
        if wanted is None or wanted == before.get(name) or target not in RECORD_COLLECTIONS:
            continue
        hidden = seen is not None and wanted not in seen
        if hidden or not transaction.records(key_of(target, key.owner)).find(wanted):
            singular = COLLECTIONS[target].singular
            faults.append(FieldError(f"/{name}", f"must be the id of a {singular} of yours"))
    if not faults and record.get("assignee") is not None and key.collection == "tasks":
        faults += _misassigned(transaction, key, record, before)
    if faults:
        raise InvalidRecord(faults)


def _misassigned(
    transaction: Transaction, key: Key, task: Mapping[str, Any], before: Mapping[str, Any]
) -> Iterator[FieldError]:
    """Yield a fault unless the task's assignee is its owner or a member of its project."""
    assignee, project_id = task.get("assignee"), task.get("project_id")
    assignment = (assignee, project_id)
    if type(assignee) is not int or assignee == key.owner:
        return
    if assignment == (before.get("assignee"), before.get("project_id")):
        return
    projects = transaction.records(key_of("projects", key.owner)).find(project_id or 0)
    entry = entries_of(projects[0]).get(assignee) if len(projects) == 1 else None
    if entry is None or entry["status"] != "member":
        yield FieldError("/assignee", "must be the id of the owner or of a member of the project")


def clear_references(transaction: Transaction, key: Key, ids: Collection[int]) -> None:
    """Null the references of the owner's other records to removed records of document `key`."""
    for other in RECORD_COLLECTIONS:
        for name, target in references_of(other):
            if target != key.collection or not ids:
                continue
            place, spec = key_of(other, key.owner), COLLECTIONS[other]
            for record in transaction.records(place):
                if id_of(record) and _id_in(record, name) in ids:
                    cleared = {name: None} | _unassigned(other, record, key.owner)
                    changed = changed_record(spec, record, cleared, now=transaction.now)
                    transaction.put(place, changed)


def _id_in(record: Mapping[str, Any], name: str) -> int:
    """Return the id in a field, or 0 for anything else, which in old files may be unhashable."""
    value = record.get(name)
    return value if type(value) is int else 0


def _unassigned(collection: str, record: Mapping[str, Any], owner: int) -> dict[str, None]:
    """Return the change that clears the assignee, unless it is the owner.

    A task without a project can only be assigned to its owner.
    """
    assignee = record.get("assignee") if collection == "tasks" else None
    return {} if type(assignee) is not int or assignee == owner else {"assignee": None}


@cache
def references_of(collection: str) -> tuple[tuple[str, str], ...]:
    """Return the writable reference fields of a collection, with their target collections."""
    return tuple(
        (spec_field.name, spec_field.refers_to)
        for spec_field in COLLECTIONS[collection].writable
        if spec_field.kind is Kind.REFERENCE and spec_field.refers_to
    )
