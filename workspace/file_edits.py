"""Merge files that were edited by hand, by the rules of the table of collections.

A hand edit is applied like a PATCH of the changed fields, with validation, references, members and
recurrence. A record whose change is invalid stays unchanged, and the rest is applied. A version of
the file with the refused changes is set aside, for the user to use or discard on the page "My
files".
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from docstore import (
    ABSENT,
    Aside,
    DocumentStore,
    Entry,
    HistoryGone,
    InvalidValue,
    Key,
    NotFound,
    Transaction,
)
from docstore import decode as decode_document
from docstore.file_edits import FileEdit, State, differences, is_same
from docstore.merging import (
    FILE_ACTOR,
    MergeResult,
    PlainEditor,
    apply_edit,
    merge_edit,
    note_aside,
)
from workspace.documents import key_of
from workspace.installation import AccountsUnavailable
from workspace.records.crud import create_record, delete_record, update_record
from workspace.schema.validation import (
    COLLECTIONS,
    RECORD_COLLECTIONS,
    CollectionSpec,
    InvalidRecord,
    check_record,
    check_user_document,
)
from workspace.sharing.membership_index import sync_index
from workspace.sharing.permissions import Access
from workspace.timestamps import parse_time
from workspace.users.call_counts import READS
from workspace.users.document import IDENTITY, Activity, add_activity, identity_of
from workspace.users.quota import BURST_UNTIL, BY_TOKEN, PERIOD

Path = tuple[str | int, ...]

logger = logging.getLogger(__name__)

# The number of frames to search for merges. Smaller ones are tried if the history is shorter.
_LOOK_BACK: Final = (5_000, 500, 50)
# Fields whose changes an activity does not count.
_UNTOLD: Final = (("last_id",),)
# Counts of API calls in a user document: by hand, a user could grant themself more.
_COUNTS: Final = frozenset({PERIOD, BY_TOKEN, BURST_UNTIL, READS})
# Set with every change of a record, so hand edits of them are ignored.
_STAMPS: Final = frozenset({"updated_at", "completed_at"})


class RecordEditor(PlainEditor):
    """Applies hand edits to tasks, projects or models."""

    def __init__(self, transaction: Transaction, key: Key) -> None:
        super().__init__(transaction, key)
        self._transaction, self._key = transaction, key
        self._spec, self._access = COLLECTIONS[key.collection], Access(key.owner)

    def change(self, record_id: int, fields: dict[str, Any]) -> list[str]:
        before = self._transaction.record(self._key, record_id)
        fields, remarks = self._without_read_only(record_id, before, fields)
        values = {
            name: self._spec.by_name[name].fresh_default() if value is ABSENT else value
            for name, value in fields.items()
            if value is not ABSENT or name in self._spec.by_name
        }
        gone = [name for name in fields if name not in values]
        try:
            update_record(
                self._transaction,
                self._access,
                self._key.collection,
                record_id,
                values,
                expect=None,
                replace=False,
                unknown="keep",
            )
        except (InvalidRecord, InvalidValue) as invalid:
            return [*remarks, f"{self._called(record_id)} was not changed: {invalid}"]
        self._repair(record_id, fields)
        if gone:
            record = self._transaction.record(self._key, record_id)
            left = {name: value for name, value in record.items() if name not in gone}
            self._transaction.put(self._key, left)
        return remarks

    def _without_read_only(
        self, record_id: int, before: Mapping[str, Any], fields: dict[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        """Return the fields without read-only ones, unless the edit repairs an invalid value."""
        left, remarks = {}, []
        for name, value in fields.items():
            field = self._spec.by_name.get(name)
            if field is None or not field.read_only or self._puts_right(name, before, value):
                left[name] = value
            elif name not in _STAMPS and value is not ABSENT:
                remarks.append(f'"{name}" of {self._called(record_id)} is set by NeuralFlow')
        return left, remarks

    def _puts_right(self, name: str, before: Mapping[str, Any], value: Any) -> bool:
        field = self._spec.by_name[name]
        if name == "user_id":
            return bool(value == self._key.owner)
        is_wrong = name not in before or not field.has_shape(before[name])
        return is_wrong and value is not ABSENT and field.has_shape(value)

    def _repair(self, record_id: int, fields: Mapping[str, Any]) -> None:
        """Set repaired read-only fields, which an ordinary change ignores."""
        repaired = {
            name: value
            for name, value in fields.items()
            if name in self._spec.by_name and self._spec.by_name[name].read_only
        }
        if repaired:
            record = self._transaction.record(self._key, record_id)
            self._transaction.put(self._key, record | repaired)

    def remove(self, record_id: int) -> list[str]:
        delete_record(self._transaction, self._access, self._key.collection, record_id, None)
        return []

    def add(self, item: Any, wanted: int | None) -> tuple[int | None, list[str]]:
        if isinstance(item, dict):
            read_only = {field.name for field in self._spec.fields if field.read_only}
            item = {name: value for name, value in item.items() if name not in read_only}
        try:
            if wanted is not None:
                self._transaction.reserve_ids(self._key, wanted - 1)
            record = create_record(
                self._transaction, self._access, self._key.collection, item, "keep"
            )
        except (InvalidRecord, InvalidValue) as invalid:
            return None, [f"a new {self._spec.singular} was not added: {invalid}"]
        return int(record["id"]), []

    def _called(self, record_id: int) -> str:
        return f"{self._spec.singular} {record_id}"


class DocumentEditor(PlainEditor):
    """Applies hand edits to user documents and to documents that NeuralFlow maintains."""

    def __init__(self, transaction: Transaction, key: Key) -> None:
        super().__init__(transaction, key)
        self._transaction, self._key = transaction, key
        self._spec = COLLECTIONS[key.collection]

    def set_fields(self, fields: dict[str, Any]) -> list[str]:
        if self._key.collection != "users":
            return super().set_fields(fields)
        fields, remarks = self._without_read_only(fields)
        known = {name: value for name, value in fields.items() if value is not ABSENT}
        faults = {
            error.pointer.split("/")[1]: error.detail
            for error in check_user_document(self._spec.defaults() | {"user_id": 1} | known)
            if error.pointer.count("/") >= 1
        }
        accepted = {name: value for name, value in fields.items() if name not in faults}
        super().set_fields(accepted)
        return remarks + [
            f'"{name}" was not changed: it {detail}'
            for name, detail in faults.items()
            if name in fields
        ]

    def _without_read_only(self, fields: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the fields without the limit, the counts and others that NeuralFlow sets.

        An edit may repair an invalid value.
        """
        before = self._transaction.document(self._key) or {}
        refused = [name for name, value in fields.items() if self._is_set(name, before, value)]
        left = {name: value for name, value in fields.items() if name not in refused}
        remarks = [f'"{name}" is set by NeuralFlow' for name in refused if name not in _STAMPS]
        # Otherwise other people would see a name that is not the account's.
        if names := [name for name in IDENTITY if name in left]:
            try:
                account = identity_of(self._key.owner)
            except AccountsUnavailable:  # as long as it cannot be read, the stored values stay
                account = {name: before.get(name) for name in IDENTITY}
            for name in names:
                if account is not None and left[name] != account[name]:
                    del left[name]
                    remarks.append(f'"{name}" is the account\'s: change it on the page "Profile"')
        return left, remarks

    def _is_set(self, name: str, before: Mapping[str, Any], value: Any) -> bool:
        """Return whether NeuralFlow sets the field, and its stored value is a valid one."""
        if name == "user_id":
            return bool(value != self._key.owner)
        field = self._spec.by_name.get(name)
        if field is None:
            return name in _COUNTS
        return field.read_only and name in before and field.has_shape(before[name])

    def change(self, record_id: int, fields: dict[str, Any]) -> list[str]:
        before = self._transaction.record(self._key, record_id)
        remarks = super().change(record_id, fields)
        faults = check_record(self._spec, self._transaction.record(self._key, record_id))
        if not faults:
            return remarks
        self._transaction.put(self._key, before)
        return [f'{record_id} was not changed: "{faults[0].pointer[1:]}" {faults[0].detail}']


