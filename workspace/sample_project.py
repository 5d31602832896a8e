"""Sample data: a project with tasks and models, added and removed in one commit each.

The records are the user's own, marked by `metadata.example`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from docstore import Transaction, id_of
from workspace.documents import key_of
from workspace.records.crud import create_record, delete_record
from workspace.references import clear_references
from workspace.schema.validation import RECORD_COLLECTIONS, Record
from workspace.sharing.permissions import access_to
from workspace.unit_of_work import WriteOptions
from workspace.users.document import Activity
from workspace.workspace import Workspace

EXAMPLE = "example"


def is_example(record: Mapping[str, Any]) -> bool:
    metadata = record.get("metadata")
    return isinstance(metadata, dict) and metadata.get(EXAMPLE) is True


def add_example(
    manager: Workspace,
    owner: int,
    project: Mapping[str, Any],
    parts: Mapping[str, Sequence[Mapping[str, Any]]],
    activity: Activity,
) -> bool:
    """Add the project with its tasks and models. Return False if sample data exists already."""
    if any(map(is_example, manager.view("projects", owner))):
        return False  # without a commit, and so without an activity

    def edit(transaction: Transaction) -> Record:
        key = key_of("projects", owner)
        if any(
            is_example(existing)
            for existing in transaction.records(key)
            if isinstance(existing, dict)
        ):
            return {}  # a concurrent request has added it since the check above
        project_id = _create(transaction, owner, "projects", project)["id"]
        for collection, records in parts.items():
            for record in records:
                _create(transaction, owner, collection, {**record, "project_id": project_id})
        return {"id": project_id}

    return bool(manager.change(owner, edit, WriteOptions(activity=activity)))


def remove_example(manager: Workspace, owner: int, activity: Activity) -> int:
    """Remove all marked records and return their number.

    Unmarked records remain, such as the user's own task in the sample project, which then has no
    project.
    """

    def edit(transaction: Transaction) -> int:
        return sum(_remove(transaction, owner, collection) for collection in RECORD_COLLECTIONS)

    if not any(
        is_example(record) for name in RECORD_COLLECTIONS for record in manager.view(name, owner)
    ):
        return 0
    return manager.change(owner, edit, WriteOptions(activity=activity))


def _create(
    transaction: Transaction, owner: int, collection: str, data: Mapping[str, Any]
) -> Record:
    marked = {**data, "metadata": {EXAMPLE: True}}
    access = access_to(transaction, collection, owner, None)
    return create_record(transaction, access, collection, marked, "refuse")


def _remove(transaction: Transaction, owner: int, collection: str) -> int:
    key = key_of(collection, owner)
    records = [record for record in transaction.records(key) if isinstance(record, dict)]
    marked = {number for record in records if is_example(record) and (number := id_of(record))}
    access = access_to(transaction, collection, owner, None)
    for number in marked:
        delete_record(transaction, access, collection, number, None, clear=False)
    clear_references(transaction, key, marked)
    return len(marked)
