"""Undo a commit by another commit that restores its records.

The journal has each record before and after the commit. If all records are still as the commit left
them, they return to their previous state: a deleted record is restored under its id, a created one
is removed. Activities and counts remain. If any record was changed since, nothing is undone, and
the error names those records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from docstore import ABSENT, Conflict, Entry, EntryChange, Key, NotFound, Transaction
from workspace.documents import key_of
from workspace.entry_diff import records_of
from workspace.json_values import same_value
from workspace.member_entries import MEMBERS, is_managed
from workspace.references import check_references, clear_references
from workspace.schema.validation import COLLECTIONS, RECORD_COLLECTIONS, InvalidRecord, Record
from workspace.timestamps import format_utc

OFFERED_FOR: Final = timedelta(hours=1)  # how long after a change it may be undone

Step = tuple[Key, int, Record | None, Record | None]  # id of a record, its states before and after


class Touched(Conflict):
    """Raised if records were changed since. `names` are their titles, or "task 3" without one."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(f"{', '.join(self.names)}: changed since, so nothing was undone")


class Undoing:
    """The changes of a user's commit to records of one owner. Raises `NotFound`."""

    def __init__(self, entry: Entry, person: int) -> None:
        self._steps = [step for change in entry.changes for step in _steps_of(change)]
        owners = {key.owner for key, _id, _before, _after in self._steps}
        # Two owners mean that a project changed hands. Undoing it would bypass the new owner.
        if len(owners) != 1:
            raise NotFound("there is nothing to undo")
        self.owner = owners.pop()
        self._activity = _activity_in(entry, person)

    def told(self) -> Record:
        """Return the `description`, and for a single record `collection` and `id`."""
        result: Record = {"description": self._activity.get("description", "")}
        if len(self._steps) == 1:
            key, record_id, _before, _after = self._steps[0]
            result |= {"collection": key.collection, "id": record_id}
        return result

    def revert(self, transaction: Transaction) -> None:
        """Restore all records. Raises `Touched`."""
        now = {(key, number): _found(transaction, key, number) for key, number, *_ in self._steps}
        if touched := self._touched(now):
            raise Touched(touched)
        for key, number, before, _after in self._steps:
            if before is None:
                transaction.remove(key, number)
            else:
                transaction.put(key, before | {"updated_at": format_utc(transaction.now)})
        for key, number, before, _after in self._steps:
            if before is None:
                clear_references(transaction, key, {number})
            else:
                _let_go_of_what_is_gone(transaction, key, number)

    def _touched(self, now: Mapping[tuple[Key, int], Record | None]) -> list[str]:
        """Return the names of the records that are not as the commit left them."""
        return [
            _name(key, number, now[key, number] or before or {})
            for key, number, before, after in self._steps
            if not same_value(now[key, number], after)
        ]


def _steps_of(change: EntryChange) -> Iterator[Step]:
    if change.key.collection in RECORD_COLLECTIONS:
        for record_id, (before, after) in records_of(change).items():
            if before != after:
                yield change.key, record_id, before, after


def _activity_in(entry: Entry, person: int) -> Mapping[str, Any]:
    """Return the activity that the commit logged for the user, or an empty mapping."""
    mine = [change.edits for change in entry.changes if change.key == key_of("users", person)]
    logged = [
        after
        for edits in mine
        for path, before, after in edits
        if path[:1] == ("activities",) and before is ABSENT and isinstance(after, dict)
    ]
    return logged[-1] if logged else {}


def _found(transaction: Transaction, key: Key, record_id: int) -> Record | None:
    matches = transaction.records(key).find(record_id)
    return matches[0] if matches else None


def _name(key: Key, record_id: int, record: Mapping[str, Any]) -> str:
    spec = COLLECTIONS[key.collection]
    title = record.get(spec.title_field)
    return title if isinstance(title, str) and title.strip() else f"{spec.singular} {record_id}"


def _let_go_of_what_is_gone(transaction: Transaction, key: Key, record_id: int) -> None:
    """Null the restored record's references to deleted records, as their deletion did elsewhere."""
    record = dict(transaction.record(key, record_id))
    restored = dict(record)
    # Twice: once its project is null, a task cannot be assigned to a member any more.
    for _ in range(2):
        try:
            check_references(transaction, key, record, {})
        except InvalidRecord as invalid:
            record |= {error.pointer.removeprefix("/"): None for error in invalid.errors}
    members = record.get(MEMBERS) if key.collection == "projects" else None
    if isinstance(members, list):
        record[MEMBERS] = [entry for entry in members if _is_there(transaction, entry)]
    if record != restored:
        transaction.put(key, record)


def _is_there(transaction: Transaction, entry: Any) -> bool:
    """Return whether the user of a member entry still has a document. Notes remain."""
    if not is_managed(entry) or type(entry.get("user_id")) is not int or entry["user_id"] < 1:
        return True
    return transaction.document(key_of("users", entry["user_id"])) is not None
