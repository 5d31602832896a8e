"""Fields that hold the id of another record of the same person, such as a task's `project_id`."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping
from functools import cache
from typing import Any

from docstore import Key, Transaction, id_of
from utils.documents import key_of
from utils.fields import Kind
from utils.records import FieldError, InvalidRecord, changed_record
from utils.sharing.access import entries_of
from utils.table import COLLECTIONS, RECORD_COLLECTIONS


def check_references(
    transaction: Transaction,
    key: Key,
    record: Mapping[str, Any],
    before: Mapping[str, Any],
    *,
    seen: Container[int] | None = None,
) -> None:
    """Refuses a new reference that leads nowhere; one that an old file has may stay.

    Of `before`, the record as it was in the document `key`, what `record` is to become. `seen` are
    the ids of the projects that who writes can see: others are refused as if they were not there.
    Raises `InvalidRecord`.
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
    """A task is assigned to its owner, or to a member of its project."""
    assignee, project_id = task.get("assignee"), task.get("project_id")
    told = (assignee, project_id)
    if type(assignee) is not int or assignee == key.owner:
        return
    if told == (before.get("assignee"), before.get("project_id")):
        return
    found = transaction.records(key_of("projects", key.owner)).find(project_id or 0)
    entry = entries_of(found[0]).get(assignee) if len(found) == 1 else None
    if entry is None or entry["status"] != "member":
        yield FieldError("/assignee", "must be the id of the owner or of a member of the project")


def clear_references(transaction: Transaction, key: Key, ids: Collection[int]) -> None:
    """Lets go of records of the document `key` wherever the owner's other records refer to them."""
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
    """The id in a field; 0 where an old file has something else, perhaps what cannot be hashed."""
    value = record.get(name)
    return value if type(value) is int else 0


def _unassigned(collection: str, record: Mapping[str, Any], owner: int) -> dict[str, None]:
    """Without a project, there is nobody but the owner to do a task."""
    assignee = record.get("assignee") if collection == "tasks" else None
    return {} if type(assignee) is not int or assignee == owner else {"assignee": None}


@cache
def references_of(collection: str) -> tuple[tuple[str, str], ...]:
    """The fields of a collection that people set to the id of a record or a user, and of whose."""
    return tuple(
        (spec_field.name, spec_field.refers_to)
        for spec_field in COLLECTIONS[collection].writable
        if spec_field.kind is Kind.REFERENCE and spec_field.refers_to
    )
