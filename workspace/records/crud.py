"""Create, change and delete single records within a transaction.

Each function first checks visibility and permission (`access`), so a user without permission learns
nothing else. The complete transaction is authorized at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from docstore import Conflict, Key, NotFound, RecordTooLarge, Transaction
from workspace.documents import deep_copy, key_of, require_id
from workspace.json_values import FieldError, same_value
from workspace.member_entries import MEMBERS
from workspace.references import check_references, clear_references
from workspace.schema.validation import (
    COLLECTIONS,
    InvalidRecord,
    Record,
    Unknown,
    changed_record,
    new_record,
    record_version,
)
from workspace.sharing.membership_index import refuse_written_members
from workspace.sharing.permissions import Access, Forbidden, Role
from workspace.tasks.next_occurrence import put_and_repeat, with_time_zone
from workspace.users.document import require_document

# The changes of a record, or a function that computes them from the current record.
Changes = Mapping[str, Any] | Callable[[Record], Mapping[str, Any]]

# The precondition of a change: a `record_version`, or a function that raises.
Expect = str | Callable[[Mapping[str, Any]], None] | None


class StaleRecord(Conflict):
    """The record violates the precondition. `current` is its current state."""

    def __init__(self, message: str, current: Record) -> None:
        super().__init__(message)
        self.current = current


def create_record(
    transaction: Transaction,
    access: Access,
    collection: str,
    data: Mapping[str, Any],
    unknown: Unknown,
) -> Record:
    """Create a record of the owner. Raises `InvalidRecord` and `Forbidden`."""
    spec, key = COLLECTIONS[collection], key_of(collection, access.owner)
    if access.roles is not None and Role.EDITOR not in access.roles.values():
        raise Forbidden(f"you may read these {collection}, not add to them")
    if unknown != "refuse":
        _refuse_other_identity(data, None, access.owner)
    require_document(transaction, key)
    record = new_record(
        spec,
        data,
        record_id=transaction.new_id(key),
        owner=access.owner,
        now=transaction.now,
        unknown=unknown,
    )
    record = with_time_zone(transaction, key, {}, record, data)
    _refuse_misfits(transaction, access, key, record, {})
    if access.roles is not None and access.role(collection, record) != Role.EDITOR:
        raise Forbidden("you may add tasks to projects that you edit, and nothing else")
    with _too_large_is_invalid():
        transaction.put(key, record)
    return record


def update_record(
    transaction: Transaction,
    access: Access,
    collection: str,
    record_id: int,
    changes: Changes,
    *,
    expect: Expect,
    replace: bool,
    unknown: Unknown,
) -> tuple[Record, Record | None]:
    """Change a record. Return it, and the next occurrence if it repeats and was completed.

    Raises like `create_record`, and `NotFound` and `StaleRecord`.
    """
    spec, key = COLLECTIONS[collection], key_of(collection, access.owner)
    before = _expected(transaction, access, key, record_id, expect)
    wanted = changes(deep_copy(before)) if callable(changes) else changes
    if unknown != "refuse":
        _refuse_other_identity(wanted, before, access.owner)
    if replace and MEMBERS in spec.by_name and isinstance(wanted, dict) and MEMBERS not in wanted:
        # A replacement without members leaves them: dropping them would be refused.
        wanted = {**wanted, MEMBERS: before.get(MEMBERS, [])}
    record = changed_record(
        spec, dict(before), wanted, now=transaction.now, replace=replace, unknown=unknown
    )
    record = with_time_zone(transaction, key, before, record, wanted)
    _refuse_misfits(transaction, access, key, record, before)
    with _too_large_is_invalid():
        return put_and_repeat(transaction, key, before, record)


def delete_record(
    transaction: Transaction,
    access: Access,
    collection: str,
    record_id: int,
    expect: Expect,
    *,
    clear: bool = True,
) -> Record:
    """Remove a record, and with `clear` null the references to it.

    Raises `NotFound`, `StaleRecord` and `Forbidden`.
    """
    key = key_of(collection, access.owner)
    record = _expected(transaction, access, key, record_id, expect)
    if collection == "projects":
        access.require(Role.OWNER, collection, record)
    if clear:
        clear_references(transaction, key, {record_id})
    return transaction.remove(key, record_id)


@contextmanager
def _too_large_is_invalid() -> Iterator[None]:
    """Convert `RecordTooLarge` to `InvalidRecord`."""
    try:
        yield
    except RecordTooLarge as fault:
        raise InvalidRecord([FieldError("", str(fault))]) from None


def require_record(
    transaction: Transaction, access: Access, collection: str, record_id: int
) -> None:
    """Raise `NotFound` if the record does not exist or is not visible to the caller."""
    _seen(transaction, access, key_of(collection, access.owner), record_id)


def _seen(
    transaction: Transaction, access: Access, key: Key, record_id: int
) -> tuple[Mapping[str, Any], ...]:
    singular = COLLECTIONS[key.collection].singular
    require_id(singular, record_id)
    matches = transaction.records(key).find(record_id)
    if not matches or access.role(key.collection, matches[0]) is None:
        raise NotFound(f"there is no {singular} {record_id}")
    return matches


def _refuse_misfits(
    transaction: Transaction,
    access: Access,
    key: Key,
    record: Record,
    before: Mapping[str, Any],
) -> None:
    check_references(transaction, key, record, before, seen=access.roles)
    if key.collection == "projects":
        refuse_written_members(before, record)


def _refuse_other_identity(data: object, before: Mapping[str, Any] | None, owner: int) -> None:
    """Raise `InvalidRecord` for an id or owner that differs from the record's."""
    if not isinstance(data, Mapping):
        return
    faults = []
    if "id" in data and (before is None or not same_value(data["id"], before.get("id"))):
        is_new = "is given by NeuralFlow; leave it out, or update the record that has it"
        faults.append(FieldError("/id", is_new if before is None else "cannot be changed"))
    owners = (owner, (before or {}).get("user_id"))
    if "user_id" in data and not any(same_value(data["user_id"], known) for known in owners):
        faults.append(FieldError("/user_id", "cannot be changed; hand over the project instead"))
    if faults:
        raise InvalidRecord(faults)


def _expected(
    transaction: Transaction, access: Access, key: Key, record_id: int, expect: Expect
) -> Mapping[str, Any]:
    singular = COLLECTIONS[key.collection].singular
    matches = _seen(transaction, access, key, record_id)
    access.require(Role.EDITOR, key.collection, matches[0])
    # With several matches, `transaction.record` raises.
    record = matches[0] if len(matches) == 1 else transaction.record(key, record_id)
    if callable(expect):
        expect(record)
    elif expect is not None and expect != record_version(record):
        raise StaleRecord(f"{singular} {record_id} was changed meanwhile", deep_copy(record))
    return record
