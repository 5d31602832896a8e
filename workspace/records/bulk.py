"""Bulk operations: several changes of a collection in one commit, all or none.

Operations are objects: {"op": "create", "record": {...}}, {"op": "update", "id": 3, "changes":
{...}, "if_match": "\\"...\\""}, {"op": "delete", "id": 4}. All faults are reported at once with
their positions, such as "/operations/2/record/title". Only missing ids are reported before the
others. An id may occur in one operation only. Otherwise a single call could write a large record
many times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from docstore import NotFound, Transaction
from workspace.documents import key_of
from workspace.json_values import FAULTS_MAX, INTEGER_MAX, FieldError, pointer_to, whole_number
from workspace.records.crud import (
    StaleRecord,
    create_record,
    delete_record,
    require_record,
    update_record,
)
from workspace.references import clear_references
from workspace.schema.validation import InvalidRecord, Record, Unknown
from workspace.sharing.permissions import Access

OPERATIONS_MAX: Final = 1_000

# Converts the record and the `changes` of an operation to the changes of an update. By default they
# are used directly.
Patch = Callable[[Record, Any], Mapping[str, Any]]

_MEMBERS: Final[Mapping[str, tuple[set[str], set[str]]]] = {  # required and optional members
    "create": ({"record"}, set()),
    "update": ({"id", "changes"}, {"if_match"}),
    "delete": ({"id"}, {"if_match"}),
}


def refuse_misshapen(operations: object) -> list[Record]:
    """Return the operations. Raises `InvalidRecord` if any is malformed."""
    if not isinstance(operations, list) or not 1 <= len(operations) <= OPERATIONS_MAX:
        raise InvalidRecord(
            [FieldError("/operations", f"must be a list of 1 to {OPERATIONS_MAX} operations")]
        )
    faults = [
        fault
        for number, operation in enumerate(operations)
        for fault in _misshapen(operation, f"/operations/{number}")
    ]
    if faults:
        raise InvalidRecord(faults[:FAULTS_MAX])
    wanted = [
        operation | {"id": whole_number(operation["id"])} if "id" in operation else operation
        for operation in operations
    ]
    _refuse_repeated(wanted)
    return wanted


def _refuse_repeated(operations: list[Record]) -> None:
    """Raise `InvalidRecord` if several operations name the same id."""
    first: dict[int, int] = {}
    faults = []
    for number, operation in enumerate(operations):
        if "id" in operation and first.setdefault(operation["id"], number) != number:
            before = first[operation["id"]]
            detail = f"stands in operation {before} already; put all changes of a record in one"
            faults.append(FieldError(f"/operations/{number}/id", detail))
    if faults:
        raise InvalidRecord(faults[:FAULTS_MAX])


def _misshapen(operation: object, place: str) -> list[FieldError]:
    op = operation.get("op") if isinstance(operation, dict) else None
    if not isinstance(operation, dict) or not isinstance(op, str) or op not in _MEMBERS:
        return [FieldError(f"{place}/op", f"must be one of {', '.join(_MEMBERS)}, in an object")]
    needed, possible = _MEMBERS[op]
    members = operation.keys() - {"op"}
    faults = [
        FieldError(pointer_to(place, name), f"is missing; {op} needs it")
        for name in sorted(needed - members)
    ]
    takes = ", ".join(sorted(needed | possible))
    faults += [
        FieldError(pointer_to(place, name), f"is nothing that {op} takes; it takes {takes}")
        for name in sorted(members - needed - possible, key=str)
    ]
    if "id" in members & needed and not _is_id(operation["id"]):
        faults.append(FieldError(f"{place}/id", "must be a positive whole number"))
    if not isinstance(operation.get("if_match", ""), str):
        faults.append(FieldError(f"{place}/if_match", "must be an ETag, or *"))
    return faults


def _is_id(value: object) -> bool:
    number = whole_number(value)
    return type(number) is int and 0 < number <= INTEGER_MAX


class Bulk:
    """Applies operations to a collection within a transaction."""

    def __init__(
        self,
        transaction: Transaction,
        access: Access,
        collection: str,
        unknown: Unknown,
        patch: Patch | None,
    ) -> None:
        self._transaction, self._access, self._collection = transaction, access, collection
        self._unknown, self._patch = unknown, patch
        self._faults: list[FieldError] = []
        self._changed: StaleRecord | None = None
        self._deleted: set[int] = set()

    def run(self, operations: list[Record]) -> list[Record]:
        """Apply the operations, and return a result for each: op, id, and the record or None.

        Raises `InvalidRecord` for missing ids before anything is applied. Otherwise raises
        `InvalidRecord` with the faults of all operations, or `StaleRecord` for the first record
        that violates its precondition. Raises `Forbidden`.
        """
        self._refuse_missing(operations)
        results = []
        for number, operation in enumerate(operations):
            results.append(self._one(number, operation))
            if len(self._faults) >= FAULTS_MAX:
                break
        if self._faults:
            raise InvalidRecord(self._faults[:FAULTS_MAX])
        if self._changed is not None:
            raise self._changed
        key = key_of(self._collection, self._access.owner)
        clear_references(self._transaction, key, self._deleted)
        return results

    def _refuse_missing(self, operations: list[Record]) -> None:
        """Raise `InvalidRecord` for ids that neither exist nor are created before."""
        key = key_of(self._collection, self._access.owner)
        first_new = next_new = self._transaction.new_id(key)
        for number, operation in enumerate(operations):
            if operation["op"] == "create":
                next_new += 1
            elif not first_new <= operation["id"] < next_new:
                try:
                    require_record(
                        self._transaction, self._access, self._collection, operation["id"]
                    )
                except NotFound as fault:
                    place = f"/operations/{number}/id"
                    self._faults.append(FieldError(place, f"is not there: {fault}"))
        if self._faults:
            raise InvalidRecord(self._faults[:FAULTS_MAX])

    def _one(self, number: int, operation: Record) -> Record:
        op, place = operation["op"], f"/operations/{number}"
        inside = {"create": f"{place}/record", "update": f"{place}/changes"}.get(op, place)
        try:
            record = self._done(operation)
        except InvalidRecord as invalid:
            self._faults += [FieldError(f"{inside}{e.pointer}", e.detail) for e in invalid.errors]
        except NotFound as fault:
            if op == "create":  # the owner does not exist
                raise
            self._faults.append(FieldError(f"{place}/id", f"is not there: {fault}"))
        except StaleRecord as fault:
            self._changed = self._changed or StaleRecord(f"{place}: {fault}", fault.current)
        else:
            shown = None if op == "delete" else record
            return {"op": op, "id": record["id"], "record": shown}
        return {}

    def _done(self, operation: Record) -> Record:
        transaction, access, collection = self._transaction, self._access, self._collection
        if operation["op"] == "create":
            data = operation["record"]
            return create_record(transaction, access, collection, data, self._unknown)
        record_id, expect = operation["id"], _version(operation.get("if_match"))
        if operation["op"] == "delete":
            record = delete_record(transaction, access, collection, record_id, expect, clear=False)
            self._deleted.add(record_id)
            return record
        changes, patch = operation["changes"], self._patch
        record, _next = update_record(
            transaction,
            access,
            collection,
            record_id,
            changes if patch is None else lambda before: patch(before, changes),
            expect=expect,
            replace=False,
            unknown=self._unknown,
        )
        return record


def _version(if_match: str | None) -> str | None:
    """Return the version in an entity tag. None is any version, for "*" or no precondition."""
    return None if if_match in (None, "*") else str(if_match).removeprefix('"').removesuffix('"')