def editor_for(transaction: Transaction, key: Key) -> PlainEditor:
    """Return the editor that checks edits of this document."""
    if key.collection in RECORD_COLLECTIONS:
        return RecordEditor(transaction, key)
    return DocumentEditor(transaction, key)


def merge_file(store: DocumentStore, edit: FileEdit) -> None:
    """Merge a hand edit in one commit with its activity."""

    def change(transaction: Transaction) -> tuple[str, MergeResult]:
        result = merge_edit(
            transaction,
            edit,
            COLLECTIONS[edit.key.collection].layout.records,
            editor_for(transaction, edit.key),
            keep_items=edit.key.collection not in RECORD_COLLECTIONS,
        )
        description = _describe(transaction, edit, result)
        sync_index(transaction)
        if description:
            _log(store, transaction, edit.key, description)
        note_aside(store, edit, result)
        return description, result

    description, result = store.change(change, actor=FILE_ACTOR)
    logger.info("%s was changed by hand: %s", edit.name, description or "no difference")
    if result.done.retained:
        logger.info(
            "%s lacks %d changes of earlier saves of the same revision; they were kept",
            edit.name,
            result.done.retained,
        )
    for remark in result.remarks:
        logger.warning("%s was changed by hand: %s", edit.name, remark)


def _log(store: DocumentStore, transaction: Transaction, key: Key, description: str) -> None:
    person = key_of("users", key.owner)
    if store.fault(person) is None and transaction.document(person) is not None:
        metadata = {"collection": key.collection}
        add_activity(transaction, key.owner, Activity("file_merged", description, metadata))


