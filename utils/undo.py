"""Undoing: what one commit did to records, set back by another one.

The journal tells each record before and after. Where a record is still as the commit left it, it
becomes what it was: a deleted one comes back under its id, a new one goes. What was logged and
counted stays. Records that were changed since are named and nothing is set back at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from docstore import ABSENT, Conflict, Entry, EntryChange, Key, NotFound, Transaction
from utils.changes import records_of
from utils.documents import key_of
from utils.json.values import same_value
from utils.records import COLLECTIONS, RECORD_COLLECTIONS, InvalidRecord, Record
from utils.references import check_references, clear_references
from utils.sharing.access import MEMBERS, is_managed
from utils.times import utc_text

OFFERED_FOR: Final = timedelta(hours=1)  # after a change; so long it may be undone

Step = tuple[Key, int, Record | None, Record | None]  # which record, before and after the commit


class Touched(Conflict):
    """Records were changed since. `names` are their titles, or for lack of one "task 3"."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(f"{', '.join(self.names)}: changed since, so nothing was undone")


class Undoing:
    """What a commit of the person's did to records of one owner. Raises `NotFound`."""

    def __init__(self, entry: Entry, person: int) -> None:
        self._steps = [step for change in entry.changes for step in _steps_of(change)]
        owners = {key.owner for key, _id, _before, _after in self._steps}
        if len(owners) != 1:  # or a project was handed over, which its new owner has a say in
            raise NotFound("there is nothing to undo")
        self.owner = owners.pop()
        self._activity = _activity_in(entry, person)

    def told(self) -> Record:
        """The `description` of what was undone, and of a single record `collection` and `id`."""
        told: Record = {"description": self._activity.get("description", "")}
        if len(self._steps) == 1:
            key, record_id, _before, _after = self._steps[0]
            told |= {"collection": key.collection, "id": record_id}
        return told

    def set_back(self, transaction: Transaction) -> None:
        """Makes all records what they were. Raises `Touched`."""
        now = {(key, number): _found(transaction, key, number) for key, number, *_ in self._steps}
        if touched := self._touched(now):
            raise Touched(touched)
        for key, number, before, _after in self._steps:
            if before is None:
                transaction.remove(key, number)
            else:
                transaction.put(key, before | {"updated_at": utc_text(transaction.now)})
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
    """The activity that the commit logged for the person; of nothing logged, nothing."""
    mine = [change.edits for change in entry.changes if change.key == key_of("users", person)]
    logged = [
        after
        for edits in mine
        for path, before, after in edits
        if path[:1] == ("activities",) and before is ABSENT and isinstance(after, dict)
    ]
    return logged[-1] if logged else {}


def _found(transaction: Transaction, key: Key, record_id: int) -> Record | None:
    found = transaction.records(key).find(record_id)
    return found[0] if found else None


def _name(key: Key, record_id: int, record: Mapping[str, Any]) -> str:
    spec = COLLECTIONS[key.collection]
    title = record.get(spec.title_field)
    return title if isinstance(title, str) and title.strip() else f"{spec.singular} {record_id}"


def _let_go_of_what_is_gone(transaction: Transaction, key: Key, record_id: int) -> None:
    """Clears what a restored record refers to and is not there any more, as its deletion did."""
    record = dict(transaction.record(key, record_id))
    kept = dict(record)
    for _ in range(2):  # without its project, a task is nobody's but the owner's
        try:
            check_references(transaction, key, record, {})
        except InvalidRecord as invalid:
            record |= {error.pointer.removeprefix("/"): None for error in invalid.errors}
    members = record.get(MEMBERS) if key.collection == "projects" else None
    if isinstance(members, list):
        record[MEMBERS] = [entry for entry in members if _is_there(transaction, entry)]
    if record != kept:
        transaction.put(key, record)


def _is_there(transaction: Transaction, entry: Any) -> bool:
    """Whether the person of a member entry still has an account; what is a note, stays."""
    if not is_managed(entry) or type(entry.get("user_id")) is not int or entry["user_id"] < 1:
        return True
    return transaction.document(key_of("users", entry["user_id"])) is not None
