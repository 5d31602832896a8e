"""What is done to single records within a transaction: created, changed, deleted.

Each looks first whether the record is seen and may be changed (`access`), so that who may not is
told that and no more; the judgement over the whole transaction comes at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from docstore import Conflict, Key, NotFound, RecordTooLarge, Transaction
from utils.documents import key_of, own_copy, require_id
from utils.json.values import FieldError, same_value
from utils.people.person import begin
from utils.records import (
    COLLECTIONS,
    InvalidRecord,
    Record,
    Unknown,
    changed_record,
    new_record,
    record_version,
)
from utils.references import check_references, clear_references
from utils.sharing.access import MEMBERS, Access, Forbidden, Role
from utils.sharing.index import refuse_written_members
from utils.tasks.occurrences import put_with_next, with_time_zone

# What is to change in a record, or how to tell it from the record as it is at that moment.
Changes = Mapping[str, Any] | Callable[[Record], Mapping[str, Any]]

# What a record must be before it is changed: a `record_version`, or a look at it that raises.
Expect = str | Callable[[Mapping[str, Any]], None] | None


class Changed(Conflict):
    """The record is not as it was expected to be any more; `current` is what it is now."""

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
    """A new record among the owner's. Raises `InvalidRecord`, `Forbidden`."""
    spec, key = COLLECTIONS[collection], key_of(collection, access.owner)
    if access.roles is not None and Role.EDITOR not in access.roles.values():
        raise Forbidden(f"you may read these {collection}, not add to them")
    if unknown != "refuse":
        _refuse_other_identity(data, None, access.owner)
    begin(transaction, key)
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
    """Changes a record; returns it, and the next task that was added if it repeats and is done.

    Raises as `create_record`, and `NotFound`, `Changed`.
    """
    spec, key = COLLECTIONS[collection], key_of(collection, access.owner)
    before = _expected(transaction, access, key, record_id, expect)
    wanted = changes(own_copy(before)) if callable(changes) else changes
    if unknown != "refuse":
        _refuse_other_identity(wanted, before, access.owner)
    if replace and MEMBERS in spec.by_name and isinstance(wanted, dict) and MEMBERS not in wanted:
        # Who says nothing of the members, means to leave them.
        wanted = {**wanted, MEMBERS: before.get(MEMBERS, [])}
    record = changed_record(
        spec, dict(before), wanted, now=transaction.now, replace=replace, unknown=unknown
    )
    record = with_time_zone(transaction, key, before, record, wanted)
    _refuse_misfits(transaction, access, key, record, before)
    with _too_large_is_invalid():
        return put_with_next(transaction, key, before, record)


def delete_record(
    transaction: Transaction,
    access: Access,
    collection: str,
    record_id: int,
    expect: Expect,
    *,
    clear: bool = True,
) -> Record:
    """Removes a record, and with `clear` what referred to it.

    Raises `NotFound`, `Changed`, `Forbidden`.
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
    """Report a record that is too large as a fault of the record."""
    try:
        yield
    except RecordTooLarge as fault:
        raise InvalidRecord([FieldError("", str(fault))]) from None


def require_record(
    transaction: Transaction, access: Access, collection: str, record_id: int
) -> None:
    """Raise `NotFound` for a record that is not there or that the caller may not see."""
    _seen(transaction, access, key_of(collection, access.owner), record_id)


def _seen(
    transaction: Transaction, access: Access, key: Key, record_id: int
) -> tuple[Mapping[str, Any], ...]:
    singular = COLLECTIONS[key.collection].singular
    require_id(singular, record_id)
    found = transaction.records(key).find(record_id)
    if not found or access.role(key.collection, found[0]) is None:
        raise NotFound(f"there is no {singular} {record_id}")
    return found


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
    """Refuse an id or an owner that the record cannot get; with them, another one is meant."""
    if not isinstance(data, Mapping):
        return
    faults = []
    if "id" in data and (before is None or not same_value(data["id"], before.get("id"))):
        is_new = "is given by NeuralFlow; leave it out, or update the record that has it"
        faults.append(FieldError("/id", is_new if before is None else "cannot be changed"))
    owners = (owner, (before or {}).get("user_id"))
    if "user_id" in data and not any(same_value(data["user_id"], one) for one in owners):
        faults.append(FieldError("/user_id", "cannot be changed; hand over the project instead"))
    if faults:
        raise InvalidRecord(faults)


def _expected(
    transaction: Transaction, access: Access, key: Key, record_id: int, expect: Expect
) -> Mapping[str, Any]:
    singular = COLLECTIONS[key.collection].singular
    found = _seen(transaction, access, key, record_id)
    access.require(Role.EDITOR, key.collection, found[0])
    record = found[0] if len(found) == 1 else transaction.record(key, record_id)  # which refuses
    if callable(expect):
        expect(record)
    elif expect is not None and expect != record_version(record):
        raise Changed(f"{singular} {record_id} was changed meanwhile", own_copy(record))
    return record