def _describe(transaction: Transaction, edit: FileEdit, result: MergeResult) -> str:
    """Return the description of the edit for the activity, or "" if it changed nothing.

    It also counts changes of earlier saves that the file lacks, because the user may have reverted
    them.
    """
    name = edit.name.rpartition("/")[2]
    if edit.theirs is None:
        return f"Removed {name}"
    verbs: dict[Path, str] = {}
    for key, change in transaction.edits():
        if key == edit.key and change.path[:1] not in _UNTOLD:
            begins, ends = change.before is ABSENT, change.after is ABSENT
            verbs.setdefault(change.path, "added" if begins else "removed" if ends else "changed")
    counts = Counter(verbs.values())
    parts = ", ".join(f"{counts[verb]} {verb}" for verb in sorted(counts))
    retained = result.done.retained
    if parts and retained:
        parts += f", {retained} kept from earlier saves"
    return f"Edited {name}: {parts}" if parts else ""


# Versions set aside


def use_aside(store: DocumentStore, key: Key, name: str) -> list[str]:
    """Apply a version that was set aside, as far as the rules permit.

    Records newer than that version remain. If everything was applied, the version is discarded.
    Otherwise return remarks on what was not. Raises `NotFound` and `Corrupt`.
    """
    theirs = _state_of(_aside_named(store, key, name), key)
    layout = COLLECTIONS[key.collection].layout

    def change(transaction: Transaction) -> MergeResult:
        ours = State.of(transaction.document(key) or {}, layout.records)
        edit = _edit_of_aside(key, name, theirs, ours)
        result = apply_edit(
            transaction,
            edit,
            layout.records,
            editor_for(transaction, key),
            keep_items=_keeps_items(key),
        )
        description = _describe(transaction, edit, result)
        sync_index(transaction)
        if description:
            _log(store, transaction, key, description)
        return result

    result = store.change(change, actor=FILE_ACTOR)
    if not result.remarks:
        store.discard_aside(key, name)
    return result.remarks


def _aside_named(store: DocumentStore, key: Key, name: str) -> Aside:
    aside = next((aside for aside in store.aside(key) if aside.name == name), None)
    if aside is None:
        raise NotFound(f"there is no {name}")
    return aside


def _state_of(aside: Aside, key: Key) -> State:
    layout = COLLECTIONS[key.collection].layout
    document = decode_document(aside.content, aside.name, layout)
    return State.of(document.content, layout.records)


def _edit_of_aside(key: Key, name: str, theirs: State, ours: State) -> FileEdit:
    """Return the edit that makes the current document what the version says.

    Its base is the current document without the records that are newer than the version.
    """
    base = ours.copy()
    known = theirs.fields.get("last_id")
    highest = known if type(known) is int else max(theirs.records, default=0)
    for record_id in [number for number in base.records if number > highest]:
        del base.records[record_id]
    return FileEdit(key, name, None, "", 0, theirs, base)


def _keeps_items(key: Key) -> bool:
    return key.collection not in RECORD_COLLECTIONS


class FieldDifference(NamedTuple):
    """A field in the current document and in a version; `ABSENT` where it has none."""

    name: str
    current: Any
    version: Any


class RecordDifference(NamedTuple):
    """A current record, and its fields that a version has otherwise."""

    record: Mapping[str, Any]
    fields: list[FieldDifference]


class AsideDifferences(NamedTuple):
    """The changes that using a version would make: of fields of the document, and of records."""

    fields: list[FieldDifference]
    changed: list[RecordDifference]
    added: list[Any]
    removed: list[Any]


def aside_differences(store: DocumentStore, key: Key, name: str) -> AsideDifferences:
    """Compare a version that was set aside with the current document, as `use_aside` does.

    Fields that NeuralFlow sets are left out. Raises `NotFound`, `Corrupt`.
    """
    spec = COLLECTIONS[key.collection]
    theirs = _state_of(_aside_named(store, key, name), key)
    document = store.read(key)
    ours = State.of(document.content if document else {}, spec.layout.records)
    edit = _edit_of_aside(key, name, theirs, ours)
    counted = ours.fields.get("last_id")
    last_id = max([counted if type(counted) is int else 0, *ours.records])
    found = differences(edit, ours, last_id, keep_items=_keeps_items(key))
    changed = [
        RecordDifference(ours.records[number], fields)
        for number, values in found.changed.items()
        if (fields := _compared(ours.records[number], values, spec))
    ]
    added = [*(addition.item for addition in found.added), *found.items_added]
    removed = [*(ours.records[number] for number in found.removed), *found.items_removed]
    return AsideDifferences(_compared(ours.fields, found.fields, spec), changed, added, removed)


def _compared(
    current: Mapping[str, Any], values: Mapping[str, Any], spec: CollectionSpec
) -> list[FieldDifference]:
    """Return the differing fields that a user can change. A removed field gets its default."""
    compared = []
    for name, value in values.items():
        field = spec.by_name.get(name)
        if field is not None and field.read_only:
            continue
        version = field.fresh_default() if field is not None and value is ABSENT else value
        if not is_same(current.get(name, ABSENT), version):
            compared.append(FieldDifference(name, current.get(name, ABSENT), version))
    return compared


def asides_of(store: DocumentStore, owner: int) -> Iterator[tuple[str, Aside]]:
    """Yield the versions set aside of a user's files, with their collections."""
    for collection in COLLECTIONS:
        for aside in store.aside(key_of(collection, owner)):
            yield collection, aside


def discard_all(store: DocumentStore, owner: int) -> None:
    """Delete all versions set aside of a user's files, when the user is deleted."""
    for collection, aside in list(asides_of(store, owner)):
        store.discard_aside(key_of(collection, owner), aside.name)


# Recent merges


class Merged(NamedTuple):
    """A merge: commit number, time and description."""

    number: int
    at: datetime
    description: str


def recent_merges(store: DocumentStore, owner: int, not_before: datetime) -> list[Merged]:
    """Return the merges of a user's files since a moment, newest first.

    Only the latest part of the history is searched.
    """
    entries: tuple[Entry, ...] = ()
    for back in _LOOK_BACK:
        try:
            since = max(store.sequence() - back, 0)
            entries = store.entries(since, lambda key: key.owner == owner).told
            break
        except HistoryGone:
            continue
    return [
        Merged(entry.sequence, parse_time(entry.at), _description_in(entry, owner))
        for entry in reversed(entries)
        if entry.actor == FILE_ACTOR and parse_time(entry.at) >= not_before
    ]


def _description_in(entry: Entry, owner: int) -> str:
    for change in entry.changes:
        if change.key == key_of("users", owner):
            for edit in reversed(change.edits):
                if edit.path[:1] == ("activities",) and isinstance(edit.after, dict):
                    return str(edit.after.get("description", ""))
    return ""
